/** The UDP relay of one jail: one socket on the host per flow (source port of the jail, destination). */

import { createSocket, type Socket } from "node:dgram";
import { denial } from "../denials.ts";
import { formatEndpoint, formatIp } from "../ip.ts";
import { checkAddresses } from "../relay/addresses.ts";
import type { Rate } from "../relay/pump.ts";
import type { RelayContext } from "../relay/relay.ts";
import { type Target, targetOf } from "../relay/target.ts";
import type { Endpoint } from "./packet.ts";
import type { UdpPort } from "./port.ts";

const limits = {
	flows: 1024,
	/** Datagrams of a flow that wait for its name to resolve. */
	waiting: 16,
	/** A flow without a datagram in either direction for so long is forgotten (RFC 4787 asks for two minutes at least). */
	idleMs: 120_000,
};

interface Flow {
	readonly id: number;
	readonly destination: string;
	readonly started: number;
	readonly waiting: Uint8Array[];
	socket?: Socket;
	timer?: NodeJS.Timeout;
	sent: number;
	received: number;
}

export type CreateSocket = (family: 4 | 6) => Socket;

export class UdpRelay {
	readonly #context: RelayContext;
	readonly #port: UdpPort;
	readonly #rate: Rate;
	readonly #createSocket: CreateSocket;
	readonly #flows = new Map<string, Flow>();

	constructor(
		context: RelayContext,
		port: UdpPort,
		rate: Rate,
		create: CreateSocket = (family) => createSocket(`udp${family}`),
	) {
		this.#context = context;
		this.#port = port;
		this.#rate = rate;
		this.#createSocket = create;
		port.onDatagram((payload, source, destination) => this.#fromJail(payload, source, destination));
	}

	/** Flows at this moment. */
	get flows(): number {
		return this.#flows.size;
	}

	close(): void {
		for (const key of [...this.#flows.keys()]) this.#forget(key);
		this.#port.close();
	}

	#fromJail(payload: Uint8Array, source: Endpoint, destination: Endpoint): void {
		const key = `${source.ip.family} ${source.port} ${formatIp(destination.ip)} ${destination.port}`;
		const flow = this.#flows.get(key) ?? this.#begin(key, source, destination);
		if (flow !== undefined) this.#send(key, flow, payload);
	}

	/** Undefined where the flow is refused. */
	#begin(key: string, source: Endpoint, destination: Endpoint): Flow | undefined {
		const { rules, names, report, nextId } = this.#context;
		const { port } = destination;
		const target = targetOf(rules, names, "udp", formatIp(destination.ip), port);
		if ("reason" in target) {
			report(denial(target));
			return undefined;
		}
		const host = target.kind === "name" ? target.name : formatIp(target.ip);
		if (this.#flows.size >= limits.flows) {
			report(denial({ protocol: "udp", reason: "too-many", host, port, detail: "the jail has too many UDP flows" }));
			return undefined;
		}
		const started = performance.now();
		const flow: Flow = {
			id: nextId(),
			destination: formatEndpoint(host, port),
			started,
			waiting: [],
			sent: 0,
			received: 0,
		};
		this.#flows.set(key, flow);
		void this.#open(key, flow, target, host, source, destination);
		return flow;
	}

	/** UDP is not held back: what is beyond the jail's rate is lost. */
	#isBeyondRate(payload: Uint8Array): boolean {
		if (this.#rate.take(0) > 0) return true;
		this.#rate.take(payload.length);
		return false;
	}

	#send(key: string, flow: Flow, payload: Uint8Array): void {
		this.#touch(key, flow);
		if (flow.socket === undefined) {
			if (flow.waiting.length < limits.waiting) flow.waiting.push(payload);
			return;
		}
		if (this.#isBeyondRate(payload)) return;
		flow.sent += payload.length;
		// Errors of sending (ECONNREFUSED, EMSGSIZE) are lost datagrams.
		flow.socket.send(payload, () => undefined);
	}

	async #open(
		key: string,
		flow: Flow,
		target: Target,
		host: string,
		source: Endpoint,
		destination: Endpoint,
	): Promise<void> {
		const { rules, upstream, isOwn, report } = this.#context;
		const real = target.kind === "name" ? await upstream.addresses(target.name) : { v4: [formatIp(target.ip)], v6: [] };
		if (this.#flows.get(key) !== flow) return;
		const found = "failure" in real ? [] : [...real.v4, ...real.v6];
		const { allowed, refused } = checkAddresses(rules, "udp", found, destination.port, isOwn);
		const [address] = allowed;
		if (address === undefined) {
			this.#forget(key);
			const { destination: text } = flow;
			if (refused === undefined)
				report({ kind: "net.failed", protocol: "udp", destination: text, error: "the name does not resolve" });
			else
				report(
					denial({
						protocol: "udp",
						reason: refused.reason,
						host,
						port: destination.port,
						rule: target.rule,
						detail: refused.address,
					}),
				);
			return;
		}
		const socket = this.#createSocket(address.includes(":") ? 6 : 4);
		socket.on("error", () => this.#forget(key));
		// A connected socket hears nobody but the destination.
		socket.connect(destination.port, address, () => {
			if (this.#flows.get(key) !== flow) return void socket.close();
			flow.socket = socket;
			report({
				kind: "net.connect",
				id: flow.id,
				protocol: "udp",
				destination: flow.destination,
				address,
				port: destination.port,
				rule: target.rule,
			});
			for (const payload of flow.waiting.splice(0)) this.#send(key, flow, payload);
		});
		socket.on("message", (payload) => {
			this.#touch(key, flow);
			if (this.#isBeyondRate(payload)) return;
			flow.received += payload.length;
			this.#port.send(payload, destination, source);
		});
	}

	#touch(key: string, flow: Flow): void {
		if (flow.timer === undefined) flow.timer = setTimeout(() => this.#forget(key), limits.idleMs).unref();
		else flow.timer.refresh();
	}

	#forget(key: string): void {
		const flow = this.#flows.get(key);
		if (flow === undefined) return;
		this.#flows.delete(key);
		clearTimeout(flow.timer);
		const { socket, id, destination, sent, received } = flow;
		if (socket === undefined) return;
		socket.removeAllListeners();
		socket.on("error", () => undefined);
		socket.close();
		this.#context.report({
			kind: "net.close",
			id,
			destination,
			sent,
			received,
			durationMs: Math.round(performance.now() - flow.started),
		});
	}
}
