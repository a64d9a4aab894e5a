/** The gateway of one jail: DNS server, TCP relay, UDP relay and published ports, on the sockets that the executor made in G. */

import { createSocket } from "node:dgram";
import { promises as dns } from "node:dns";
import { once } from "node:events";
import type { Server } from "node:net";
import type { PublishedPort } from "../policy/types.ts";
import { denial } from "./denials.ts";
import type { Answering } from "./dns/answer.ts";
import { dnsTcpServer } from "./dns/tcp-server.ts";
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
import { type RelayContext, TcpRelay } from "./relay/relay.ts";
import type { Protocol, Rules } from "./rules.ts";
import { type DatagramIo, type UdpDescriptors, udpPort } from "./udp/port.ts";
import { UdpRelay } from "./udp/relay.ts";

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
	/** Default: the servers of the host's resolv.conf. */
	readonly resolver?: ResolverLike;
	/** Default: asks the system. */
	readonly isOwn?: (ip: Ip) => boolean;
}

/** Milliseconds per try, and tries per server, for the host's resolver. */
const RESOLVER = { timeout: 2000, tries: 2 };

export class Gateway {
	readonly #relay: TcpRelay;
	readonly #context: RelayContext;
	readonly #closers: (() => void | Promise<void>)[] = [];

	private constructor(context: RelayContext, relay: TcpRelay) {
		this.#context = context;
		this.#relay = relay;
		this.#closers.push(() => this.#relay.close());
	}

	/**
	 * Serves when the promise is fulfilled: the jail's program may start.
	 *
	 * @throws VmjailError HOST_UNSUPPORTED where a port cannot be published
	 */
	static async start(options: GatewayOptions): Promise<Gateway> {
		const { rules, descriptors, datagrams } = options;
		let lastId = 0;
		const context: RelayContext = {
			rules,
			families: options.families,
			names: new JailNames(rules),
			upstream: new Upstream(options.resolver ?? new dns.Resolver(RESOLVER)),
			isOwn: options.isOwn ?? ownAddresses(),
			report: reporter(options.jail, options.onEvent),
			nextId: () => ++lastId,
		};
		const relay = new TcpRelay(context, {
			io: options.relay,
			listeners: descriptors.tcp,
			reportAll: options.reportAll,
			...(options.limits === undefined ? {} : { limits: options.limits }),
		});
		const gateway = new Gateway(context, relay);
		try {
			await gateway.#serveDns(context, descriptors, options.families);
			if (descriptors.udp !== undefined && datagrams !== undefined)
				gateway.#serveUdp(context, datagrams, descriptors.udp);
			if (options.publish !== undefined) await gateway.#publish(context, options.publish);
		} catch (error) {
			await gateway.close();
			throw error;
		}
		return gateway;
	}

	/** TCP connections at this moment. */
	get connections(): number {
		return this.#relay.connections;
	}

	/** The name by which the jail knows an address: for whoever sees addresses only (a notifier, a trace). */
	nameOf(address: string): string | undefined {
		const ip = parseIp(address);
		return ip === undefined ? undefined : this.#context.names.describe(ip);
	}

	/**
	 * Reports, once per destination, that the kernel refused a connect(2) or sendto(2) of the jail: S answers those by itself, and
	 * the gateway never hears of them. For the notifier or trace that does.
	 */
	reportRefused(protocol: Protocol, address: string, port: number, process?: NetDenied["process"]): void {
		const event = denial({ protocol, reason: "no-rule", host: this.nameOf(address) ?? address, port });
		this.#context.report({ ...event, ...(process === undefined ? {} : { process }) });
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

	async #serveDns(
		context: Answering,
		{ dnsUdp, dnsTcp }: GatewayDescriptors,
		families: readonly Family[],
	): Promise<void> {
		const socket = createSocket(families.includes(6) ? "udp6" : "udp4");
		this.#closers.push(() => new Promise((resolve) => socket.close(resolve)));
		serveDnsByUdp(socket, context);
		socket.bind({ fd: dnsUdp }); // done when it returns
		const tcp = dnsTcpServer(context);
		this.#closers.push(() => tcp.close());
		await listen(tcp.server, dnsTcp);
	}

	#serveUdp(context: RelayContext, io: DatagramIo, descriptors: NonNullable<GatewayDescriptors["udp"]>): void {
		const relay = new UdpRelay(context, udpPort(io, descriptors), this.#relay);
		this.#closers.push(() => relay.close());
	}

	async #publish(context: RelayContext, { ports, dial }: NonNullable<GatewayOptions["publish"]>): Promise<void> {
		const published: Published = await publish(ports, {
			dial,
			report: context.report,
			nextId: context.nextId,
			rate: this.#relay,
		});
		this.#closers.push(() => published.close());
	}
}

async function listen(server: Server, fd: number): Promise<void> {
	// The second argument: for a descriptor, `backlog` among the options goes unheard, and 511 would be too few for a burst.
	server.listen({ fd }, 4096);
	await once(server, "listening");
}
