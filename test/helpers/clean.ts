import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The value, or the fallback where the kernel's file or folder has gone meanwhile. */
function orElse<T>(fallback: T, read: () => T): T {
	try {
		return read();
	} catch {
		return fallback;
	}
}

interface MountPoint {
	readonly line: string;
	readonly path: string;
	readonly type: string;
}

/** proc_pid_mountinfo(5): the mount point is field 5, the type follows the "-". */
function mountPoints(): MountPoint[] {
	const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n").filter(Boolean);
	return lines.map((line) => {
		const fields = line.split(" ");
		return { line, path: fields[4] ?? "", type: fields[fields.indexOf("-") + 1] ?? "" };
	});
}

/** Control groups named vmjail-*, in every hierarchy that is mounted here. */
function cgroups(): string[] {
	const found: string[] = [];
	const walk = (folder: string): void => {
		for (const entry of orElse([], () => readdirSync(folder, { withFileTypes: true }))) {
			if (!entry.isDirectory()) continue;
			const path = join(folder, entry.name);
			if (entry.name.startsWith("vmjail-")) found.push(`cgroup ${path}`);
			walk(path);
		}
	};
	for (const { path, type } of mountPoints()) if (type === "cgroup" || type === "cgroup2") walk(path);
	return found;
}

/** Whether a process has ended and only waits for init to take note, which some do every few seconds. proc_pid_stat(5). */
export function isInitsZombie(pid: string): boolean {
	const stat = orElse("", () => readFileSync(`/proc/${pid}/stat`, "utf8"));
	return /^ Z 1 /.test(stat.slice(stat.lastIndexOf(")") + 1));
}

/** Processes of this checkout's executor, and those named like it whose file cannot be told. */
function processes(): string[] {
	const own = join(checkout, "build/vmjail-executor");
	return readdirSync("/proc")
		.filter((pid) => /^\d+$/.test(pid))
		.filter((pid) => {
			const comm = orElse("", () => readFileSync(`/proc/${pid}/comm`, "utf8").trim());
			// A rebuild replaces the file: the kernel then adds " (deleted)".
			const exe = orElse(undefined, () => readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ""));
			return exe === own || (comm === "vmjail-executor" && exe === undefined && !isInitsZombie(pid));
		})
		.map((pid) => `process ${pid} (${orElse("?", () => readFileSync(`/proc/${pid}/comm`, "utf8").trim())})`);
}

/** Mounts whose line names vmjail; not the file systems that the checkout itself lies on. */
function mounts(): string[] {
	return mountPoints()
		.filter(({ line, path }) => line.includes("vmjail") && !`${checkout}/`.startsWith(`${path}/`))
		.map(({ path }) => `mount ${path}`);
}

function temporaryFiles(): string[] {
	return [tmpdir(), "/dev/shm"].flatMap((folder) => {
		const names = orElse([], () => readdirSync(folder));
		return names.filter((name) => name.startsWith("vmjail-")).map((name) => `file ${join(folder, name)}`);
	});
}

/**
 * What vmjail has on this machine at this moment, one line each: "cgroup PATH", "process PID (NAME)", "mount PATH",
 * "file PATH". Looks in the caller's own mount namespace and at processes that /proc shows. Empty: nothing.
 */
export function leftovers(): string[] {
	return [...cgroups(), ...processes(), ...mounts(), ...temporaryFiles()].sort();
}

/**
 * What is there now, was not there `before`, and is still there after `patienceMs`. A killed process takes the kernel
 * a moment to tear down; another vmjail on this machine may start and end meanwhile.
 */
export async function leftSince(before: readonly string[], patienceMs = 5_000): Promise<string[]> {
	const deadline = Date.now() + patienceMs;
	let left = leftovers().filter((line) => !before.includes(line));
	while (left.length > 0 && Date.now() < deadline) {
		await new Promise((resolve) => setTimeout(resolve, 50));
		const now = leftovers();
		left = left.filter((line) => now.includes(line));
	}
	return left;
}
