/** Checks of the kernel itself. */

import { attempt, type HostFs } from "../fs.ts";
import type { Check } from "./types.ts";

/** 5.13 has Landlock; mount_setattr (5.12), openat2 (5.6) and CLONE_INTO_CGROUP (5.7) came before. */
const OLDEST = { major: 5, minor: 13 } as const;

/** Those without which no filter of ours can be expressed; user_notif only explains refusals. */
const SECCOMP_NEEDED: readonly string[] = ["allow", "errno", "kill_process"];

/** Landlock ABI 3 (kernel 6.2) is the first that also refuses truncate(2). */
const LANDLOCK_WHOLE = 3;

export function sysctl(fs: HostFs, name: string): string | undefined {
	return attempt(() => fs.readFile(`/proc/sys/${name.replaceAll(".", "/")}`).trim());
}

export const kernelVersion: Check = ({ facts }) => {
	const { release, major, minor } = facts.kernel;
	const enough = major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor);
	const oldest = `${OLDEST.major}.${OLDEST.minor}`;
	if (enough) return { name: "kernel", ok: "yes", detail: `${release} (${oldest} is enough)`, needed: true };
	const fix = `Start a kernel of at least ${oldest}.`;
	return { name: "kernel", ok: "no", detail: `${release} is older than ${oldest}`, fix, needed: true };
};

export const executorBuilt: Check = ({ executor, executorPath }) => {
	const name = "executor";
	if (executor !== undefined) return { name, ok: "yes", detail: executorPath ?? "found", needed: true };
	const detail = executorPath === undefined ? "not built" : `${executorPath} does not run here`;
	return { name, ok: "no", detail, fix: "npm run build", needed: true };
};

export const landlock: Check = ({ fs, executor }) => {
	const name = "Landlock";
	const needed = false;
	const modules = attempt(() => fs.readFile("/sys/kernel/security/lsm").trim());
	const listed = modules?.split(",").includes("landlock") === true;
	if (executor === undefined) {
		const detail = `the executor is not built; ${listed ? "the kernel lists landlock" : "the kernel does not list landlock"}`;
		return { name, ok: "partly", detail, fix: "npm run build", needed };
	}
	const abi = executor.landlockAbi;
	if (abi >= LANDLOCK_WHOLE) return { name, ok: "yes", detail: `ABI ${abi}`, needed };
	if (abi > 0) {
		const detail = `ABI ${abi}: reads and writes are refused, truncation is not (ABI ${LANDLOCK_WHOLE}, kernel 6.2)`;
		return { name, ok: "partly", detail, fix: "Start a kernel of at least 6.2.", needed };
	}
	const order = modules === undefined ? "landlock,…" : `landlock,${modules}`;
	const fix = `Add lsm=${order} to the kernel's command line, or start a kernel with CONFIG_SECURITY_LANDLOCK=y.`;
	return { name, ok: "no", detail: "not in this kernel, or not switched on", fix, needed };
};

export const seccomp: Check = ({ fs }) => {
	const name = "seccomp";
	const actions = sysctl(fs, "kernel.seccomp.actions_avail")?.split(/\s+/) ?? [];
	const lacking = SECCOMP_NEEDED.filter((action) => !actions.includes(action));
	if (lacking.length > 0) {
		const detail = actions.length === 0 ? "no filters" : `filters without ${lacking.join(", ")}`;
		return { name, ok: "no", detail, fix: "Start a kernel with CONFIG_SECCOMP_FILTER=y.", needed: true };
	}
	if (actions.includes("user_notif")) return { name, ok: "yes", detail: "filters and notifications", needed: true };
	const detail = "filters; no notifications, so refusals are not explained";
	return { name, ok: "partly", detail, fix: "Start a kernel of at least 5.0.", needed: true };
};

export const overlay: Check = ({ fs }) => {
	const name = "overlay";
	const types = (attempt(() => fs.readFile("/proc/filesystems")) ?? "").split(/\s+/);
	if (types.includes("overlay")) return { name, ok: "yes", detail: "overlay file systems", needed: false };
	const fix = "sudo modprobe overlay";
	return { name, ok: "partly", detail: "not loaded: no jail needs it, other runtimes may", fix, needed: false };
};

export const memfd: Check = ({ fs }) => {
	const name = "memfd";
	const level = sysctl(fs, "vm.memfd_noexec");
	if (level !== "2")
		return { name, ok: "yes", detail: "long command lines travel in sealed memory files", needed: false };
	const detail = "vm.memfd_noexec=2 refuses memory files that do not ask for noexec";
	return { name, ok: "partly", detail, fix: "sudo sysctl -w vm.memfd_noexec=1", needed: false };
};

export const yama: Check = ({ fs }) => {
	const name = "ptrace (yama)";
	const scope = sysctl(fs, "kernel.yama.ptrace_scope");
	const fix = "sudo sysctl -w kernel.yama.ptrace_scope=1";
	if (scope === "3") {
		const detail = "ptrace_scope=3: nobody may trace, so process.allow cannot be guarded; only a restart changes it";
		const restart = "Take kernel.yama.ptrace_scope=3 out of /etc/sysctl.d and restart the machine.";
		return { name, ok: "no", detail, fix: restart, needed: false };
	}
	if (scope === "2") {
		return { name, ok: "partly", detail: "ptrace_scope=2: only CAP_SYS_PTRACE may trace", fix, needed: false };
	}
	const detail = scope === undefined ? "no restriction" : `ptrace_scope=${scope}: a parent may trace its children`;
	return { name, ok: "yes", detail, needed: false };
};
