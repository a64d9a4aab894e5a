/** Policies for common kinds of work, by name. Plain policy documents: whatever a preset says, a file can say. */

import { isWithin } from "./paths.ts";
import type { PresetName } from "./preset-names.ts";
import type { PolicyInput } from "./schema.ts";

/** What a preset may depend on. */
export interface PresetContext {
	/** The caller's working directory, absolute. */
	readonly cwd: string;
	/** The caller's home folder, absolute. */
	readonly home?: string;
}

export interface Preset {
	/** One line, for help texts. */
	readonly description: string;
	readonly policy: (context: PresetContext) => PolicyInput;
}

/** Controls that take a writable cgroup. An ordinary user often has none: the Outcome then lists them as missing. */
const CGROUP_CONTROLS = ["memory", "swap", "cpu", "cpuset", "pids", "io"] as const;

/** Folders that are no project: too wide, or the system's. The second list covers what is below them as well. */
const NOT_A_PROJECT = [
	"/",
	"/home",
	"/root",
	"/tmp",
	"/var",
	"/opt",
	"/srv",
	"/mnt",
	"/media",
	"/usr/local",
	"/usr/src",
];
const NEVER_A_PROJECT = [
	"/bin",
	"/boot",
	"/dev",
	"/etc",
	"/lib",
	"/lib32",
	"/lib64",
	"/proc",
	"/run",
	"/sbin",
	"/sys",
	"/var/run",
];

/** The working directory as a list of one, where it is a project; a home folder itself (keys, tokens) is not. */
function project({ cwd, home }: PresetContext): readonly string[] {
	const tooWide = NOT_A_PROJECT.includes(cwd) || (home !== undefined && isWithin(home, cwd));
	const systems =
		NEVER_A_PROJECT.some((folder) => isWithin(cwd, folder)) ||
		(isWithin(cwd, "/usr") && !isWithin(cwd, "/usr/local") && !isWithin(cwd, "/usr/src"));
	return tooWide || systems ? [] : [cwd];
}

/** Every home folder, the caller's own included where it is elsewhere. */
function homes({ home }: PresetContext): string[] {
	const usual = ["/home", "/root"];
	const hidden =
		home === undefined ||
		home === "/" ||
		usual.some((folder) => isWithin(home, folder)) ||
		NEVER_A_PROJECT.some((folder) => isWithin(home, folder));
	return hidden || NOT_A_PROJECT.includes(home) ? usual : [...usual, home];
}

/** The project, where a mask or the tmpfs on /tmp would hide it. */
function readableProject(context: PresetContext): string[] {
	const covered = [...homes(context), "/tmp"];
	return project(context).filter((path) => covered.some((folder) => isWithin(path, folder)));
}

function environment(set: Record<string, string> = {}) {
	return { pass: ["LANG", "LC_ALL", "PATH", "TERM"], set: { HOME: "/tmp", ...set } };
}

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
	default: {
		description: "no network, read-only, home folders hidden but the working directory readable; 1 GiB, 256 processes",
		policy: (context) => ({
			system: {
				memory: { max: "1GiB" },
				pids: { max: 256 },
				env: environment(),
				optional: [...CGROUP_CONTROLS],
			},
			security: {
				file: {
					readablePaths: readableProject(context),
					maskedPaths: homes(context),
					tmpfs: [{ path: "/tmp", size: "256MiB" }],
				},
			},
		}),
	},
	agent: {
		description:
			"for coding agents: the working directory writable, home folders hidden, no network; 4 GiB, 1024 processes",
		policy: (context) => ({
			system: {
				memory: { max: "4GiB" },
				pids: { max: 1024 },
				rlimits: { core: 0 },
				env: environment(),
				optional: [...CGROUP_CONTROLS],
			},
			security: {
				file: {
					writablePaths: [...project(context)],
					maskedPaths: homes(context),
					tmpfs: [{ path: "/tmp", size: "1GiB" }],
				},
			},
		}),
	},
	judge: {
		description:
			"for submissions to be graded: no network, /tmp as work folder, 1 core, 256 MiB, 2 s of CPU, strict system calls",
		policy: (context) => ({
			system: {
				memory: { max: "256MiB" },
				cpu: { number: 1 },
				pids: { max: 64 },
				time: { cpu: "2s", wall: "6s" },
				output: { max: "16MiB" },
				rlimits: { core: 0, fsize: "64MiB", nofile: 256, stack: "64MiB" },
				cwd: "/tmp",
				env: { pass: ["PATH"], set: { HOME: "/tmp", LANG: "C.UTF-8" } },
				optional: [...CGROUP_CONTROLS],
			},
			security: {
				file: {
					readablePaths: readableProject(context),
					maskedPaths: homes(context),
					tmpfs: [{ path: "/tmp", size: "64MiB" }],
				},
				syscalls: "strict",
			},
		}),
	},
	"npm-install": {
		description:
			"for npm install and npm ci: the working directory writable, home folders hidden, only the package registry reachable",
		policy: (context) => ({
			system: {
				memory: { max: "4GiB" },
				pids: { max: 1024 },
				time: { wall: "30m" },
				rlimits: { core: 0 },
				env: environment({ npm_config_cache: "/tmp/.npm", npm_config_update_notifier: "false" }),
				optional: [...CGROUP_CONTROLS],
			},
			security: {
				network: { mode: "hostwithpolicy", policy: { dns: ["*.npmjs.org:443"] } },
				file: {
					writablePaths: [...project(context)],
					maskedPaths: homes(context),
					tmpfs: [{ path: "/tmp", size: "2GiB" }],
				},
			},
		}),
	},
	parser: {
		description:
			"for converters and parsers of untrusted files: no network, read-only, 512 MiB, 10 s of CPU, strict system calls",
		policy: (context) => ({
			system: {
				memory: { max: "512MiB" },
				cpu: { number: 1 },
				pids: { max: 32 },
				time: { cpu: "10s", wall: "30s" },
				output: { max: "64MiB" },
				rlimits: { core: 0, nofile: 256 },
				env: environment(),
				optional: [...CGROUP_CONTROLS],
			},
			security: {
				file: {
					readablePaths: readableProject(context),
					maskedPaths: homes(context),
					tmpfs: [{ path: "/tmp", size: "64MiB" }],
				},
				syscalls: "strict",
			},
		}),
	},
};
