/** Which calls a profile surely lets through. Pure. */

import type { LinuxSeccomp, SeccompArg, SeccompRule } from "../../oci/types.ts";

/** A call, and those of its first arguments that are known. */
export interface KnownCall {
	readonly name: string;
	readonly args?: readonly number[];
}

const ALLOW = "SCMP_ACT_ALLOW";

function compare({ op, value, valueTwo = 0 }: SeccompArg, given: bigint): boolean {
	const bound = BigInt(value);
	switch (op) {
		case "SCMP_CMP_NE":
			return given !== bound;
		case "SCMP_CMP_LT":
			return given < bound;
		case "SCMP_CMP_LE":
			return given <= bound;
		case "SCMP_CMP_EQ":
			return given === bound;
		case "SCMP_CMP_GE":
			return given >= bound;
		case "SCMP_CMP_GT":
			return given > bound;
		case "SCMP_CMP_MASKED_EQ":
			return (given & bound) === BigInt(valueTwo);
		default:
			return op satisfies never;
	}
}

/** Does the rule hold for the call? Undefined: that hangs on what is not known. */
function holds({ args = [] }: SeccompRule, known: readonly number[]): boolean | undefined {
	const each = args.map((arg) => {
		const given = known[arg.index];
		return given === undefined ? undefined : compare(arg, BigInt(given));
	});
	if (each.includes(false)) return false;
	return each.includes(undefined) ? undefined : true;
}

/** In doubt not. A rule without conditions wins over all that have some, and the first of several counts. */
function allows({ defaultAction, syscalls = [] }: LinuxSeccomp, { name, args = [] }: KnownCall): boolean {
	const rules = syscalls.filter(({ names }) => names.includes(name));
	const always = rules.find((rule) => (rule.args ?? []).length === 0);
	if (always !== undefined) return always.action === ALLOW;
	const may = rules.filter((rule) => holds(rule, args) !== false);
	if (may.some(({ action }) => action !== ALLOW)) return false;
	return defaultAction === ALLOW || may.some((rule) => holds(rule, args) === true);
}

/** Does a process under this profile make all of these calls unhindered? Without a profile it does. */
export function allowsAll(profile: LinuxSeccomp | undefined, calls: readonly KnownCall[]): boolean {
	return profile === undefined || calls.every((call) => allows(profile, call));
}
