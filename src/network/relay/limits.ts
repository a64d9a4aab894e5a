/** Bounds of one jail's relay. */
export interface RelayLimits {
	/** TCP connections at a time. */
	readonly connections: number;
	/** Connections at a time that wait for their server or for what they are to be inspected by. */
	readonly pending: number;
	/** How long a client may take to finish a ClientHello or the head of a request that it has begun, in milliseconds. */
	readonly inspectionMs: number;
	/** Both directions and all connections together; absent: no limit. */
	readonly bytesPerSecond?: number;
}

export const defaultLimits: RelayLimits = { connections: 16_384, pending: 2048, inspectionMs: 15_000 };
