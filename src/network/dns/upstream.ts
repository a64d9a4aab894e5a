/** The host's resolver, with a small cache, bounded in memory and in questions at a time. */

import type { Answer } from "dns-packet";
import { formatIp, parseIp } from "../ip.ts";
import type { ForwardedType } from "./decide.ts";
import { recordsOf } from "./records.ts";

/** The part of node:dns's promises.Resolver that is used: a test puts its own in its place. */
export interface ResolverLike {
	resolve4(name: string, options: { ttl: true }): Promise<readonly { address: string; ttl: number }[]>;
	resolve6(name: string, options: { ttl: true }): Promise<readonly { address: string; ttl: number }[]>;
	resolve(name: string, type: ForwardedType): Promise<unknown>;
}

export type Failure = "NXDOMAIN" | "NODATA" | "SERVFAIL";

/** `addresses` in the resolver's order, as text. */
export type Addresses =
	| { readonly v4: readonly string[]; readonly v6: readonly string[]; readonly ttl: number }
	| { readonly failure: Failure };
export type Records = { readonly answers: readonly Answer[] } | { readonly failure: Failure };

const MOST_CACHED = 1024;
const MOST_AT_A_TIME = 64;
const MOST_ADDRESSES = 16;
/** Seconds that an address is kept: at least long enough to connect to what was just looked up. */
const TTL = { least: 5, most: 300, failed: 2 };

interface Cached {
	readonly until: number;
	readonly addresses: Addresses;
}

/** @param now milliseconds, from any start, never going back */
export class Upstream {
	readonly #resolver: ResolverLike;
	readonly #now: () => number;
	readonly #cache = new Map<string, Cached>();
	readonly #pending = new Map<string, Promise<Addresses>>();
	#asked = 0;

	constructor(resolver: ResolverLike, now: () => number = () => performance.now()) {
		this.#resolver = resolver;
		this.#now = now;
	}

	/** Both families of addresses of a canonical name. Never rejects. */
	async addresses(name: string): Promise<Addresses> {
		const cached = this.#cache.get(name);
		if (cached !== undefined && cached.until > this.#now()) return cached.addresses;
		const pending = this.#pending.get(name);
		if (pending !== undefined) return pending;
		const asking = this.#ask(name);
		this.#pending.set(name, asking);
		try {
			return await asking;
		} finally {
			this.#pending.delete(name);
		}
	}

	/** Records of another type. Never rejects. */
	async records(name: string, type: ForwardedType): Promise<Records> {
		const result = await this.#bounded(() => this.#resolver.resolve(name, type));
		return "failure" in result ? result : { answers: recordsOf(name, type, result.value) };
	}

	async #ask(name: string): Promise<Addresses> {
		const [four, six] = await Promise.all([
			this.#bounded(() => this.#resolver.resolve4(name, { ttl: true })),
			this.#bounded(() => this.#resolver.resolve6(name, { ttl: true })),
		]);
		const addresses = merge(four, six);
		this.#remember(name, addresses);
		return addresses;
	}

	#remember(name: string, addresses: Addresses): void {
		const seconds = "failure" in addresses ? TTL.failed : Math.min(Math.max(addresses.ttl, TTL.least), TTL.most);
		this.#cache.delete(name);
		this.#cache.set(name, { until: this.#now() + seconds * 1000, addresses });
		const oldest = this.#cache.keys().next();
		if (this.#cache.size > MOST_CACHED && !oldest.done) this.#cache.delete(oldest.value);
	}

	async #bounded<T>(ask: () => Promise<T>): Promise<{ readonly value: T } | { readonly failure: Failure }> {
		if (this.#asked >= MOST_AT_A_TIME) return { failure: "SERVFAIL" };
		this.#asked++;
		try {
			return { value: await ask() };
		} catch (error) {
			return { failure: failureOf(error) };
		} finally {
			this.#asked--;
		}
	}
}

type Family =
	| { readonly value: readonly { readonly address: string; readonly ttl: number }[] }
	| { readonly failure: Failure };

function merge(four: Family, six: Family): Addresses {
	const found = [four, six].flatMap((family) => ("value" in family ? family.value : []));
	// By what an address is, not by where it came from: a mapped IPv4 address in an AAAA record is IPv4.
	const ips = found.flatMap(({ address }) => parseIp(address) ?? []);
	if (ips.length > 0) {
		const ofFamily = (wanted: 4 | 6) =>
			ips
				.filter(({ family }) => family === wanted)
				.slice(0, MOST_ADDRESSES)
				.map(formatIp);
		return { v4: ofFamily(4), v6: ofFamily(6), ttl: Math.min(...found.map(({ ttl }) => ttl)) };
	}
	const failures = [four, six].flatMap((family) => ("failure" in family ? [family.failure] : []));
	if (failures.includes("NXDOMAIN")) return { failure: "NXDOMAIN" };
	return { failure: failures.includes("SERVFAIL") ? "SERVFAIL" : "NODATA" };
}

function failureOf(error: unknown): Failure {
	const code = error instanceof Error && "code" in error ? error.code : undefined;
	if (code === "ENOTFOUND") return "NXDOMAIN";
	return code === "ENODATA" ? "NODATA" : "SERVFAIL";
}
