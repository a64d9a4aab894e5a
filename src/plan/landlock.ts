/**
 * Landlock: the file policy a second time, in a layer that no mount can undo (Documentation/userspace-api/landlock.rst).
 * Derived from the spec's mounts: what is writable there is writable here, everything else may be read and executed.
 */

import type { HostFacts, PathFact, ProgramFact } from "../host/types.ts";
import type { Mount, Spec } from "../oci/types.ts";
import { AT_FDCWD, O_CLOEXEC, O_PATH } from "./constants.ts";
import { parseOptions } from "./options.ts";
import { executableFiles } from "./programs.ts";
import { cstring, struct } from "./steps.ts";
import type { SlotName, Step } from "./types.ts";

/** LANDLOCK_ACCESS_FS_*, by bit. */
const FS = {
	execute: 1 << 0,
	writeFile: 1 << 1,
	readFile: 1 << 2,
	readDir: 1 << 3,
	removeDir: 1 << 4,
	removeFile: 1 << 5,
	makeChar: 1 << 6,
	makeDir: 1 << 7,
	makeReg: 1 << 8,
	makeSock: 1 << 9,
	makeFifo: 1 << 10,
	makeBlock: 1 << 11,
	makeSym: 1 << 12,
	refer: 1 << 13,
	truncate: 1 << 14,
	ioctlDev: 1 << 15,
} as const;

const ALL = (1 << 16) - 1;
const READ = FS.execute | FS.readFile | FS.readDir;
/** Everything but making device nodes. */
const WRITE = ALL & ~(FS.makeChar | FS.makeBlock);
/** The rights that make sense for something that is not a folder; the kernel refuses others there. */
const OF_FILES = FS.execute | FS.writeFile | FS.readFile | FS.truncate | FS.ioctlDev;

const SCOPE_ABSTRACT_UNIX_SOCKET = 1;
const SCOPE_SIGNAL = 2;

/** The slot with the ruleset, kept by pid 1. */
export const RULESET = "ruleset";

/** What an ABI version knows of the file rights. */
function knownRights(abi: number): number {
	const newer = [
		[2, FS.refer],
		[3, FS.truncate],
		[5, FS.ioctlDev],
	] as const;
	return newer.reduce((rights, [since, right]) => (abi < since ? rights & ~right : rights), ALL);
}

interface Rule {
	readonly path: string;
	readonly rights: number;
	/** Not by way of the folders above: what they allow says nothing. */
	readonly reachedOtherwise?: true;
}

/** mq_open(2) looks a queue up in the namespace's own mount of them, which lies below no folder. */
const QUEUES = { reachedOtherwise: true } as const;

/** The rules of a spec, most general first. With an allow-list of programs, only those may be executed. */
export function landlockRules(
	spec: Spec,
	paths: Readonly<Record<string, PathFact>>,
	programs: readonly ProgramFact[] = [],
): readonly Rule[] {
	const ofMounts = spec.mounts.flatMap((mount): readonly Rule[] => {
		const rights = rightsOf(mount, paths);
		return rights === 0 ? [] : [{ path: mount.destination, rights, ...(mount.type === "mqueue" ? QUEUES : {}) }];
	});
	const all = [{ path: "/", rights: spec.root.readonly ? READ : WRITE }, ...ofMounts];
	if (programs.length === 0) return withoutImplied(all);
	return withoutImplied([
		...all.map(({ path, rights }) => ({ path, rights: rights & ~FS.execute })),
		...executableFiles(programs).map((path) => ({ path, rights: FS.execute | FS.readFile })),
	]);
}

/**
 * What a folder's rule allows it allows below, across mounts too: a rule that adds nothing to one above it is left out.
 * Each costs the start of a jail two system calls, and each look at a path the kernel a search.
 */
function withoutImplied(rules: readonly Rule[]): readonly Rule[] {
	const implies = (above: Rule, rule: Rule) =>
		rule.path.startsWith(above.path === "/" ? "/" : `${above.path}/`) &&
		rule.path !== above.path &&
		(rule.rights & ~above.rights) === 0;
	return rules.filter((rule) => rule.reachedOtherwise || !rules.some((above) => implies(above, rule)));
}

/** What a mount allows beyond what the root does; 0: nothing. */
function rightsOf(mount: Mount, paths: Readonly<Record<string, PathFact>>): number {
	const options = parseOptions(mount.options ?? [], mount.destination);
	if (options.readonly) return 0;
	if (mount.type === "proc") return READ | FS.writeFile | FS.truncate;
	if (mount.type === "sysfs") return 0;
	if (!options.bind) return WRITE;
	const kind = paths[mount.source ?? mount.destination]?.kind;
	const folder = kind === undefined ? options.recursive : kind === "directory";
	return folder ? WRITE : OF_FILES;
}

/**
 * Steps that build the ruleset inside the jail; workloads restrict themselves with it.
 *
 * @param open opens a path of the jail for a rule
 */
export function rulesetSteps(
	spec: Spec,
	facts: Pick<HostFacts, "paths" | "programs" | "landlockAbi">,
	open: (path: string, save: SlotName) => Step = openPlainly,
): readonly Step[] {
	const { paths, programs, landlockAbi: abi } = facts;
	const known = knownRights(abi);
	const scopes = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	const fields = [{ u64: known }, ...(abi >= 4 ? [{ u64: 0 }] : []), ...(abi >= 6 ? [{ u64: scopes }] : [])];
	const attribute = struct(`{fs=0x${known.toString(16)}${abi >= 6 ? ", scoped" : ""}}`, fields);
	return [
		{
			label: "make a Landlock ruleset",
			call: "landlock_create_ruleset",
			args: [attribute, attribute.bytes.length, 0],
			save: RULESET,
		},
		...landlockRules(spec, paths, programs).flatMap(({ path, rights }) => ruleSteps(path, rights & known, open)),
	];
}

function openPlainly(path: string, save: SlotName): Step {
	return {
		label: `open ${path} for Landlock`,
		call: "openat",
		args: [AT_FDCWD, cstring(path), O_PATH | O_CLOEXEC, 0],
		save,
	};
}

function ruleSteps(path: string, rights: number, open: (path: string, save: SlotName) => Step): readonly Step[] {
	const rule = struct(`{0x${rights.toString(16)} beneath ${path}}`, [{ u64: rights }, { slot: "beneath" }]);
	return [
		open(path, "beneath"),
		{ label: `allow ${path} by Landlock`, call: "landlock_add_rule", args: [{ slot: RULESET }, 1, rule, 0] },
	];
}

/** For the workload, after no_new_privs. */
export function restrictSteps(): readonly Step[] {
	return [{ label: "restrict by Landlock", call: "landlock_restrict_self", args: [{ slot: RULESET }, 0] }];
}
