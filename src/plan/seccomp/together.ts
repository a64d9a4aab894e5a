/** Several profiles → one filter that decides as all of them installed one after the other would. */

import type { Architecture } from "../../host/types.ts";
import { rulesOf } from "../../oci/seccomp/rules.ts";
import { keyOfNamed } from "../../oci/seccomp-of.ts";
import type { LinuxSeccomp } from "../../oci/types.ts";
import { assemble } from "./assemble.ts";
import { bytesOf } from "./bpf.ts";
import { type CompiledSeccomp, decideCalls, inArchitecture } from "./compile.ts";
import { type Decision, type DecisionMaker, decisionMaker } from "./decision.ts";
import { filterFlags } from "./flags.ts";
import { READY } from "./ready.ts";
import { searchTree } from "./search.ts";

/**
 * For gVisor, whose kernel runs every filter of a process for each of 2001 system calls whenever one is installed and
 * whenever the process clones: half a millisecond for a filter that does next to nothing, 1.4 ms for a profile.
 *
 * @param profiles in the order of their installation: of equally strict answers that of the last one counts, seccomp(2)
 * @throws VmjailError as compileSeccomp does
 */
export function compileTogether(
	profiles: readonly LinuxSeccomp[],
	arch: Architecture,
): Pick<CompiledSeccomp, "instructions" | "bytes" | "flags"> {
	const make = decisionMaker();
	const strictest = strictestWith(make);
	const parts = profiles.map((profile) => decideCalls(profile, rulesOf(profile), arch, make));
	const numbers = new Set(parts.flatMap(({ calls }) => [...calls.keys()]));
	const decide = (number: number | undefined): Decision =>
		parts
			.map(({ calls, otherwise }) => (number === undefined ? otherwise : (calls.get(number) ?? otherwise)))
			.reduce((first, second) => strictest(first, second));
	const otherwise = decide(undefined);
	const calls = new Map([...numbers].map((number) => [number, decide(number)] as const));
	const instructions = assemble(inArchitecture(searchTree(calls, otherwise, make), arch, make));
	const flags = profiles.reduce((all, profile) => all | filterFlags(profile, rulesOf(profile)), 0);
	return { instructions, bytes: bytesOf(instructions), flags };
}

/**
 * Asks what both ask; where both have answered, the stricter answer counts, and of two alike the second one. Many ways lead
 * to one decision: each pair is made once.
 */
function strictestWith(make: DecisionMaker): (first: Decision, second: Decision) => Decision {
	const made = new Map<Decision, Map<Decision, Decision>>();
	function strictest(first: Decision, second: Decision): Decision {
		const known = made.get(first) ?? new Map<Decision, Decision>();
		made.set(first, known);
		const decision = known.get(second) ?? join(first, second);
		known.set(second, decision);
		return decision;
	}
	function join(first: Decision, second: Decision): Decision {
		if (first.kind === "question") {
			const { yes, no } = first;
			return make.ask({ ...first, yes: strictest(yes, second), no: strictest(no, second) });
		}
		if (second.kind === "question") {
			const { yes, no } = second;
			return make.ask({ ...second, yes: strictest(first, yes), no: strictest(first, no) });
		}
		return rank(first.value) < rank(second.value) ? first : second;
	}
	return strictest;
}

/** The key of these profiles together in {@link READY}; undefined where one of them has none. */
export function jointKey(profiles: readonly LinuxSeccomp[], arch: Architecture): string | undefined {
	const keys = profiles.map(keyOfNamed);
	return keys.includes(undefined) ? undefined : `${keys.join(" + ")} on ${arch}`;
}

/** The same filter where vmjail was built with it. */
export function readyTogether(
	profiles: readonly LinuxSeccomp[],
	arch: Architecture,
): Pick<CompiledSeccomp, "bytes" | "flags"> | undefined {
	const key = jointKey(profiles, arch);
	const words = key === undefined ? undefined : READY[key];
	return words === undefined ? undefined : { bytes: new Uint8Array(Uint32Array.from(words()).buffer), flags: 0 };
}

/** The kernel compares the action as a number with a sign: KILL_PROCESS is negative, ALLOW the greatest. */
function rank(value: number): number {
	return (value & 0xffff_0000) | 0;
}
