/** A caller's policy held against the broker's: what it may narrow, and what it may not widen. Pure. */

import { isDeepStrictEqual } from "node:util";
import { VmjailError } from "../../errors.ts";
import type { NetworkMode, Policy, RlimitName } from "../../policy/types.ts";

type Sections = Policy["security"]["network"]["policy"];

/** From the least network to the most. */
const MODES: readonly NetworkMode[] = ["none", "hostwithpolicy", "host"];

/** Notes what is wider, and goes on. */
class Comparison {
	readonly wider: string[] = [];

	refuse(path: string, asked: unknown, allowed: unknown): void {
		this.wider.push(`${path}: ${JSON.stringify(asked)} is more than this broker allows (${JSON.stringify(allowed)})`);
	}

	/** The smaller of two limits; absent is no limit. */
	most(path: string, asked: number | undefined, ceiling: number | undefined): number | undefined {
		if (ceiling === undefined) return asked;
		if (asked === undefined) return ceiling;
		if (asked > ceiling) this.refuse(path, asked, ceiling);
		return asked;
	}

	/** Every element must be one of the ceiling's. */
	within<T>(path: string, asked: readonly T[], ceiling: readonly T[], text: (one: T) => unknown = (one) => one): void {
		const known = new Set(ceiling.map((one) => JSON.stringify(text(one))));
		const over = asked.filter((one) => !known.has(JSON.stringify(text(one))));
		if (over.length > 0) this.refuse(path, over.map(text), ceiling.map(text));
	}
}

/** `{ [key]: value }`, or nothing. */
function defined<K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } {
	return (value === undefined ? {} : { [key]: value }) as { [P in K]?: T };
}

function rlimits(of: Comparison, asked: Policy["system"]["rlimits"], ceiling: Policy["system"]["rlimits"]) {
	const names = new Set([...Object.keys(asked), ...Object.keys(ceiling)]) as ReadonlySet<RlimitName>;
	return Object.fromEntries(
		[...names].map((name) => [name, of.most(`system.rlimits.${name}`, asked[name], ceiling[name])]),
	);
}

/** "0-2,5" → 0, 1, 2, 5. The policy's parser has checked it. */
function processors(list: string): readonly number[] {
	return list.split(",").flatMap((part) => {
		const [from = 0, to = from] = part.split("-").map(Number);
		return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
	});
}

function pin(of: Comparison, asked: string | undefined, ceiling: string | undefined): string | undefined {
	if (ceiling === undefined || asked === undefined) return asked ?? ceiling;
	of.within("system.cpu.pin", processors(asked), processors(ceiling));
	return asked;
}

function runtime(of: Comparison, { system: asked }: Policy, { system: ceiling }: Policy): void {
	// runlc parts least from the host: whoever allows it allows the others.
	const allowed = {
		runlc: ["runlc", "runsc", "runc", "crun", "auto"],
		auto: ["auto", "runsc", "runlc"],
		runsc: ["runsc"],
		runc: ["runc", "runsc"],
		crun: ["crun", "runsc"],
	}[ceiling.runtime];
	if (!allowed.includes(asked.runtime)) of.refuse("system.runtime", asked.runtime, allowed);
	const stands = [...allowed, "", ceiling.rollback];
	if (!stands.includes(asked.rollback)) of.refuse("system.rollback", asked.rollback, stands);
}

function network(of: Comparison, asked: Policy["security"]["network"], ceiling: Policy["security"]["network"]): void {
	const path = "security.network";
	if (MODES.indexOf(asked.mode) > MODES.indexOf(ceiling.mode)) {
		of.refuse(`${path}.mode`, asked.mode, ceiling.mode);
		return;
	}
	if (asked.mode !== "hostwithpolicy" || ceiling.mode === "host") return;
	const text = ({ text: written }: { readonly text: string }) => written;
	const rules: Sections = ceiling.policy;
	of.within(`${path}.policy.tcp`, asked.policy.tcp, rules.tcp, text);
	of.within(`${path}.policy.udp`, asked.policy.udp, rules.udp, text);
	of.within(`${path}.policy.dns`, asked.policy.dns, rules.dns, text);
	of.within(`${path}.policy.listen`, asked.policy.listen, rules.listen);
}

function syscalls(
	of: Comparison,
	asked: Policy["security"]["syscalls"],
	ceiling: Policy["security"]["syscalls"],
): void {
	const same = isDeepStrictEqual(asked, ceiling);
	const stricter = asked === "strict" && ceiling === "default";
	if (!same && !stricter) of.refuse("security.syscalls", asked, ceiling);
}

function allowList(of: Comparison, asked: readonly string[], ceiling: readonly string[]): readonly string[] {
	if (ceiling.length === 0) return asked;
	if (asked.length === 0) return ceiling;
	of.within("security.process.allow", asked, ceiling);
	return asked;
}

function mac(of: Comparison, asked: Policy["security"]["mac"], ceiling: Policy["security"]["mac"]) {
	for (const name of ["apparmor", "selinux"] as const) {
		const differs = ceiling[name] !== undefined && asked[name] !== undefined && asked[name] !== ceiling[name];
		if (differs) of.refuse(`security.mac.${name}`, asked[name], ceiling[name]);
	}
	return { ...asked, ...ceiling };
}

function isWithin(path: string, folder: string): boolean {
	return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}

/** What the broker masks stays masked: nothing of it may be shown again, nor be laid over. */
function masks(of: Comparison, asked: Policy["security"]["file"], ceiling: Policy["security"]["file"]) {
	const shown = [...asked.writablePaths, ...asked.readablePaths, ...asked.tmpfs.map(({ path }) => path)];
	for (const mask of ceiling.maskedPaths) {
		const inside = shown.filter((path) => isWithin(path, mask));
		if (inside.length > 0) of.refuse("security.file", inside, `${mask} is masked`);
	}
	return [...new Set([...asked.maskedPaths, ...ceiling.maskedPaths])];
}

/** The smaller one. */
function least(one: number | undefined, other: number | undefined): number | undefined {
	return one === undefined ? other : Math.min(one, other ?? one);
}

/**
 * Limits that nobody asked for, since they are the preset's that stands in for a policy, are no reason to refuse: where the
 * broker's are smaller, these hold.
 *
 * @param preset the policy that would hold had the caller said nothing
 */
export function withoutExcess(asked: Policy, preset: Policy, ceiling: Policy): Policy {
	const { memory, pids } = asked.system;
	const isOwn = (value: number | undefined, usual: number | undefined) => value !== usual;
	return {
		...asked,
		system: {
			...asked.system,
			memory: isOwn(memory.maxBytes, preset.system.memory.maxBytes)
				? memory
				: { ...memory, ...defined("maxBytes", least(memory.maxBytes, ceiling.system.memory.maxBytes)) },
			pids: isOwn(pids.max, preset.system.pids.max) ? pids : defined("max", least(pids.max, ceiling.system.pids.max)),
		},
	};
}

/**
 * The caller's policy, with every limit that it leaves out taken from the broker's, and nothing optional that the broker wants.
 *
 * Not compared: which files are shown and writable, beyond masks. They are opened with the caller's own rights, so no policy
 * can show more of them than the caller could see without a broker.
 *
 * @throws VmjailError POLICY_INVALID with a line for everything that is wider
 */
export function narrowed(asked: Policy, ceiling: Policy): Policy {
	const of = new Comparison();
	const [a, c] = [asked.system, ceiling.system];
	runtime(of, asked, ceiling);
	of.within("system.devices", a.devices, c.devices);
	of.within("system.capabilities", a.capabilities, c.capabilities);
	network(of, asked.security.network, ceiling.security.network);
	syscalls(of, asked.security.syscalls, ceiling.security.syscalls);
	const result: Policy = {
		system: {
			...a,
			memory: {
				...defined("maxBytes", of.most("system.memory.max", a.memory.maxBytes, c.memory.maxBytes)),
				swapBytes: of.most("system.memory.swap", a.memory.swapBytes, c.memory.swapBytes) ?? 0,
			},
			cpu: {
				...defined("cores", of.most("system.cpu.number", a.cpu.cores, c.cpu.cores)),
				...defined("pin", pin(of, a.cpu.pin, c.cpu.pin)),
			},
			pids: defined("max", of.most("system.pids.max", a.pids.max, c.pids.max)),
			io: {
				...defined(
					"readBytesPerSecond",
					of.most("system.io.readBps", a.io.readBytesPerSecond, c.io.readBytesPerSecond),
				),
				...defined(
					"writeBytesPerSecond",
					of.most("system.io.writeBps", a.io.writeBytesPerSecond, c.io.writeBytesPerSecond),
				),
			},
			time: {
				...defined("cpuMs", of.most("system.time.cpu", a.time.cpuMs, c.time.cpuMs)),
				...defined("wallMs", of.most("system.time.wall", a.time.wallMs, c.time.wallMs)),
			},
			output: defined("maxBytes", of.most("system.output.max", a.output.maxBytes, c.output.maxBytes)),
			rlimits: rlimits(of, a.rlimits, c.rlimits),
			optional: a.optional.filter((control) => c.optional.includes(control)),
		},
		security: {
			...asked.security,
			file: { ...asked.security.file, maskedPaths: masks(of, asked.security.file, ceiling.security.file) },
			process: { allow: allowList(of, asked.security.process.allow, ceiling.security.process.allow) },
			mac: mac(of, asked.security.mac, ceiling.security.mac),
		},
	};
	if (of.wider.length === 0) return result;
	throw new VmjailError("POLICY_INVALID", of.wider.join("\n"), {
		remedy: "Ask for no more than the broker's own policy gives, or have its administrator raise that.",
	});
}
