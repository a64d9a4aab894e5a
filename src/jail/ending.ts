/** How a program's end is judged: the executor's reports → an outcome, or a fault of the sandbox. */

import { type GroupUsage, readUsage } from "../cgroup/usage.ts";
import { VmjailError } from "../errors.ts";
import type { EndReport, ExitReport } from "../executor/frames.ts";
import type { Missing } from "../host/types.ts";
import { endOf, type RawEnd } from "../outcome/outcome.ts";
import type { Denial, Outcome, Usage } from "../outcome/types.ts";
import type { Plan } from "../plan/types.ts";
import type { Choice } from "../runtime/choose.ts";

export type Cause = RawEnd["cause"];

export const RUNLC: Choice = { runtime: "runlc" };

const SIGKILL = 9;

/** The counters of a group, by the names that the steps report them under. */
export function groupUsage(reports: ReadonlyMap<number, Uint8Array> | undefined, names: readonly string[]): GroupUsage {
	const byName: Record<string, Uint8Array> = {};
	reports?.forEach((bytes, number) => {
		byName[names[number] ?? ""] = bytes;
	});
	return readUsage(byName);
}

/** What ended the program: what vmjail ended it for comes before what the executor did. */
export function rawEnd(
	exit: ExitReport | undefined,
	cause: Cause,
	group: GroupUsage,
	fileAtLimit: () => boolean = () => false,
): RawEnd {
	const { oomKills, pidsRefused } = group;
	if (exit === undefined) return { cause, oomKills, pidsRefused };
	const { status } = exit;
	const fileAtEnd = status !== 0 && fileAtLimit();
	return { status, cause: cause === "none" ? exit.cause : cause, oomKills, pidsRefused, fileAtLimit: fileAtEnd };
}

export interface Facts {
	readonly raw: RawEnd;
	readonly group: GroupUsage;
	/** Absent where pid 1 was lost with the program. */
	readonly exit: ExitReport | undefined;
	readonly choice: Choice;
	readonly missing: readonly Missing[];
	readonly denials: readonly Denial[];
}

/**
 * The group's own figures; else its total in the proportion of what was reaped; else what was reaped (children that a
 * program ignores are not among it).
 */
function cpuOf(group: GroupUsage, exit: ExitReport | undefined): Pick<Outcome, "cpuUserMs" | "cpuSystemMs"> {
	const { userMs = 0, systemMs = 0, cgroupCpuMs } = exit ?? {};
	if (group.cpuUserMs !== undefined) return { cpuUserMs: group.cpuUserMs, cpuSystemMs: group.cpuSystemMs ?? 0 };
	if (cgroupCpuMs === undefined) return { cpuUserMs: userMs, cpuSystemMs: systemMs };
	const reaped = userMs + systemMs;
	const cpuUserMs = reaped === 0 ? 0 : (cgroupCpuMs * userMs) / reaped;
	return { cpuUserMs, cpuSystemMs: cgroupCpuMs - cpuUserMs };
}

export function outcomeOf({ raw, group, exit, choice, missing, denials }: Facts): Outcome {
	const { runtime, rolledBackFrom, why } = choice;
	const { cpuUserMs, cpuSystemMs } = cpuOf(group, exit);
	const usage: { -readonly [key in keyof Usage]: Usage[key] } = {
		cpuUserMs,
		cpuSystemMs,
		wallMs: exit?.wallMs ?? 0,
		memoryPeakBytes: group.memoryPeakBytes ?? exit?.maxRssBytes ?? 0,
		oomKills: group.oomKills,
		runtime,
		missing,
		denials,
	};
	if (group.pidsPeak !== undefined) usage.pidsPeak = group.pidsPeak;
	if (rolledBackFrom !== undefined) usage.rolledBackFrom = rolledBackFrom;
	if (why !== undefined) usage.rolledBackWhy = why;
	const denial = denials.length === 0 ? undefined : denials.findLast(({ control }) => control === "exec");
	return Object.assign(endOf(raw, denial), usage);
}

/** @throws VmjailError EXECUTOR_FAILED where the executor died, or could not take the jail's groups away */
export function checkCleanup(end: EndReport | undefined, plan: Plan): void {
	if (end !== undefined && end.cleanupFailures === 0) return;
	if (end === undefined) {
		throw new VmjailError("EXECUTOR_FAILED", "the executor died; the kernel ended the jail with it", {
			remedy: "Look for who killed vmjail-executor (dmesg, for want of memory?), then run again.",
		});
	}
	const step = end.cleanup?.step === undefined ? undefined : plan.cleanup[end.cleanup.step];
	throw new VmjailError(
		"EXECUTOR_FAILED",
		`the program ended, but cleaning up did not succeed: ${step?.label ?? "?"}`,
		{
			remedy: "The next vmjail tries again; `vmjail doctor` shows what is left.",
		},
	);
}

/**
 * Killed (for want of memory, say) pid 1 takes the program with it; that it leaves by itself is a fault.
 *
 * @throws VmjailError EXECUTOR_FAILED for that fault
 */
export function checkLost(end: EndReport | undefined, cause: Cause): void {
	const status = end?.status ?? 0;
	if (cause !== "none" || (status & 0x7f) === SIGKILL) return;
	throw new VmjailError("EXECUTOR_FAILED", `the jail's pid 1 refused to go on (wait status 0x${status.toString(16)})`, {
		remedy: "It takes files, pipes, sockets and terminals as streams, not what was opened with O_PATH. Else report it.",
	});
}
