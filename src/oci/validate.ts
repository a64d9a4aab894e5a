/** Is this an OCI runtime configuration? Checked by hand against the runtime specification 1.2, one property at a time. */

import { each, flag, type Json, list, object, oneOf, optional, specInvalid, text, texts, whole } from "./check.ts";
import { isClean } from "./paths.ts";
import type { Rlimit, Spec } from "./types.ts";
import { linux } from "./validate-linux.ts";

/** The greatest id that is not (uid_t) -1. */
const MAX_ID = 0xffff_fffe;

const RLIM_INFINITY = 18446744073709551615n;

const RLIMITS: readonly string[] = [
	"AS",
	"CORE",
	"CPU",
	"DATA",
	"FSIZE",
	"LOCKS",
	"MEMLOCK",
	"MSGQUEUE",
	"NICE",
	"NOFILE",
	"NPROC",
	"RSS",
	"RTPRIO",
	"RTTIME",
	"SIGPENDING",
	"STACK",
].map((name) => `RLIMIT_${name}`);

/**
 * Checks every property that vmjail reads. Properties it does not know are let through, as the specification demands
 * of runtimes ("Extensibility"). Limits of 2^64-1 in `process.rlimits` come back as Infinity.
 *
 * @param value plain data, from parseSpecJson or from specOf.
 * @throws VmjailError SPEC_INVALID with the JSON path of the first fault.
 */
export function validateSpec(value: unknown): Spec {
	const spec = object(value, "");
	if (!/^1\.\d+\.\d+(-[\w.]+)?$/.test(text(spec["ociVersion"], "ociVersion"))) {
		throw specInvalid("ociVersion", "is not a version 1 of the runtime specification");
	}
	const program = object(spec["process"], "process");
	const root = object(spec["root"], "root");
	if (text(root["path"], "root.path") === "") throw specInvalid("root.path", "is empty");
	optional(root, "readonly", "root", flag);
	optional(spec, "hostname", "", text);
	each(spec, "mounts", "", mount);
	optional(spec, "annotations", "", (map, path) => {
		for (const [key, item] of Object.entries(object(map, path))) text(item, `${path}[${JSON.stringify(key)}]`);
	});
	linux(object(spec["linux"], "linux"));
	const rlimits = checkProcess(program);
	return {
		mounts: [],
		...spec,
		process: { ...program, ...(rlimits === undefined ? {} : { rlimits }) },
	} as unknown as Spec;
}

/** @returns the limits, those without end as Infinity. */
function checkProcess(program: Json): readonly Rlimit[] | undefined {
	optional(program, "terminal", "process", flag);
	if (!isClean(text(program["cwd"], "process.cwd"))) throw specInvalid("process.cwd", "is not a clean absolute path");
	if (texts(program["args"], "process.args").length === 0) throw specInvalid("process.args", "is empty");
	each(program, "env", "process", (item, path) => {
		if (!/^[^=]+=/.test(text(item, path))) throw specInvalid(path, "is not NAME=value");
	});
	const user = object(program["user"], "process.user");
	whole(user["uid"], "process.user.uid", 0, MAX_ID);
	whole(user["gid"], "process.user.gid", 0, MAX_ID);
	each(user, "additionalGids", "process.user", (gid, path) => whole(gid, path, 0, MAX_ID));
	optional(program, "capabilities", "process", (sets, path) => {
		for (const set of ["bounding", "effective", "permitted", "inheritable", "ambient"]) {
			each(object(sets, path), set, path, capability);
		}
	});
	optional(program, "noNewPrivileges", "process", flag);
	optional(program, "apparmorProfile", "process", text);
	optional(program, "selinuxLabel", "process", text);
	const limits = program["rlimits"];
	if (limits === undefined) return undefined;
	const found = list(limits, "process.rlimits").map((item, i) => rlimit(item, `process.rlimits[${i}]`));
	const twice = found.findIndex((limit, i) => found.findIndex((other) => other.type === limit.type) !== i);
	if (twice !== -1) throw specInvalid(`process.rlimits[${twice}].type`, "is there twice");
	return found;
}

function mount(value: unknown, path: string): void {
	const found = object(value, path);
	if (!isClean(text(found["destination"], `${path}.destination`))) {
		throw specInvalid(`${path}.destination`, "is not a clean absolute path");
	}
	optional(found, "type", path, text);
	optional(found, "source", path, text);
	each(found, "options", path, text);
}

function capability(value: unknown, path: string): void {
	if (!/^CAP_[A-Z_]+$/.test(text(value, path))) throw specInvalid(path, "is not a capability (CAP_…)");
}

function rlimit(value: unknown, path: string): Rlimit {
	const found = object(value, path);
	const type = oneOf(found["type"], `${path}.type`, RLIMITS);
	const soft = bound(found["soft"], `${path}.soft`);
	const hard = bound(found["hard"], `${path}.hard`);
	if (soft > hard) throw specInvalid(`${path}.soft`, "is above the hard limit");
	return { type, soft, hard };
}

function bound(value: unknown, path: string): number {
	if (value === RLIM_INFINITY || value === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
	return whole(value, path);
}
