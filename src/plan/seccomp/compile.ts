/** OCI seccomp object → the program for seccomp(2). */

import { VmjailError } from "../../errors.ts";
import type { Architecture } from "../../host/types.ts";
import { byName, defaultVerdict, type Rule, rulesOf } from "../../oci/seccomp/rules.ts";
import { keyOfNamed } from "../../oci/seccomp-of.ts";
import type { LinuxSeccomp } from "../../oci/types.ts";
import { syscallNumber } from "../syscalls.ts";
import { assemble } from "./assemble.ts";
import { byBits } from "./bits.ts";
import { AUDIT_ARCH, bytesOf, type Instruction, OFFSET, returnValue } from "./bpf.ts";
import { decideCall } from "./conditions.ts";
import { type Decision, type DecisionMaker, decisionMaker } from "./decision.ts";
import { filterFlags } from "./flags.ts";
import { READY } from "./ready.ts";
import { searchTree } from "./search.ts";

export interface CompiledSeccomp {
	readonly instructions: readonly Instruction[];
	/** The same as `struct sock_filter[]`. */
	readonly bytes: Uint8Array;
	/** SECCOMP_FILTER_FLAG_* for seccomp(2). SECCOMP_FILTER_FLAG_NEW_LISTENER is in it where a rule notifies. */
	readonly flags: number;
	/** Names that this architecture has no system call for: their rules have no effect, as in runc and crun. */
	readonly ignored: readonly string[];
	/** Architectures that the profile lists and this filter refuses all the same: only the native one is let in. */
	readonly refusedArchitectures: readonly string[];
}

/** Bit 30 of the number marks the x32 calling convention of x86_64. */
const X32_FIRST = 0x40000000;
const KILL_PROCESS = { action: "SCMP_ACT_KILL_PROCESS", errno: 0 } as const;
const ENOSYS = { action: "SCMP_ACT_ERRNO", errno: 38 } as const;

const NATIVE: Readonly<Record<Architecture, string>> = { x86_64: "SCMP_ARCH_X86_64", aarch64: "SCMP_ARCH_AARCH64" };
const ARCHITECTURE = /^SCMP_ARCH_[A-Z0-9_]+$/;

/** Profiles are never changed once made, so a profile's identity stands for its content. */
const compiled: Readonly<Record<Architecture, WeakMap<LinuxSeccomp, CompiledSeccomp>>> = {
	x86_64: new WeakMap(),
	aarch64: new WeakMap(),
};

const ready = new WeakMap<LinuxSeccomp, Pick<CompiledSeccomp, "bytes" | "flags">>();

/**
 * Compiles a profile, with the meaning that libseccomp gives it under runc and crun (docs/seccomp.md has the details
 * and the differences).
 *
 * A system call of another architecture kills the process. An x32 call on x86_64 answers ENOSYS, as a kernel without x32
 * does. A filter asks O(log n) questions before it comes to a call's own conditions.
 *
 * Compiled once for each profile object: it takes a millisecond, and jails of one policy share theirs.
 *
 * @throws VmjailError POLICY_INVALID: a fault in the profile, or more than 4096 instructions
 */
export function compileSeccomp(profile: LinuxSeccomp, arch: Architecture): CompiledSeccomp {
	const known = compiled[arch].get(profile);
	if (known !== undefined) return known;
	const fresh = compile(profile, arch);
	compiled[arch].set(profile, fresh);
	return fresh;
}

/** The filter of a named profile where vmjail was built with it: what {@link compileSeccomp} makes of the profile. */
export function readyFilter(profile: LinuxSeccomp): Pick<CompiledSeccomp, "bytes" | "flags"> | undefined {
	const key = keyOfNamed(profile);
	const words = key === undefined ? undefined : READY[key];
	if (words === undefined) return undefined;
	const known = ready.get(profile);
	if (known !== undefined) return known;
	const fresh = { bytes: new Uint8Array(Uint32Array.from(words()).buffer), flags: 0 };
	ready.set(profile, fresh);
	return fresh;
}

function compile(profile: LinuxSeccomp, arch: Architecture): CompiledSeccomp {
	const rules = rulesOf(profile);
	const make = decisionMaker();
	const instructions = assemble(decide(profile, rules, arch, make));
	return {
		instructions,
		bytes: bytesOf(instructions),
		flags: filterFlags(profile, rules),
		ignored: [...new Set(rules.map(({ name }) => name))].filter((name) => syscallNumber(arch, name) === undefined),
		refusedArchitectures: refusedArchitectures(profile, arch),
	};
}

function decide(profile: LinuxSeccomp, rules: readonly Rule[], arch: Architecture, make: DecisionMaker): Decision {
	const { calls, otherwise } = decideCalls(profile, rules, arch, make);
	return inArchitecture(searchTree(calls, otherwise, make), arch, make);
}

/** What a profile decides about each call that its rules name, and about all others. */
export function decideCalls(
	profile: LinuxSeccomp,
	rules: readonly Rule[],
	arch: Architecture,
	make: DecisionMaker,
): { readonly calls: ReadonlyMap<number, Decision>; readonly otherwise: Decision } {
	const otherwise = make.answer(returnValue(defaultVerdict(profile)));
	const calls = new Map<number, Decision>();
	for (const [name, ofCall] of byName(rules)) {
		const number = syscallNumber(arch, name);
		if (number !== undefined) calls.set(number, shorter(decideCall(ofCall, otherwise, make), make));
	}
	return { calls, otherwise };
}

/** A decision about native calls → one about all: other architectures' are fatal, and x32 is not there. */
export function inArchitecture(native: Decision, arch: Architecture, make: DecisionMaker): Decision {
	return make.ask({
		offset: OFFSET.arch,
		mask: undefined,
		comparison: "equal",
		k: AUDIT_ARCH[arch],
		yes: arch === "x86_64" ? withoutX32(native, make) : native,
		no: make.answer(returnValue(KILL_PROCESS)),
	});
}

/** By bits where that takes fewer instructions. */
function shorter(decision: Decision, make: DecisionMaker): Decision {
	if (decision.kind === "answer") return decision;
	const other = byBits(decision, make);
	return other !== undefined && assemble(other).length < assemble(decision).length ? other : decision;
}

function withoutX32(native: Decision, make: DecisionMaker): Decision {
	const yes = make.answer(returnValue(ENOSYS));
	return make.ask({
		offset: OFFSET.number,
		mask: undefined,
		comparison: "greaterOrEqual",
		k: X32_FIRST,
		yes,
		no: native,
	});
}

/** Listing more architectures widens a profile, so leaving one out fails closed: its programs are killed. */
function refusedArchitectures(profile: LinuxSeccomp, arch: Architecture): readonly string[] {
	return (profile.architectures ?? []).filter((name, at) => {
		if (!ARCHITECTURE.test(name)) {
			throw new VmjailError("POLICY_INVALID", `seccomp: architectures[${at}]: "${name}" is no architecture`, {
				remedy: `Write "${NATIVE[arch]}" or leave "architectures" out.`,
			});
		}
		return name !== NATIVE[arch];
	});
}
