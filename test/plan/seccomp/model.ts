/** What a profile means, said directly: the slow way, rule by rule, in numbers of 64 bits. */

import type { Architecture } from "../../../src/host/types.ts";
import type { LinuxSeccomp, SeccompArg } from "../../../src/oci/types.ts";
import { syscallNumber } from "../../../src/plan/syscalls.ts";
import { ARCH, RET, type SeccompData } from "../../helpers/bpf.ts";
import { actionValue } from "./libseccomp.ts";

/** The value that a filter must return. */
export function expectedValue(profile: LinuxSeccomp, arch: Architecture, call: SeccompData): number {
	if (call.arch !== ARCH[arch]) return RET.KILL_PROCESS;
	const nr = call.nr >>> 0;
	if (arch === "x86_64" && nr >= 0x40000000) return RET.ERRNO + 38;
	const byDefault = actionValue(profile.defaultAction, profile.defaultErrnoRet);
	const rules = (profile.syscalls ?? [])
		.filter(({ names }) => names.some((name) => syscallNumber(arch, name) === nr))
		.map((rule) => ({ value: actionValue(rule.action, rule.errnoRet), args: rule.args ?? [] }))
		.filter(({ value }) => value !== byDefault);
	const unconditional = rules.find(({ args }) => args.length === 0);
	if (unconditional !== undefined) return unconditional.value;
	const values = rules.filter(({ args }) => holds(args, call)).map(({ value }) => value);
	// The strictest, the first of equals: by the upper 16 bits with their sign.
	return values.toSorted((a, b) => (a >> 16) - (b >> 16))[0] ?? byDefault;
}

function holds(args: readonly SeccompArg[], call: SeccompData): boolean {
	const one = (arg: SeccompArg) => compare(arg, BigInt.asUintN(64, call.args[arg.index] ?? 0n));
	const repeated = new Set(args.map(({ index }) => index)).size < args.length;
	return repeated ? args.some(one) : args.every(one);
}

function compare({ op, value, valueTwo }: SeccompArg, actual: bigint): boolean {
	const wanted = BigInt(value);
	switch (op) {
		case "SCMP_CMP_NE":
			return actual !== wanted;
		case "SCMP_CMP_LT":
			return actual < wanted;
		case "SCMP_CMP_LE":
			return actual <= wanted;
		case "SCMP_CMP_EQ":
			return actual === wanted;
		case "SCMP_CMP_GE":
			return actual >= wanted;
		case "SCMP_CMP_GT":
			return actual > wanted;
		case "SCMP_CMP_MASKED_EQ":
			return (actual & wanted) === (BigInt(valueTwo ?? 0) & wanted);
		default:
			return op satisfies never;
	}
}
