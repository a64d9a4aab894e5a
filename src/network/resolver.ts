/** The host's resolver, as its resolv.conf is when it is first asked. */

import { promises as dns } from "node:dns";
import type { ForwardedType } from "./dns/decide.ts";
import type { ResolverLike } from "./dns/upstream.ts";

/** Milliseconds per try, and tries per server. */
const PATIENCE = { timeout: 2000, tries: 2 };

export class HostResolver implements ResolverLike {
	#made: dns.Resolver | undefined;

	get #resolver(): dns.Resolver {
		this.#made ??= new dns.Resolver(PATIENCE);
		return this.#made;
	}

	resolve4(name: string, options: { ttl: true }): ReturnType<ResolverLike["resolve4"]> {
		return this.#resolver.resolve4(name, options);
	}

	resolve6(name: string, options: { ttl: true }): ReturnType<ResolverLike["resolve6"]> {
		return this.#resolver.resolve6(name, options);
	}

	resolve(name: string, type: ForwardedType): Promise<unknown> {
		return this.#resolver.resolve(name, type);
	}

	/** Questions that are under way fail. */
	cancel(): void {
		this.#made?.cancel();
	}
}
