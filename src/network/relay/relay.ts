/** The TCP relay of one jail: accepted connections, whose local address is where the jail wanted to go, to the real servers. */

import { setMaxListeners } from "node:events";
import type { Socket } from "node:net";
import { denial, type Refusal } from "../denials.ts";
import type { Upstream } from "../dns/upstream.ts";
import type { Report } from "../events.ts";
import { formatEndpoint, formatIp, type Ip } from "../ip.ts";
import type { JailNames } from "../jail-names.ts";
import type { Rules } from "../rules.ts";
import { checkAddresses } from "./addresses.ts";
import { TokenBucket } from "./bucket.ts";
import { type Connect, connectDirectly, dialFirst, interleave } from "./dial.ts";
import { pumpInspected } from "./inspected.ts";
import { defaultLimits, type RelayLimits } from "./limits.ts";
import { couple, pump } from "./pump.ts";
import { type Target, targetOf } from "./target.ts";

export interface RelayContext {
	readonly rules: Rules;
	readonly names: JailNames;
	readonly upstream: Upstream;
	readonly isOwn: (ip: Ip) => boolean;
	readonly report: Report;
	readonly connect?: Connect;
	readonly limits?: Partial<RelayLimits>;
	/** Numbers connections in events; shared with the other parts of the gateway. */
	readonly nextId: () => number;
}

export class TcpRelay {
	readonly #context: RelayContext;
	readonly #limits: RelayLimits;
	readonly #bucket: TokenBucket | undefined;
	readonly #clients = new Set<Socket>();
	readonly #closing = new AbortController();
	#pending = 0;

	constructor(context: RelayContext) {
		this.#context = context;
		this.#limits = { ...defaultLimits, ...context.limits };
		setMaxListeners(0, this.#closing.signal); // one per connection on its way
		const { bytesPerSecond } = this.#limits;
		this.#bucket = bytesPerSecond === undefined ? undefined : new TokenBucket(bytesPerSecond);
	}

	/** Connections at this moment. */
	get connections(): number {
		return this.#clients.size;
	}

	/** Takes over an accepted connection, which must not have been read from: `{ pauseOnConnect: true, allowHalfOpen: true }`. */
	accept(client: Socket): void {
		const { localAddress, localPort } = client;
		client.on("error", () => undefined);
		if (localAddress === undefined || localPort === undefined || this.#closing.signal.aborted) {
			client.resetAndDestroy(); // gone already
			return;
		}
		const target = this.#admit(localAddress, localPort);
		if ("reason" in target) {
			this.#refuse(client, target);
			return;
		}
		this.#clients.add(client);
		client.once("close", () => this.#clients.delete(client));
		void this.#connect(client, target, localPort);
	}

	#admit(address: string, port: number): Target | Refusal {
		const target = targetOf(this.#context.rules, this.#context.names, "tcp", address, port);
		if ("reason" in target) return target;
		const full = this.#clients.size >= this.#limits.connections || this.#pending >= this.#limits.pending;
		return full
			? { ...subject(target, port), reason: "too-many", detail: "the jail has too many connections" }
			: target;
	}

	/** Resets every connection. */
	close(): void {
		this.#closing.abort(new Error("the gateway is closed"));
		for (const client of this.#clients) client.resetAndDestroy();
	}

	async #connect(client: Socket, target: Target, port: number): Promise<void> {
		this.#pending++;
		try {
			const addresses = await this.#addresses(target, port);
			if ("reason" in addresses) return this.#refuse(client, addresses);
			const server = await dialFirst(
				interleave(addresses),
				port,
				this.#context.connect ?? connectDirectly,
				this.#closing.signal,
			);
			if (client.destroyed) server.destroy();
			else this.#join(client, server, target, port);
		} catch (error) {
			client.resetAndDestroy();
			if (!this.#closing.signal.aborted) this.#failed(target, port, error);
		} finally {
			this.#pending--;
		}
	}

	/** @throws Error where the name does not resolve */
	async #addresses(target: Target, port: number): Promise<readonly string[] | Refusal> {
		const { rules, upstream, isOwn } = this.#context;
		const real = target.kind === "name" ? await upstream.addresses(target.name) : { v4: [formatIp(target.ip)], v6: [] };
		if ("failure" in real) throw new Error(`the name does not resolve: ${real.failure}`);
		const { allowed, refused } = checkAddresses(rules, "tcp", [...real.v6, ...real.v4], port, isOwn);
		if (allowed.length > 0 || refused === undefined) return allowed;
		return { ...subject(target, port), reason: refused.reason, detail: refused.address };
	}

	#join(client: Socket, server: Socket, target: Target, port: number): void {
		const { report, nextId } = this.#context;
		const id = nextId();
		const started = performance.now();
		const destination = endpointOf(target, port);
		report({
			kind: "net.connect",
			id,
			protocol: "tcp",
			destination,
			address: server.remoteAddress ?? "",
			port,
			rule: target.rule,
		});
		couple(client, server, () => {
			report({
				kind: "net.close",
				id,
				destination,
				sent: client.bytesRead,
				received: client.bytesWritten,
				durationMs: Math.round(performance.now() - started),
			});
		});
		client.setNoDelay(true);
		server.setKeepAlive(true, 60_000);
		if (target.kind === "name" && target.inspect !== undefined) {
			pumpInspected(client, server, {
				rules: target.inspect,
				bucket: this.#bucket,
				timeoutMs: this.#limits.inspectionMs,
				refused: (reason, detail) => {
					server.resetAndDestroy();
					this.#refuse(client, { ...subject(target, port), reason, ...(detail === undefined ? {} : { detail }) });
				},
			});
		} else pump(client, server, this.#bucket);
		pump(server, client, this.#bucket);
		client.resume();
	}

	#refuse(client: Socket, refusal: Refusal): void {
		client.resetAndDestroy();
		this.#context.report(denial(refusal));
	}

	#failed(target: Target, port: number, error: unknown): void {
		const text = error instanceof Error ? error.message : String(error);
		this.#context.report({ kind: "net.failed", protocol: "tcp", destination: endpointOf(target, port), error: text });
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
