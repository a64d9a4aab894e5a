/** What the gateway's pid 1 runs, and settings below /proc/sys/net, as steps. */

import { AT_FDCWD, O_CLOEXEC, O_WRONLY, SIG_SETMASK } from "../../plan/constants.ts";
import { cstring, stringArray, struct, text } from "../../plan/steps.ts";
import type { SlotName, Step, Workload } from "../../plan/types.ts";
import type { Sysctl } from "../settings.ts";

/** The slot with the jail's open network namespace, given with the workload. */
export const JAIL: SlotName = "network namespace of the jail";

const SEARCH = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

export function sysctlSteps(sysctls: readonly Sysctl[]): readonly Step[] {
	return sysctls.flatMap(({ path, value }): readonly Step[] => {
		const bytes = text(value);
		return [
			{
				label: `open the setting net/${path}`,
				call: "openat",
				args: [AT_FDCWD, cstring(`/proc/sys/net/${path}`), O_WRONLY | O_CLOEXEC, 0],
				save: "sysctl",
				tolerate: ["ENOENT"],
			},
			{
				label: `set net/${path} to ${value}`,
				call: "write",
				args: [{ slot: "sysctl" }, bytes, bytes.bytes.length],
				tolerate: ["EBADF"], // a kernel without it
			},
		];
	});
}

function streams(): readonly Step[] {
	return (["stdin", "stdout", "stderr"] as const).map((slot, number) => ({
		label: `use ${slot}`,
		call: "dup3",
		args: [{ slot }, number, 0],
	}));
}

function executeSteps(argv: readonly string[]): readonly Step[] {
	const [name = ""] = argv;
	const args = stringArray(argv, JSON.stringify(argv));
	const env = stringArray(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"], "<environment>");
	return SEARCH.map((folder, i) => ({
		label: `execute ${folder}/${name}`,
		call: "execve",
		args: [cstring(`${folder}/${name}`), args, env],
		...(i < SEARCH.length - 1 ? { tolerate: ["ENOENT", "EACCES"] } : {}),
	}));
}

/** A program that reads its standard input, in the gateway's network namespace. */
export function toolWorkload(argv: readonly string[]): Workload {
	return {
		cloneFlags: 0n,
		before: [],
		parent: [],
		child: [
			...streams(),
			{ label: "close every other descriptor", call: "close_range", args: [3, 0xffff_ffff, 0] },
			{ label: "unblock signals", call: "rt_sigprocmask", args: [SIG_SETMASK, struct("[]", [{ u64: 0 }]), 0, 8] },
			...executeSteps(argv),
		],
	};
}
