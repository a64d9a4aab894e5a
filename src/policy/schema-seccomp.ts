/** `security.syscalls` as an object: the OCI runtime specification's `linux.seccomp`, checked in shape. */

import * as v from "valibot";
import type { LinuxSeccomp, SeccompArg, SeccompRule } from "../oci/types.ts";
import { choice, integer, list, said, text } from "./fields.ts";
import type { Parsed } from "./parsed.ts";
import { show } from "./shown.ts";
import { SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_FLAGS, SECCOMP_OPERATORS } from "./tables.ts";

const errno = (description: string) => integer(description, 0, 4095, "an error number from 0 to 4095");

/** 0 … 2^64 − 1, exact. Digits beyond 2^53 arrive as a bigint; a double there has already lost its last ones. */
function word(description: string) {
	const message = said("a whole number from 0 to 18446744073709551615");
	return v.pipe(
		v.union([v.number(), v.bigint()], message),
		v.check(
			(value) => value >= 0 && value < 2n ** 64n && (typeof value === "bigint" || Number.isSafeInteger(value)),
			message,
		),
		v.description(description),
	);
}

function parseSyscallName(name: string): Parsed<string> {
	return /^[a-z0-9_]{1,64}$/.test(name)
		? { value: name }
		: { problem: `expected the name of a system call, got ${show(name)}` };
}

/** Keys that the specification requires are optional for the type checker only: their absence is reported below. */
const argument = v.pipe(
	v.strictObject(
		{
			index: integer("Which argument, from 0.", 0, 5),
			value: word("What it is compared with; for SCMP_CMP_MASKED_EQ, the mask."),
			valueTwo: v.optional(word("For SCMP_CMP_MASKED_EQ: what the masked argument is compared with.")),
			op: choice(SECCOMP_OPERATORS, "The comparison."),
		},
		said("an object in braces"),
	),
	v.description("A condition on one argument; a rule matches where all of them hold."),
	v.transform(({ valueTwo, ...rest }): SeccompArg => ({ ...rest, ...(valueTwo === undefined ? {} : { valueTwo }) })),
);

const rule = v.pipe(
	v.strictObject(
		{
			names: v.pipe(
				list(text("Name of a system call.", "the name of a system call", parseSyscallName), "The system calls."),
				v.minLength(1, said("at least one name")),
			),
			action: choice(SECCOMP_ACTIONS, "What happens."),
			errnoRet: v.optional(errno("Error number for SCMP_ACT_ERRNO.")),
			args: v.optional(list(argument, "Conditions on the arguments.")),
		},
		said("an object in braces"),
	),
	v.transform(
		({ errnoRet, args, ...rest }): SeccompRule => ({
			...rest,
			...(errnoRet === undefined ? {} : { errnoRet }),
			...(args === undefined ? {} : { args }),
		}),
	),
);

export const seccomp = v.pipe(
	v.strictObject(
		{
			defaultAction: choice(SECCOMP_ACTIONS, "What happens to a system call that no rule names."),
			defaultErrnoRet: v.optional(errno("Error number where the default action is SCMP_ACT_ERRNO.")),
			architectures: v.optional(
				list(choice(SECCOMP_ARCHITECTURES, "An architecture."), "Architectures beside the host's own."),
			),
			flags: v.optional(list(choice(SECCOMP_FLAGS, "A flag."), "Flags of seccomp(2).")),
			syscalls: v.optional(list(rule, "The rules.")),
		},
		said('"default", "strict" or a seccomp object'),
	),
	v.transform(
		({ defaultErrnoRet, architectures, flags, syscalls, ...rest }): LinuxSeccomp => ({
			...rest,
			...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
			...(architectures === undefined ? {} : { architectures }),
			...(flags === undefined ? {} : { flags }),
			...(syscalls === undefined ? {} : { syscalls }),
		}),
	),
);
