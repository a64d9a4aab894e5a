/** /proc/self/status, uid_map and gid_map: see proc_pid_status(5) and user_namespaces(7). */

export interface ProcessStatus {
	/** Effective. */
	readonly uid: number;
	readonly gid: number;
	readonly groups: readonly number[];
	readonly effectiveCapabilities: bigint;
}

export interface IdRange {
	readonly from: number;
	readonly count: number;
}

/** Numbers from linux/capability.h. */
const CAPABILITY = { CAP_SETGID: 6n, CAP_SETUID: 7n, CAP_SYS_ADMIN: 21n } as const;

/** Split by blanks and tabs. No regular expressions here: each costs the start of every jail its compilation. */
function numbers(text: string): readonly number[] {
	return text.replaceAll("\t", " ").split(" ").filter(Boolean).map(Number);
}

export function parseStatus(content: string): ProcessStatus {
	const field = (name: string): string => {
		const start = content.indexOf(`\n${name}:`) + name.length + 2;
		return start < name.length + 2 ? "" : content.slice(start, content.indexOf("\n", start)).trim();
	};
	return {
		uid: numbers(field("Uid"))[1] ?? 0,
		gid: numbers(field("Gid"))[1] ?? 0,
		groups: numbers(field("Groups")),
		effectiveCapabilities: BigInt(`0x${field("CapEff") || "0"}`),
	};
}

/** Has the three capabilities that a caller needs to map any id of its user namespace into a new one. */
export function mapsAnyId(capabilities: bigint): boolean {
	return Object.values(CAPABILITY).every((bit) => (capabilities & (1n << bit)) !== 0n);
}

/** The ids that exist inside the caller's user namespace. Lines are: first id inside, first id outside, count. */
export function parseIdMap(content: string): readonly IdRange[] {
	return content.split("\n").flatMap((line) => {
		const [from, , count] = numbers(line);
		return from === undefined || count === undefined ? [] : [{ from, count }];
	});
}
