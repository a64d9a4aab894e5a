/** The policy under which all cases run, whoever runs them. */

/** As a file has it; programs run as nobody where the tests run as root. */
export const POLICY = {
	system: {
		memory: { max: "256MiB" },
		pids: { max: 64 },
		time: { cpu: "10s", wall: "40s" },
		output: { max: "512MiB" },
		rlimits: { core: 0, fsize: "32MiB", nofile: 256, stack: "64MiB" },
		cwd: "/tmp",
		env: { pass: [], set: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/tmp", LANG: "C.UTF-8" } },
		user: { uid: 65534, gid: 65534 },
	},
	security: {
		file: { tmpfs: [{ path: "/tmp", size: "64MiB" }] },
		syscalls: "default",
	},
} as const;
