/** The profiles that a policy asks for by name. */

import type { Architecture } from "../../host/types.ts";
import type { LinuxSeccomp, SeccompArg, SeccompRule } from "../types.ts";
import { NAMESPACE_FLAGS, withFloor } from "./floor.ts";
import { CONDITIONAL, GROUPS, REFUSED } from "./groups.ts";
import { exceptValues32, hasAny, hasNone, isValue32 } from "./masks.ts";

export { withFloor } from "./floor.ts";

// include/uapi/asm-generic/errno{-base,}.h
const EPERM = 1;
const ENOTTY = 25;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;
// include/linux/socket.h
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
/** PER_LINUX and PER_LINUX32, each without and with UNAME26 (old version numbers), and "only tell me". */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];
/**
 * TCGETS, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX (include/uapi/asm-generic/ioctls.h): what C
 * libraries and interpreters ask of descriptors.
 */
const PLAIN_IOCTLS = [0x5401, 0x540f, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451];

/** What the named profiles answer to a call that they do not name. */
export const UNKNOWN_CALLS = { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: ENOSYS } as const;

const strictNames = GROUPS.flatMap(({ strict }) => strict);
const defaultOnlyNames = GROUPS.flatMap(({ more }) => more);

/**
 * For programs that nobody trusts but that are whole programs: compilers, interpreters, package managers, servers.
 * Calls that no list of ours knows answer ENOSYS, so that programs built for a newer kernel use an older way.
 */
export function defaultProfile(arch: Architecture): LinuxSeccomp {
	return profile(arch, [
		allow(strictNames),
		allow(defaultOnlyNames),
		...cloneRules(),
		allow(["ioctl"]), // the floor takes TIOCSTI and TIOCLINUX out
		...socketRules(),
		...familyRules("socketpair", [AF_UNIX]),
		...oneOf("personality", 0, PERSONALITIES, EPERM),
		...seccompRules(),
		refuse(REFUSED, EPERM),
	]);
}

/**
 * For parsers and judged programs: compiled C and C++, Python. Files, memory, threads, child processes and pipes, but no
 * network, links, shared memory, change of identity, or watching of files.
 */
export function strictProfile(arch: Architecture): LinuxSeccomp {
	const own = ["clone", "ioctl", "socketpair"];
	return profile(arch, [
		allow(strictNames),
		...cloneRules(),
		...oneOf("ioctl", 1, PLAIN_IOCTLS, ENOTTY),
		...familyRules("socketpair", [AF_UNIX]),
		refuse([...defaultOnlyNames, ...CONDITIONAL.filter((name) => !own.includes(name)), ...REFUSED], EPERM),
	]);
}

function profile(arch: Architecture, syscalls: readonly SeccompRule[]): LinuxSeccomp {
	return withFloor({ ...UNKNOWN_CALLS, syscalls }, arch);
}

function allow(names: readonly string[], ...args: readonly SeccompArg[]): SeccompRule {
	return { names, action: "SCMP_ACT_ALLOW", ...(args.length > 0 && { args }) };
}

function refuse(names: readonly string[], errnoRet: number, ...args: readonly SeccompArg[]): SeccompRule {
	return { names, action: "SCMP_ACT_ERRNO", errnoRet, ...(args.length > 0 && { args }) };
}

/** A call whose 32-bit argument must be one of `values`; else it fails with `errno`. */
function oneOf(name: string, index: number, values: readonly number[], errno: number): readonly SeccompRule[] {
	return [
		...values.map((value) => allow([name], isValue32(index, value))),
		...exceptValues32(index, values).map((arg) => refuse([name], errno, arg)),
	];
}

/** Threads and child processes, not namespaces. */
function cloneRules(): readonly SeccompRule[] {
	return [
		allow(["clone"], hasNone(0, NAMESPACE_FLAGS)),
		...hasAny(0, NAMESPACE_FLAGS).map((arg) => refuse(["clone"], EPERM, arg)),
	];
}

function familyRules(name: string, families: readonly number[]): readonly SeccompRule[] {
	return oneOf(name, 0, families, EAFNOSUPPORT);
}

/** Local and Internet sockets, and the netlink protocol by which C libraries list interfaces. */
function socketRules(): readonly SeccompRule[] {
	const families = [AF_UNIX, AF_INET, AF_INET6];
	const netlink = isValue32(0, AF_NETLINK);
	return [
		...families.map((family) => allow(["socket"], isValue32(0, family))),
		...exceptValues32(0, [...families, AF_NETLINK]).map((arg) => refuse(["socket"], EAFNOSUPPORT, arg)),
		allow(["socket"], netlink, isValue32(2, NETLINK_ROUTE)),
		...exceptValues32(2, [NETLINK_ROUTE]).map((arg) => refuse(["socket"], EAFNOSUPPORT, netlink, arg)),
	];
}

/**
 * A program may confine itself further, but not with a listener: a notification comes before SECCOMP_RET_TRACE, so a
 * program could answer its own children's calls in place of a tracer outside.
 */
function seccompRules(): readonly SeccompRule[] {
	return [
		allow(["seccomp"], hasNone(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)),
		...hasAny(1, SECCOMP_FILTER_FLAG_NEW_LISTENER).map((arg) => refuse(["seccomp"], EPERM, arg)),
	];
}
