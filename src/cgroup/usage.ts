/** What the kernel counted, out of the files that the account steps report. Pure. */

/** Absent: this host does not count it. */
export interface GroupUsage {
	/** Page cache included, as the kernel charges it. */
	readonly memoryPeakBytes?: number;
	/** Processes that the kernel killed because the group was out of memory. */
	readonly oomKills: number;
	readonly pidsPeak?: number;
	/** How often fork(2) or clone(2) was refused because of the limit of processes. */
	readonly pidsRefused: number;
	readonly cpuUserMs?: number;
	readonly cpuSystemMs?: number;
	readonly cpuTotalMs?: number;
}

type Reports = Readonly<Record<string, Uint8Array>>;

/** The report under which the v1 file is found, and its size in one read. */
export const V1_REPORTS = {
	memory: { "memory.max_usage_in_bytes": 32, "memory.oom_control": 256 },
	pids: { "pids.peak": 32, "pids.events": 64 },
	cpuacct: { "cpuacct.usage_user": 32, "cpuacct.usage_sys": 32 },
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>;

export const V2_REPORTS = {
	memory: { "memory.peak": 32, "memory.events": 256 },
	pids: V1_REPORTS.pids,
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Both hierarchies have their files of processor time open already: the same slot serves pid 1's timer. */
export const CPU_REPORT = { v1: "cpuacct.usage", v2: "cpu.stat" } as const;
export const CPU_REPORT_SIZE = 1024;

const [NEWLINE, ZERO] = [10, 48];

/** The decimal number at an offset. */
function numberAt(bytes: Uint8Array, at: number): number | undefined {
	let value = 0;
	let end = at;
	for (let digit = digitAt(bytes, end); digit !== undefined; digit = digitAt(bytes, ++end)) value = value * 10 + digit;
	return end === at ? undefined : value;
}

function digitAt(bytes: Uint8Array, at: number): number | undefined {
	const digit = (bytes[at] ?? 0) - ZERO;
	return digit >= 0 && digit <= 9 ? digit : undefined;
}

/** A file with one number. Read without a string: it is done for every program. */
function single(reports: Reports, name: string): number | undefined {
	const bytes = reports[name];
	return bytes === undefined ? undefined : numberAt(bytes, 0);
}

function begins(bytes: Uint8Array, at: number, key: string): boolean {
	for (let i = 0; i < key.length; i++) if (bytes[at + i] !== key.charCodeAt(i)) return false;
	return true;
}

/** A file of lines "key number". */
function keyed(reports: Reports, name: string, key: string): number | undefined {
	const bytes = reports[name];
	if (bytes === undefined) return undefined;
	const begin = `${key} `;
	for (let at = 0; at < bytes.length; ) {
		if (begins(bytes, at, begin)) return numberAt(bytes, at + begin.length);
		const end = bytes.indexOf(NEWLINE, at);
		at = end < 0 ? bytes.length : end + 1;
	}
	return undefined;
}

type Writable<T> = { -readonly [key in keyof T]: T[key] };

type Cpu = Pick<GroupUsage, "cpuUserMs" | "cpuSystemMs" | "cpuTotalMs">;

/** v2's cpu.stat: microseconds; user and system add up to the total. */
function cpuOfV2(reports: Reports): Cpu {
	const ms = (key: string): number | undefined => {
		const us = keyed(reports, CPU_REPORT.v2, key);
		return us === undefined ? undefined : us / 1e3;
	};
	const [total, user, system] = [ms("usage_usec"), ms("user_usec"), ms("system_usec")];
	return {
		...(total === undefined ? {} : { cpuTotalMs: total }),
		...(user === undefined ? {} : { cpuUserMs: user }),
		...(system === undefined ? {} : { cpuSystemMs: system }),
	};
}

/**
 * v1's cpuacct: nanoseconds. The total is exact; user and system are samples of the timer tick, so they share out the
 * total, and a program that no tick ever met has a total only.
 */
function cpuOfV1(reports: Reports): Cpu {
	const total = single(reports, CPU_REPORT.v1);
	if (total === undefined) return {};
	const cpuTotalMs = total / 1e6;
	const user = single(reports, "cpuacct.usage_user") ?? 0;
	const system = single(reports, "cpuacct.usage_sys") ?? 0;
	if (user + system === 0) return { cpuTotalMs };
	const cpuUserMs = (cpuTotalMs * user) / (user + system);
	return { cpuTotalMs, cpuUserMs, cpuSystemMs: cpuTotalMs - cpuUserMs };
}

/**
 * Reads the reports of the account steps. A file that this host does not have is a field less; zero where the kernel
 * counts events and counted none, or does not count them.
 *
 * @param reports report name → bytes, as the executor returns them
 */
export function readUsage(reports: Reports): GroupUsage {
	const cpu = reports[CPU_REPORT.v2] === undefined ? cpuOfV1(reports) : cpuOfV2(reports);
	const usage: Writable<GroupUsage> = {
		oomKills: keyed(reports, "memory.events", "oom_kill") ?? keyed(reports, "memory.oom_control", "oom_kill") ?? 0,
		pidsRefused: keyed(reports, "pids.events", "max") ?? 0,
	};
	const memoryPeakBytes = single(reports, "memory.peak") ?? single(reports, "memory.max_usage_in_bytes");
	const pidsPeak = single(reports, "pids.peak");
	if (cpu.cpuTotalMs !== undefined) usage.cpuTotalMs = cpu.cpuTotalMs;
	if (cpu.cpuUserMs !== undefined) usage.cpuUserMs = cpu.cpuUserMs;
	if (cpu.cpuSystemMs !== undefined) usage.cpuSystemMs = cpu.cpuSystemMs;
	if (memoryPeakBytes !== undefined) usage.memoryPeakBytes = memoryPeakBytes;
	if (pidsPeak !== undefined) usage.pidsPeak = pidsPeak;
	return usage;
}
