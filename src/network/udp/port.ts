/** The jail's UDP, as sockets of G give it: datagrams with the destination that the jail wrote, answers that come from there. */

import { parseIp } from "../ip.ts";
import { link } from "../layout.ts";
import { type Endpoint, udpPacket } from "./packet.ts";
import { parseSocketAddress } from "./socket-address.ts";

export interface UdpPort {
	/** To be called once. `destination` is the jail's own idea of where the datagram goes. */
	onDatagram(handler: (payload: Uint8Array, source: Endpoint, destination: Endpoint) => void): void;
	/** Sends to the jail, as if from `from`. What the jail does not take in time is lost, as UDP is. */
	send(payload: Uint8Array, from: Endpoint, to: Endpoint): void;
	close(): void;
}

/** What the addon must be able to do; Node's dgram tells no original destination and cannot answer from it. */
export interface DatagramIo {
	/**
	 * Owns `fd` from now on. Calls `received` for every datagram with the bytes of two socket addresses: msg_name, and the
	 * IP_ORIGDSTADDR or IPV6_ORIGDSTADDR control message (empty where there was none). Returns a function that closes the socket.
	 */
	receive(
		fd: number,
		received: (payload: Uint8Array, source: Uint8Array, originalDestination: Uint8Array) => void,
	): () => void;
	/** send(2), never waiting. False where the socket is full. */
	send(fd: number, packet: Uint8Array): boolean;
	close(fd: number): void;
}

/** Descriptors of one family, see docs/network.md. */
export interface UdpDescriptors {
	/** Transparent UDP socket, bound to UDP_PORT. */
	readonly receive: number;
	/** Raw socket with IP_HDRINCL, connected to the jail's address. */
	readonly send: number;
}

export function udpPort(io: DatagramIo, descriptors: Readonly<Partial<Record<4 | 6, UdpDescriptors>>>): UdpPort {
	const closers: (() => void)[] = [];
	return {
		onDatagram(handler) {
			for (const sockets of Object.values(descriptors)) {
				const stop = io.receive(sockets.receive, (payload, sourceBytes, destinationBytes) => {
					const source = parseSocketAddress(sourceBytes);
					const destination = parseSocketAddress(destinationBytes);
					if (source !== undefined && destination !== undefined && isJail(source))
						handler(payload, source, destination);
				});
				closers.push(stop, () => io.close(sockets.send));
			}
		},
		send(payload, from, to) {
			const packet = udpPacket(payload, from, to);
			const sockets = descriptors[to.ip.family];
			if (packet !== undefined && sockets !== undefined) io.send(sockets.send, packet);
		},
		close() {
			for (const close of closers.splice(0)) close();
		},
	};
}

function isJail({ ip }: Endpoint): boolean {
	return parseIp(link[ip.family].jail)?.value === ip.value;
}
