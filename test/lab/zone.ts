/** What the lab's DNS server knows, and the addresses of its Internet. All look like public ones: the gateway refuses others. */

import type { Answer } from "dns-packet";

/** The host namespace: where vmjail runs. */
export const host = { v4: "45.33.32.2", v6: "2600:3c00::2" };
/** The other end of the host's link. */
export const router = { v4: "45.33.32.1", v6: "2600:3c00::1" };

export const resolver = "9.9.9.10";
/** A second DNS server, for programs that bring their own. */
const otherResolver = "8.8.8.8";

export const address = {
	npm: "72.167.71.164",
	pypi: "151.101.64.223",
	pypi6: "2a04:4e42:600::223",
	python: "151.101.0.223",
	python6: "2a04:4e42:200::223",
	wwwPython: "151.101.76.223",
	wwwPython6: "2a04:4e42:12::223",
	cdn: "104.16.1.1",
	chain: "104.16.2.2",
	rebind: "104.16.3.3",
	fallback: "104.16.4.4",
	v6only: "2606:4700::6666",
	/** No answer ever comes from here. */
	blackhole6: "2606:4700:dead::1",
	udp: "104.16.5.5",
	ssh: "104.16.6.6",
	one: "1.1.1.1",
	eight: otherResolver,
	metadata: "169.254.169.254",
	private: "10.11.12.13",
} as const;

type Record4 = readonly string[];
interface Entry {
	readonly A?: Record4;
	readonly AAAA?: Record4;
	readonly CNAME?: string;
	readonly TXT?: string;
	readonly MX?: string;
	/** Used in turns, one per A query; the last stays. */
	readonly rotating?: readonly string[];
}

/** UDP at `address.udp`: what comes here comes back later. */
export const LATE_ECHO_PORT = 77;
export const LATE_ECHO_MS = 1500;

/** Names below ".wild.test" all exist. */
export const zone: Readonly<Record<string, Entry>> = {
	"npm.org": { A: [address.npm], TXT: "v=spf1 -all", MX: "mail.npm.org" },
	"registry.npm.org": { A: [address.npm] },
	"mail.npm.org": { A: [address.npm] },
	"pypi.org": { A: [address.pypi], AAAA: [address.pypi6] },
	"python.org": { A: [address.python], AAAA: [address.python6] },
	"www.python.org": { CNAME: "dualstack.python.cdn.test" },
	"dualstack.python.cdn.test": { A: [address.wwwPython], AAAA: [address.wwwPython6] },
	"allowed.cdn.test": { A: [address.cdn] },
	"denied.cdn.test": { A: [address.cdn] },
	"chain.test": { CNAME: "a.chain.test" },
	"a.chain.test": { CNAME: "b.chain.test" },
	"b.chain.test": { A: [address.chain] },
	"loop.test": { CNAME: "loop2.test" },
	"loop2.test": { CNAME: "loop.test" },
	"rebind.test": { rotating: [address.rebind, "127.0.0.1"] },
	"rebind-loopback.test": { A: ["127.0.0.1"], AAAA: ["::1"] },
	"rebind-metadata.test": { A: [address.metadata] },
	"rebind-private.test": { A: [address.private] },
	"rebind-own.test": { A: [host.v4], AAAA: [host.v6] },
	"rebind-mapped.test": { AAAA: ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"] },
	"rebind-mixed.test": { A: ["127.0.0.1", address.rebind] },
	"v6only.test": { AAAA: [address.v6only] },
	"v6broken.test": { A: [address.fallback], AAAA: [address.blackhole6] },
	"echo.test": { A: [address.udp] },
	"time.test": { A: [address.udp] },
	"ssh.test": { A: [address.ssh] },
	"evil.test": { A: [address.eight] },
	"a-name-so-long-that-sixteen-of-its-addresses-need-more-than-512.test": {
		A: Array.from({ length: 60 }, (_, i) => `104.17.0.${i + 1}`),
	},
};

/** Every address that the Internet answers on (all but the black hole and the host's own). */
export const addresses: readonly string[] = [
	resolver,
	...Object.values(address).filter((each) => each !== address.blackhole6),
].filter((each, index, all) => all.indexOf(each) === index);

export interface Answered {
	readonly code: "NOERROR" | "NXDOMAIN" | "SERVFAIL";
	readonly answers: readonly Answer[];
}

/** Answers as a recursive resolver would, CNAME chains followed. `asked` counts the queries per name. */
export function answerOf(name: string, type: string, asked: number): Answered {
	const answers: Answer[] = [];
	let owner = name.toLowerCase();
	for (let hops = 0; hops < 8; hops++) {
		const entry = zone[owner] ?? (owner.endsWith(".wild.test") ? { A: [address.chain] } : undefined);
		if (entry === undefined) return { code: "NXDOMAIN", answers };
		if (entry.CNAME === undefined)
			return { code: "NOERROR", answers: [...answers, ...recordsOf(owner, entry, type, asked)] };
		answers.push({ name: owner, type: "CNAME", ttl: 60, data: entry.CNAME });
		owner = entry.CNAME;
	}
	return { code: "SERVFAIL", answers: [] };
}

function recordsOf(name: string, entry: Entry, type: string, asked: number): Answer[] {
	const { rotating } = entry;
	if (type === "A" && rotating !== undefined) {
		return [{ name, type: "A", ttl: 0, data: rotating[Math.min(asked, rotating.length - 1)] ?? "" }];
	}
	if (type === "A") return (entry.A ?? []).map((data) => ({ name, type: "A", ttl: 60, data }));
	if (type === "AAAA") return (entry.AAAA ?? []).map((data) => ({ name, type: "AAAA", ttl: 60, data }));
	if (type === "TXT" && entry.TXT !== undefined) return [{ name, type: "TXT", ttl: 60, data: entry.TXT }];
	if (type === "MX" && entry.MX !== undefined)
		return [{ name, type: "MX", ttl: 60, data: { preference: 10, exchange: entry.MX } }];
	return [];
}
