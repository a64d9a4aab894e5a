/** How each peer is told to make a jail like vmjail's default: every namespace, no network, a read-only root. */

import { join } from "node:path";

/**
 * Commands by name. What a peer does not have (cgroups in bwrap, unshare and firejail; Landlock in all of them) it does
 * not do.
 */
export function peerCommands({ tools, folder }, bundle, program) {
	const bwrap = [
		...["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"],
		...["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run"],
	];
	const firejail = [
		"--quiet",
		"--noprofile",
		"--net=none",
		"--private-dev",
		"--private-tmp",
		"--seccomp",
		"--caps.drop=all",
	];
	const runtime = (name) => [
		"--root",
		join(folder, `${name}-state`),
		"run",
		"-b",
		bundle,
		`vmjail-bench-${process.pid}`,
	];
	const all = [
		{ name: "unshare -Urmpfn --mount-proc", tool: "unshare", args: ["-Urmpfn", "--mount-proc", ...program] },
		{ name: "bwrap (no seccomp, no cgroup)", tool: "bwrap", args: [...bwrap, "--", ...program] },
		{ name: "crun run, our bundle", tool: "crun", args: runtime("crun") },
		{ name: "runc run, our bundle", tool: "runc", args: runtime("runc") },
		{ name: "firejail --net=none (no cgroup)", tool: "firejail", args: [...firejail, "--", ...program] },
	];
	return all
		.filter(({ tool }) => tools[tool] !== undefined)
		.map(({ name, tool, args }) => ({ name, tool, argv: [tools[tool], ...args] }));
}
