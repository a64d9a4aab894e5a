/** What the gateway reports. Plain data; `time` is milliseconds since the epoch. */

/** Why something was refused. Stable: programs may match on it. */
export type DenialReason =
	| "no-rule" // no rule covers the destination
	| "name-not-allowed" // the name is in no rule of `dns`: it did not resolve
	| "unknown-address" // a synthetic address that stands for no name
	| "special-address" // the name resolves to a private, loopback, link-local, … address that no `tcp` or `udp` rule names
	| "own-address" // the same, an address of this host
	| "server-name" // TLS for another server than the connection's rule allows
	| "no-server-name" // TLS without a server name
	| "host-header" // HTTP for another host than the connection's rule allows
	| "malformed" // TLS or HTTP that cannot be read unambiguously
	| "too-many"; // more connections, names or flows at a time than a jail may have

export type NetProtocol = "tcp" | "udp" | "dns";

/** What would have to be added to the policy. */
export interface Allowance {
	/** "--allow-dns evil.com:443" */
	readonly flag: string;
	/** "security.network.policy.dns": the list, and what to add to it. */
	readonly list: "tcp" | "udp" | "dns";
	readonly entry: string;
}

interface Common {
	readonly time: number;
	readonly jail: string;
}

export interface NetDenied extends Common {
	readonly kind: "net.denied";
	readonly protocol: NetProtocol;
	readonly reason: DenialReason;
	/** "evil.com:443", "10.0.0.1:22", "evil.com" (DNS). */
	readonly destination: string;
	/** The rule that the connection came under, where it was refused in spite of one. */
	readonly rule?: string;
	/** One line for a person. */
	readonly message: string;
	readonly wouldAllow?: Allowance;
	/** Filled in by whoever knows (the runtime's notifier); the gateway sees no processes. */
	readonly process?: { readonly pid: number; readonly exe?: string };
}

export interface NetDns extends Common {
	readonly kind: "net.dns";
	readonly name: string;
	readonly type: string;
	/** "synthetic": an address that stands for the name; "forwarded": the real answer; else the response code. */
	readonly answer: "synthetic" | "forwarded" | "NOERROR" | "NXDOMAIN" | "SERVFAIL" | "REFUSED" | "NOTIMP";
}

export interface NetConnect extends Common {
	readonly kind: "net.connect";
	readonly id: number;
	readonly protocol: "tcp" | "udp";
	readonly destination: string;
	/** The real address, in the end. */
	readonly address: string;
	readonly port: number;
	readonly rule: string;
}

export interface NetAccept extends Common {
	readonly kind: "net.accept";
	readonly id: number;
	readonly peer: string;
	readonly jailPort: number;
}

export interface NetClose extends Common {
	readonly kind: "net.close";
	readonly id: number;
	readonly destination: string;
	/** Bytes that the jail sent and received. */
	readonly sent: number;
	readonly received: number;
	readonly durationMs: number;
}

/** An allowed connection that could not be made: nobody refused it. */
export interface NetFailed extends Common {
	readonly kind: "net.failed";
	readonly protocol: NetProtocol;
	readonly destination: string;
	readonly error: string;
}

export type NetworkEvent = NetDenied | NetDns | NetConnect | NetAccept | NetClose | NetFailed;

/** An event before the reporter has stamped it. */
export type Unstamped<E> = E extends NetworkEvent ? Omit<E, "time" | "jail"> : never;
export type Report = (event: Unstamped<NetworkEvent>) => void;

const MOST_REMEMBERED = 1024;

/**
 * Stamps events and passes them on; a denial once per distinct destination and reason. Beyond 1,024 distinct denials all
 * further ones are dropped: a jail must not fill its keeper's log.
 */
export function reporter(jail: string, onEvent: (event: NetworkEvent) => void, now: () => number = Date.now): Report {
	const seen = new Set<string>();
	return (event) => {
		if (event.kind === "net.denied") {
			const key = `${event.protocol} ${event.reason} ${event.destination}`;
			if (seen.has(key) || seen.size >= MOST_REMEMBERED) return;
			seen.add(key);
		}
		onEvent({ time: now(), jail, ...event });
	};
}
