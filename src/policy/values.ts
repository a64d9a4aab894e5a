/** Parsers of fields that are neither sizes, paths nor network rules. */

import { chain, type Parsed } from "./parsed.ts";
import { didYouMean, show } from "./shown.ts";
import { CAPABILITIES, RLIMITS } from "./tables.ts";
import type { RlimitName } from "./types.ts";
import { parseDuration, parseSize } from "./units.ts";

/** CONFIG_NR_CPUS is at most 8192. */
const HIGHEST_CPU = 8191;

/** "net_admin" and "CAP_NET_ADMIN" → "CAP_NET_ADMIN". */
export function parseCapability(text: string): Parsed<string> {
	const upper = text.toUpperCase();
	const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
	if (CAPABILITIES.includes(name)) return { value: name };
	if (name === "CAP_ALL") return { problem: `"ALL" is not accepted: list the capabilities that the program needs` };
	return { problem: `${show(text)} is not a capability${didYouMean(name, CAPABILITIES)}` };
}

/** A cpuset list such as "0-1,3" (cpuset(7), "List format") → the same sorted, without overlaps. */
export function parseCpuList(text: string): Parsed<string> {
	const cpus = new Set<number>();
	for (const part of text.split(",")) {
		const [, first = "", last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
		const from = Number(first);
		const to = Number(last);
		if (first === "" || from > to || to > HIGHEST_CPU)
			return { problem: `expected a list of CPUs such as "0-1,3", got ${show(text)}` };
		for (let cpu = from; cpu <= to; cpu++) cpus.add(cpu);
	}
	return { value: ranges([...cpus].sort((a, b) => a - b)) };
}

function ranges(sorted: readonly number[]): string {
	const starts = sorted.filter((cpu, index) => sorted[index - 1] !== cpu - 1);
	const ends = sorted.filter((cpu, index) => sorted[index + 1] !== cpu + 1);
	return starts.map((start, index) => (start === ends[index] ? `${start}` : `${start}-${ends[index]}`)).join(",");
}

/** The value of one resource limit, in setrlimit(2)'s own unit; Infinity for "unlimited". */
export function parseRlimit(name: RlimitName): (input: number | string) => Parsed<number> {
	const counts = RLIMITS[name];
	return (input) => {
		if (input === "unlimited") return { value: Number.POSITIVE_INFINITY };
		if (typeof input === "string" && counts === "bytes") return parseSize(input);
		if (typeof input === "string" && counts === "seconds")
			return chain(parseDuration(input), (ms) => ({ value: Math.ceil(ms / 1000) }));
		if (typeof input === "string" && counts === "microseconds")
			return chain(parseDuration(input), (ms) => ({ value: ms * 1000 }));
		if (typeof input === "number" && Number.isSafeInteger(input) && input >= 0) return { value: input + 0 };
		return { problem: `expected a whole number${RLIMIT_FORMS[counts]} or "unlimited", got ${show(input)}` };
	};
}

const RLIMIT_FORMS = {
	bytes: ' of bytes, a size such as "64MiB"',
	count: "",
	seconds: ' of seconds, a duration such as "10s"',
	microseconds: ' of microseconds, a duration such as "250ms"',
} as const;

/** The name of an environment variable: no "=", no NUL, no pattern. */
export function parseEnvName(text: string): Parsed<string> {
	if (text === "") return { problem: "the name of an environment variable cannot be empty" };
	if (text.includes("="))
		return {
			problem: `expected only the name of an environment variable, got ${show(text)}: values go into system.env.set`,
		};
	if (text.includes("\0"))
		return { problem: `the name of an environment variable cannot hold a NUL character, got ${show(text)}` };
	if (/[*?]/.test(text)) return { problem: `patterns are not supported, got ${show(text)}: name each variable` };
	return { value: text };
}

/** sethostname(2): at most 64 bytes; labels as in RFC 1123. */
export function parseHostname(text: string): Parsed<string> {
	const label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
	if (text.length <= 64 && new RegExp(`^${label}(\\.${label})*$`).test(text)) return { value: text };
	return { problem: `expected a host name of at most 64 letters, digits, hyphens and dots, got ${show(text)}` };
}

/** A profile or label of a Linux security module: one line, not blank. */
export function parseMacLabel(text: string): Parsed<string> {
	if (/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && text.length <= 4096) return { value: text };
	return { problem: `expected the name of a profile or a label, got ${show(text)}` };
}

/** A device file, below /dev. */
export function checkDevice(path: string): Parsed<string> {
	return path.startsWith("/dev/") ? { value: path } : { problem: `expected a device below /dev, got ${show(path)}` };
}

/** CPU cores: cgroup quotas are of at least 1 ms in a period of 100 ms. */
export function checkCores(cores: number): Parsed<number> {
	if (cores >= 0.01 && cores <= HIGHEST_CPU + 1) return { value: cores };
	return { problem: `expected a number of cores from 0.01 to ${HIGHEST_CPU + 1}, got ${show(cores)}` };
}
