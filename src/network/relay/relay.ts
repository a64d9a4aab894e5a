/**
 * The TCP relay of one jail. A thread of the addon accepts, dials and copies; where a destination leads is decided here, once for
 * a short while, and so is what an inspected connection may say (docs/adr/0015).
 */

import { getSystemErrorName } from "node:util";
import { denial, type Refusal } from "../denials.ts";
import type { Upstream } from "../dns/upstream.ts";
import type { Report } from "../events.ts";
import { type Family, formatEndpoint, formatIp, type Ip } from "../ip.ts";
import type { JailNames } from "../jail-names.ts";
import type { Rules } from "../rules.ts";
import { checkAddresses, interleave } from "./addresses.ts";
import { Inspection } from "./inspection.ts";
import { defaultLimits, type RelayLimits } from "./limits.ts";
import { type NativeRelay, type RelayEvents, type RelayIo, RelayPost, readRecords } from "./native.ts";
import { type Target, targetOf } from "./target.ts";

/** What the gateway's parts share. */
export interface RelayContext {
	readonly rules: Rules;
	readonly names: JailNames;
	readonly upstream: Upstream;
	readonly families: readonly Family[];
	readonly isOwn: (ip: Ip) => boolean;
	readonly report: Report;
	/** Numbers connections in events; shared with the other parts of the gateway. */
	readonly nextId: () => number;
	readonly isOver?: () => boolean;
}

export interface TcpRelayOptions {
	readonly io: RelayIo;
	/** Listening sockets, which are the relay's from now on: a connection's local address is where the jail wanted to go. */
	readonly listeners: readonly number[];
	readonly limits?: Partial<RelayLimits>;
	/** Report connections that are opened and closed, not only refusals and failures. */
	readonly reportAll: boolean;
}

/** How long an answer holds for further connections to the same destination. The host's own addresses are as old at most. */
const LIFETIME_MS = 2000;

type Found = { readonly v4: readonly string[]; readonly v6: readonly string[] } | { readonly failure: string };

interface Asked {
	readonly target: Target;
	readonly port: number;
}

interface Connection {
	readonly id: number;
	readonly destination: string;
	readonly inspection?: Inspection;
}

export class TcpRelay implements RelayEvents {
	readonly #context: RelayContext;
	readonly #limits: RelayLimits;
	readonly #reportAll: boolean;
	readonly #native: NativeRelay;
	readonly #post = new RelayPost();
	readonly #asked = new Map<number, Asked>();
	readonly #connections = new Map<number, Connection>();
	#reading = false;
	#closed = false;

	constructor(context: RelayContext, { io, listeners, limits, reportAll }: TcpRelayOptions) {
		this.#context = context;
		this.#limits = { ...defaultLimits, ...limits };
		this.#reportAll = reportAll;
		const { connections, pending, bytesPerSecond = 0 } = this.#limits;
		this.#native = io.startRelay(listeners, { connections, pending, bytesPerSecond, tellAll: reportAll }, (records) =>
			this.#read(records),
		);
	}

	/** Connections at this moment. */
	get connections(): number {
		return this.#closed ? 0 : this.#native.connections();
	}

	/** Has anything ever come to its listeners? To be asked when they have been emptied. */
	get touched(): boolean {
		return !this.#closed && this.#native.touched();
	}

	/** Takes bytes of the jail's rate; milliseconds to wait before more may be taken. */
	take(bytes: number): number {
		return this.#native.take(bytes);
	}

	/** Resets every connection. */
	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		readRecords(this.#native.close(), this);
		for (const { inspection } of this.#connections.values()) inspection?.close();
	}

	#read(records: Uint8Array): void {
		if (this.#closed) return;
		this.#reading = true;
		try {
			readRecords(records, this);
		} finally {
			this.#reading = false;
			this.#flush();
		}
	}

	/** At the end of what was read, or at once where something came by itself. */
	#flush(): void {
		if (!this.#reading && !this.#closed) this.#native.post(this.#post.take());
	}

	ask(ask: number, address: string, port: number): void {
		const target = targetOf(this.#context.rules, this.#context.names, "tcp", address, port);
		if ("reason" in target) {
			this.#refuse(ask, target);
			return;
		}
		this.#asked.set(ask, { target, port });
		if (target.kind === "address") this.#answer(ask, target, port, { v4: [formatIp(target.ip)], v6: [] });
		else
			void this.#context.upstream
				.addresses(target.name)
				.then((found) => this.#answer(ask, target, port, found))
				.finally(() => this.#flush());
	}

	#answer(ask: number, target: Target, port: number, found: Found): void {
		if (this.#closed) return;
		if ("failure" in found) {
			this.#post.verdict(ask, undefined, 0);
			this.#failed(target, port, `the name does not resolve: ${found.failure}`);
			return;
		}
		const { rules, isOwn } = this.#context;
		const { allowed, refused } = checkAddresses(rules, "tcp", [...found.v6, ...found.v4], port, isOwn);
		if (allowed.length === 0 && refused !== undefined) {
			this.#refuse(ask, { ...subject(target, port), reason: refused.reason, detail: refused.address });
			return;
		}
		const inspect = target.kind === "name" && target.inspect !== undefined;
		this.#post.verdict(ask, { addresses: interleave(allowed), port, inspect }, LIFETIME_MS);
	}

	#refuse(ask: number, refusal: Refusal): void {
		this.#post.verdict(ask, undefined, LIFETIME_MS);
		this.#context.report(denial(refusal));
	}

	#failed(target: Target, port: number, error: string): void {
		this.#context.report({ kind: "net.failed", protocol: "tcp", destination: endpointOf(target, port), error });
	}

	failed(ask: number, errno: number): void {
		const asked = this.#asked.get(ask);
		if (asked !== undefined) this.#failed(asked.target, asked.port, `connect ${getSystemErrorName(-errno)}`);
	}

	full(_ask: number, address: string, port: number): void {
		const target = targetOf(this.#context.rules, this.#context.names, "tcp", address, port);
		const detail = "the jail has too many connections";
		this.#context.report(
			denial("reason" in target ? target : { ...subject(target, port), reason: "too-many", detail }),
		);
	}

	forgotten(ask: number): void {
		this.#asked.delete(ask);
	}

	opened(connection: number, ask: number, address: string): void {
		const asked = this.#asked.get(ask);
		if (asked === undefined) return;
		const { target, port } = asked;
		const id = this.#context.nextId();
		const destination = endpointOf(target, port);
		if (this.#reportAll)
			this.#context.report({
				kind: "net.connect",
				id,
				protocol: "tcp",
				destination,
				address,
				port,
				rule: target.rule,
			});
		const inspection =
			target.kind === "name" && target.inspect !== undefined
				? this.#inspection(connection, target, target.inspect, port)
				: undefined;
		this.#connections.set(connection, { id, destination, ...(inspection === undefined ? {} : { inspection }) });
	}

	#inspection(
		connection: number,
		target: Target,
		rules: NonNullable<Extract<Target, { kind: "name" }>["inspect"]>,
		port: number,
	): Inspection {
		return new Inspection({
			rules,
			timeoutMs: this.#limits.inspectionMs,
			forward: (bytes, how) => {
				this.#post.forward(connection, bytes, how);
				this.#flush();
			},
			refused: (reason, detail) => {
				this.#post.reset(connection);
				this.#context.report(denial({ ...subject(target, port), reason, ...(detail === undefined ? {} : { detail }) }));
				this.#flush();
			},
		});
	}

	data(connection: number, bytes: Uint8Array): void {
		this.#connections.get(connection)?.inspection?.data(bytes);
	}

	ended(connection: number): void {
		this.#connections.get(connection)?.inspection?.ended();
	}

	answered(connection: number, first: Uint8Array): void {
		this.#connections.get(connection)?.inspection?.answered(first);
	}

	closed(connection: number, sent: number, received: number, durationMs: number): void {
		const known = this.#connections.get(connection);
		if (known === undefined) return;
		this.#connections.delete(connection);
		known.inspection?.close();
		const { id, destination } = known;
		if (this.#reportAll) this.#context.report({ kind: "net.close", id, destination, sent, received, durationMs });
	}
}

function hostOf(target: Target): string {
	return target.kind === "name" ? target.name : formatIp(target.ip);
}

function endpointOf(target: Target, port: number): string {
	return formatEndpoint(hostOf(target), port);
}

function subject(
	target: Target,
	port: number,
): { readonly protocol: "tcp"; readonly host: string; readonly port: number; readonly rule: string } {
	return { protocol: "tcp", host: hostOf(target), port, rule: target.rule };
}
