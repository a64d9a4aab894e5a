/** The gateway of one jail: DNS server, TCP relay, UDP relay and published ports, on the sockets that the executor made in G. */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { Server } from "node:net";
import type { PublishedPort } from "../policy/types.ts";
import { denial } from "./denials.ts";
import { type DnsTcpServer, dnsTcpServer } from "./dns/tcp-server.ts";
import { serveDnsByUdp } from "./dns/udp-server.ts";
import { type ResolverLike, Upstream } from "./dns/upstream.ts";
import { type NetDenied, type NetworkEvent, reporter } from "./events.ts";
import type { Family, Ip } from "./ip.ts";
import { parseIp } from "./ip.ts";
import { JailNames } from "./jail-names.ts";
import { type DialJail, type Published, publish } from "./publish.ts";
import { ownAddresses } from "./relay/addresses.ts";
import type { RelayLimits } from "./relay/limits.ts";
import type { RelayIo } from "./relay/native.ts";
import { HostResolver } from "./resolver.ts";
import type { Protocol, Rules } from "./rules.ts";
import { Turn } from "./turn.ts";
import { type DatagramIo, type UdpDescriptors, type UdpPort, udpPort } from "./udp/port.ts";

/** Sockets that were made inside G (docs/network.md says how). The gateway owns them from `start` on. */
export interface GatewayDescriptors {
	/** Transparent listeners on TCP_PORT, one per family. */
	readonly tcp: readonly number[];
	/** Bound to DNS_PORT; of the IPv6 family, and for both, where the jail has IPv6. */
	readonly dnsUdp: number;
	readonly dnsTcp: number;
	/** Where `needsUdp(rules)`. */
	readonly udp?: Readonly<Partial<Record<Family, UdpDescriptors>>>;
}

/** What a gateway needs that serves one program after the other. */
export interface RenewalIo {
	/** NETLINK_NETFILTER: for the connections that G tracks. */
	readonly tracked: number;
	readonly flush: (tracked: number) => void;
	/** Another descriptor of the same socket. */
	readonly duplicate: (descriptor: number) => number;
	/** Throws away what waits on a socket; how much that was. */
	readonly discard: (descriptor: number) => number;
	readonly close: (descriptor: number) => void;
}

export interface GatewayOptions {
	/** Names the jail in events. */
	readonly jail: string;
	readonly rules: Rules;
	readonly families: readonly Family[];
	readonly descriptors: GatewayDescriptors;
	readonly onEvent: (event: NetworkEvent) => void;
	/** Report every connection that is opened or closed by TCP, not only refusals and failures. */
	readonly reportAll: boolean;
	readonly limits?: Partial<RelayLimits>;
	readonly relay: RelayIo;
	/** Needed with `descriptors.udp`. */
	readonly datagrams?: DatagramIo;
	/** Ports to publish, and the way into the jail. */
	readonly publish?: { readonly ports: readonly PublishedPort[]; readonly dial: DialJail };
	/** For {@link Gateway.renew}; the gateway owns `tracked` from `start` on. */
	readonly renewal?: RenewalIo;
	/** Default: the servers of the host's resolv.conf. */
	readonly resolver?: ResolverLike;
	/** Default: asks the system. */
	readonly isOwn?: (ip: Ip) => boolean;
}

/** What lasts while programs come and go, and which program's turn it is. */
export class Gateway {
	readonly #options: GatewayOptions;
	readonly #isOwn: (ip: Ip) => boolean;
	readonly #closers: (() => void | Promise<void>)[] = [];
	/** Shared by all turns, so that a number is one connection's. */
	#lastId = 0;
	#udp: UdpPort | undefined;
	#onDatagram: Parameters<UdpPort["onDatagram"]>[0] = () => undefined;
	#dnsTcp: DnsTcpServer | undefined;
	#published: Published | undefined;
	#turn: Turn;

	private constructor(options: GatewayOptions) {
		this.#options = options;
		this.#isOwn = options.isOwn ?? ownAddresses();
		const { datagrams, descriptors } = options;
		if (descriptors.udp !== undefined && datagrams !== undefined) {
			const port = udpPort(datagrams, descriptors.udp);
			port.onDatagram((...datagram) => {
				this.#turn.use();
				this.#onDatagram(...datagram);
			});
			this.#udp = port;
			this.#closers.push(() => port.close());
		}
		this.#turn = this.#newTurn(options.reportAll);
		this.#closers.push(() => this.#turn.close());
		this.#closers.push(() => this.#closeKept());
	}

	/**
	 * Serves when the promise is fulfilled: the jail's program may start.
	 *
	 * @throws VmjailError HOST_UNSUPPORTED where a port cannot be published
	 */
	static async start(options: GatewayOptions): Promise<Gateway> {
		const gateway = new Gateway(options);
		try {
			await gateway.#serveDns(options);
			if (options.publish !== undefined) await gateway.#publish(options.publish);
		} catch (error) {
			await gateway.close();
			throw error;
		}
		return gateway;
	}

	/** TCP connections at this moment. */
	get connections(): number {
		return this.#turn.relay.connections;
	}

	/** The name by which the jail knows an address: for whoever sees addresses only (a notifier, a trace). */
	nameOf(address: string): string | undefined {
		const ip = parseIp(address);
		return ip === undefined ? undefined : this.#turn.context.names.describe(ip);
	}

	/**
	 * Reports, once per destination, that the kernel refused a connect(2) or sendto(2) of the jail: S answers those by itself, and
	 * the gateway never hears of them. For the notifier or trace that does.
	 */
	reportRefused(protocol: Protocol, address: string, port: number, process?: NetDenied["process"]): void {
		const event = denial({ protocol, reason: "no-rule", host: this.nameOf(address) ?? address, port });
		this.#turn.use();
		this.#turn.context.report({ ...event, ...(process === undefined ? {} : { process }) });
	}

	/**
	 * The next program's turn: nothing that the last one opened, asked, was told or was refused is left. To be called while no
	 * program runs. Costs a few system calls where the last one left the network alone.
	 *
	 * @param reportAll for the next program, as in {@link GatewayOptions}
	 * @throws Error where something may be left: the jail must not be used again
	 */
	async renew(reportAll: boolean): Promise<void> {
		const { renewal, descriptors } = this.#options;
		if (renewal === undefined) throw new TypeError("a gateway without means for it");
		const { tcp, dnsUdp, dnsTcp, udp = {} } = descriptors;
		const receivers = Object.values(udp).map(({ receive }) => receive);
		// Twice: what a flood left in the kernel's queues arrives a moment later.
		const discard = () => [...tcp, dnsUdp, dnsTcp, ...receivers].reduce((sum, one) => sum + renewal.discard(one), 0);
		while (discard() > 0) {
			this.#turn.use();
			await new Promise(setImmediate);
		}
		if (!this.#turn.touched && this.#turn.reportAll === reportAll) return;
		this.#dnsTcp?.reset();
		await this.#published?.reset();
		this.#turn.close();
		this.#turn = this.#newTurn(reportAll);
		renewal.flush(renewal.tracked);
	}

	/** Resets what is open and closes every socket. To be called when the jail has ended; more than once is fine. */
	async close(): Promise<void> {
		await Promise.all(
			this.#closers
				.splice(0)
				.reverse()
				.map((close) => close()),
		);
	}

	#newTurn(reportAll: boolean): Turn {
		const { jail, rules, families, onEvent, limits, relay, renewal, descriptors } = this.#options;
		const own = this.#options.resolver === undefined ? new HostResolver() : undefined;
		const resolver: ResolverLike = own ?? (this.#options.resolver as ResolverLike);
		const udp = this.#udp;
		return new Turn({
			context: {
				rules,
				families,
				names: new JailNames(rules),
				upstream: new Upstream(resolver),
				isOwn: this.#isOwn,
				report: reporter(jail, onEvent),
				nextId: () => ++this.#lastId,
			},
			relay,
			listeners: renewal === undefined ? descriptors.tcp : descriptors.tcp.map((one) => renewal.duplicate(one)),
			...(limits === undefined ? {} : { limits }),
			reportAll,
			...(udp === undefined
				? {}
				: {
						udp: {
							onDatagram: (handler) => {
								this.#onDatagram = handler;
							},
							send: (payload, from, to) => udp.send(payload, from, to),
							close: () => undefined,
						},
					}),
			cancel: () => own?.cancel(),
		});
	}

	/** What every turn had a copy of. */
	#closeKept(): void {
		const { renewal, descriptors } = this.#options;
		if (renewal === undefined) return;
		for (const descriptor of [...descriptors.tcp, renewal.tracked]) renewal.close(descriptor);
	}

	/** The turn, for something that came from the jail. */
	#used(): Turn {
		this.#turn.use();
		return this.#turn;
	}

	async #serveDns({ descriptors, families }: GatewayOptions): Promise<void> {
		const { dnsUdp, dnsTcp } = descriptors;
		const socket = createSocket(families.includes(6) ? "udp6" : "udp4");
		this.#closers.push(() => new Promise((resolve) => socket.close(resolve)));
		serveDnsByUdp(socket, () => this.#used().context);
		socket.bind({ fd: dnsUdp }); // done when it returns
		const tcp = dnsTcpServer(() => this.#used().context);
		this.#closers.push(() => tcp.close());
		this.#dnsTcp = tcp;
		await listen(tcp.server, dnsTcp);
	}

	async #publish({ ports, dial }: NonNullable<GatewayOptions["publish"]>): Promise<void> {
		const published = await publish(ports, {
			dial,
			publisher: () => {
				const { context, relay } = this.#used();
				return { report: context.report, nextId: context.nextId, rate: relay };
			},
		});
		this.#published = published;
		this.#closers.push(() => published.close());
	}
}

async function listen(server: Server, fd: number): Promise<void> {
	// The second argument: for a descriptor, `backlog` among the options goes unheard, and 511 would be too few for a burst.
	server.listen({ fd }, 4096);
	await once(server, "listening");
}
