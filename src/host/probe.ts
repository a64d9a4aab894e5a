/** Read-only probes of the host, cheap enough for the start of every jail. */

import { availableParallelism, release } from "node:os";
import { VmjailError } from "../errors.ts";
import { probeCgroup } from "./cgroup.ts";
import type { ExecutorProbe } from "./executor-probe.ts";
import { attempt, type HostFs, nodeFs } from "./fs.ts";
import { parseMountinfo } from "./mountinfo.ts";
import { mapsAnyId, parseIdMap, parseStatus } from "./status.ts";
import type { Architecture, HostFacts } from "./types.ts";
import { workingFolder } from "./working-folder.ts";

/** What Node knows of its own process. */
export interface HostProcess {
	readonly pid: number;
	readonly arch: string;
	/** As uname(2) gives it. */
	readonly release: string;
	readonly cwd: string;
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly cpus: number;
}

export interface ProbeOptions {
	readonly fs?: HostFs;
	readonly process?: HostProcess;
	/** Absent: no Landlock. */
	readonly probeExecutor?: () => ExecutorProbe;
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = { x64: "x86_64", arm64: "aarch64" };

function nodeProcess(): HostProcess {
	const { pid, arch, env } = process;
	return { pid, arch, release: release(), cwd: workingFolder(), env, cpus: availableParallelism() };
}

function architectureOf(arch: string): Architecture {
	const known = ARCHITECTURES[arch];
	if (known !== undefined) return known;
	throw new VmjailError("HOST_UNSUPPORTED", `vmjail knows x86_64 and aarch64, and this machine is ${arch}`, {
		remedy: "Run vmjail on a machine of one of these architectures, with a 64-bit Node.",
	});
}

/** "6.1.0-18-amd64" → 6, 1 */
export function kernelOf(text: string): HostFacts["kernel"] {
	const [, major = "0", minor = "0"] = /^(\d+)\.(\d+)/.exec(text) ?? [];
	return { release: text, major: Number(major), minor: Number(minor) };
}

function definedEnv(env: HostProcess["env"]): Readonly<Record<string, string>> {
	return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** proc(5) must be there: everything else is guessed wrong without it. */
function readProc(fs: HostFs, path: string): string {
	try {
		return fs.readFile(path);
	} catch (cause) {
		throw new VmjailError("HOST_UNSUPPORTED", `${path} cannot be read`, {
			remedy: "Mount proc on /proc: mount -t proc proc /proc",
			cause,
		});
	}
}

/** File systems that show the kernel or other processes, not files. */
const KERNEL_TYPES: ReadonlySet<string> = new Set([
	"proc",
	"sysfs",
	"cgroup",
	"cgroup2",
	"debugfs",
	"tracefs",
	"securityfs",
	"bpf",
	"pstore",
	"efivarfs",
	"configfs",
	"fusectl",
	"binfmt_misc",
	"devtmpfs",
	"devpts",
	"nsfs",
]);

/** Every jail has its own there, or hides them. */
const USUAL = ["/proc", "/sys", "/dev", "/run"];

/** See HostFacts.kernelMounts. */
export function kernelMountsIn(mountinfo: string): readonly string[] {
	const usual = (path: string) => USUAL.some((own) => path === own || path.startsWith(`${own}/`));
	const found = parseMountinfo(mountinfo).filter(
		({ type, mountPoint }) => KERNEL_TYPES.has(type) && !usual(mountPoint),
	);
	return [...new Set(found.map(({ mountPoint }) => mountPoint))];
}

/**
 * Facts of the host and of the calling process, `paths` empty (see `probePaths`). Some thirty short reads, no process.
 *
 * @throws VmjailError HOST_UNSUPPORTED on another architecture, and where /proc is not mounted
 * @throws what `probeExecutor` throws
 */
export function probeHost(options: ProbeOptions = {}): HostFacts {
	const { fs = nodeFs, process: self = nodeProcess(), probeExecutor } = options;
	const arch = architectureOf(self.arch);
	const status = parseStatus(readProc(fs, "/proc/self/status"));
	const idsOf = (file: string) => parseIdMap(attempt(() => fs.readFile(file)) ?? "0 0 4294967295");
	const proc = { cgroup: readProc(fs, "/proc/self/cgroup"), mountinfo: readProc(fs, "/proc/self/mountinfo") };
	return {
		arch,
		kernel: kernelOf(self.release),
		caller: {
			uid: status.uid,
			gid: status.gid,
			groups: status.groups,
			privileged: mapsAnyId(status.effectiveCapabilities),
			cwd: self.cwd,
			env: definedEnv(self.env),
		},
		idMap: { uids: idsOf("/proc/self/uid_map"), gids: idsOf("/proc/self/gid_map") },
		mac: {
			apparmor: attempt(() => fs.readFile("/sys/module/apparmor/parameters/enabled"))?.startsWith("Y") ?? false,
			selinux: attempt(() => fs.readFile("/sys/fs/selinux/enforce")) !== undefined,
		},
		landlockAbi: probeExecutor?.().landlockAbi ?? 0,
		cpus: self.cpus,
		cgroup: probeCgroup(proc, fs, self.pid),
		kernelMounts: kernelMountsIn(proc.mountinfo),
		paths: {},
	};
}
