/** Which address stands for which name in a jail: synthetic ones for its life, real ones as last answered. */

import { contains, type Family, formatIp, type Ip } from "./ip.ts";
import { SYNTHETIC_BITS, synthetic, syntheticAddress } from "./layout.ts";
import { classOfName, type NameClass } from "./name-rules.ts";
import type { Rules } from "./rules.ts";

const MOST_NAMES = 16_384;
const MOST_REAL = 1024;

export class JailNames {
	readonly #rules: Rules;
	readonly #offsets = new Map<string, number>();
	readonly #names = new Map<number, string>();
	readonly #used = new Map<NameClass, number>();
	/** Real addresses, in the order in which they were given out. */
	readonly #real = new Map<string, string>();

	constructor(rules: Rules) {
		this.#rules = rules;
	}

	/**
	 * The addresses of a canonical name that `dns` covers; the same every time. Undefined where no rule covers the name, or its
	 * class has no address left: none is ever given to a second name.
	 */
	addressesOf(name: string): Readonly<Record<Family, string>> | undefined {
		const offset = this.#offsets.get(name) ?? this.#assign(name);
		return offset === undefined ? undefined : { 4: syntheticAddress(4, offset), 6: syntheticAddress(6, offset) };
	}

	#assign(name: string): number | undefined {
		const { classes, dns, anywhere } = this.#rules;
		const nameClass = classOfName(classes, dns, anywhere.tcp, name);
		if (nameClass === undefined || this.#names.size >= MOST_NAMES) return undefined;
		const used = this.#used.get(nameClass) ?? 0;
		if (used >= nameClass.count) return undefined;
		const offset = nameClass.first + used;
		this.#used.set(nameClass, used + 1);
		this.#offsets.set(name, offset);
		this.#names.set(offset, name);
		return offset;
	}

	/** The name that an address stands for; undefined where it stands for none. */
	nameAt(ip: Ip): string | undefined {
		const block = synthetic[ip.family];
		if (!contains(block, ip)) return undefined;
		return this.#names.get(Number((ip.value - block.first) & ((1n << BigInt(SYNTHETIC_BITS)) - 1n)));
	}

	/** Notes that the jail was told a real address for `name` (canonical): only ever used to word messages. */
	noteReal(address: string, name: string): void {
		this.#real.delete(address);
		this.#real.set(address, name);
		const oldest = this.#real.keys().next();
		if (this.#real.size > MOST_REAL && !oldest.done) this.#real.delete(oldest.value);
	}

	/** The name that the jail knows an address by, real or synthetic; for messages, never for decisions. */
	describe(ip: Ip): string | undefined {
		return this.nameAt(ip) ?? this.#real.get(formatIp(ip));
	}
}
