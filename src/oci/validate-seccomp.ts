/** The `linux.seccomp` section of a spec (seccomp(2); the names of actions and operators are libseccomp's). */

import { each, list, object, oneOf, optional, specInvalid, text, texts, whole } from "./check.ts";
import type { SeccompAction, SeccompOperator } from "./types.ts";

const ACTIONS = Object.keys({
	SCMP_ACT_KILL: 0,
	SCMP_ACT_KILL_PROCESS: 0,
	SCMP_ACT_KILL_THREAD: 0,
	SCMP_ACT_TRAP: 0,
	SCMP_ACT_ERRNO: 0,
	SCMP_ACT_TRACE: 0,
	SCMP_ACT_ALLOW: 0,
	SCMP_ACT_LOG: 0,
	SCMP_ACT_NOTIFY: 0,
} satisfies Record<SeccompAction, 0>) as readonly SeccompAction[];

const OPERATORS = Object.keys({
	SCMP_CMP_NE: 0,
	SCMP_CMP_LT: 0,
	SCMP_CMP_LE: 0,
	SCMP_CMP_EQ: 0,
	SCMP_CMP_GE: 0,
	SCMP_CMP_GT: 0,
	SCMP_CMP_MASKED_EQ: 0,
} satisfies Record<SeccompOperator, 0>) as readonly SeccompOperator[];

const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/** The kernel cuts the errno of a filter off at this (linux/err.h). */
const MAX_ERRNO = 4095;

/** @throws VmjailError SPEC_INVALID */
export function seccomp(value: unknown, path: string): void {
	const found = object(value, path);
	oneOf(found["defaultAction"], `${path}.defaultAction`, ACTIONS);
	optional(found, "defaultErrnoRet", path, errno);
	each(found, "architectures", path, text);
	each(found, "flags", path, text);
	each(found, "syscalls", path, rule);
}

function rule(value: unknown, path: string): void {
	const found = object(value, path);
	if (texts(found["names"], `${path}.names`).length === 0) throw specInvalid(`${path}.names`, "is empty");
	oneOf(found["action"], `${path}.action`, ACTIONS);
	optional(found, "errnoRet", path, errno);
	optional(found, "args", path, (args, at) => {
		for (const [i, item] of list(args, at).entries()) argument(item, `${at}[${i}]`);
	});
}

function argument(value: unknown, path: string): void {
	const found = object(value, path);
	whole(found["index"], `${path}.index`, 0, 5);
	oneOf(found["op"], `${path}.op`, OPERATORS);
	word(found["value"], `${path}.value`);
	optional(found, "valueTwo", path, word);
}

function word(value: unknown, path: string): void {
	if (typeof value === "bigint" && value >= 0n && value <= MAX_U64) return;
	whole(value, path);
}

function errno(value: unknown, path: string): number {
	return whole(value, path, 0, MAX_ERRNO);
}
