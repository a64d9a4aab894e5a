import { describe, expect, it } from "vitest";
import { loadPolicy } from "../../src/policy/load.ts";
import { PRESET_NAMES } from "../../src/policy/preset-names.ts";
import { PRESETS } from "../../src/policy/presets.ts";
import { CONTEXT, policyOfJson, problemsOf } from "./helpers.ts";

const CGROUP = ["memory", "swap", "cpu", "cpuset", "pids", "io"];

describe("presets", () => {
	it("without file and preset: default", () => {
		const policy = loadPolicy(CONTEXT);
		expect(policy).toEqual(loadPolicy({ ...CONTEXT, preset: "default" }));
		expect(policy.system).toMatchObject({
			runtime: "runlc",
			root: { path: "/", readonly: true },
			memory: { maxBytes: 2 ** 30, swapBytes: 0 },
			pids: { max: 256 },
			env: { pass: ["LANG", "LC_ALL", "PATH", "TERM"], set: { HOME: "/tmp" } },
			optional: CGROUP,
		});
		expect(policy.security.network.mode).toBe("none");
		expect(policy.security.file).toEqual({
			writablePaths: [],
			readablePaths: ["/home/ada/project"],
			maskedPaths: ["/home", "/root"],
			tmpfs: [{ path: "/tmp", sizeBytes: 2 ** 28 }],
		});
	});

	it("a file alone starts from nothing", () => {
		expect(policyOfJson({}).security.file.maskedPaths).toEqual([]);
	});

	it.each(PRESET_NAMES)("%s loads, says what it is for in a line, and leaves home folders hidden", (name) => {
		const { system, security } = loadPolicy({ ...CONTEXT, preset: name });
		expect(system.optional).toEqual(CGROUP);
		expect(system.capabilities).toEqual([]);
		expect(system.root.readonly).toBe(true);
		expect(security.file.maskedPaths).toEqual(["/home", "/root"]);
		expect(PRESETS[name].description).toMatch(/^[^\n]{20,140}$/);
	});

	it.each([
		["default", "none", false, "default"],
		["agent", "none", true, "default"],
		["judge", "none", false, "strict"],
		["npm-install", "hostwithpolicy", true, "default"],
		["parser", "none", false, "strict"],
	] as const)("%s: network %s, working directory writable: %s, system calls %s", (name, mode, writable, syscalls) => {
		const { security } = loadPolicy({ ...CONTEXT, preset: name });
		expect(security.network.mode).toBe(mode);
		expect(security.file.writablePaths).toEqual(writable ? [CONTEXT.cwd] : []);
		expect(security.file.readablePaths).toEqual(writable ? [] : [CONTEXT.cwd]);
		expect(security.syscalls).toBe(syscalls);
	});

	it.each(["judge", "parser"] as const)("%s limits time, output, memory, CPU and processes", (name) => {
		const { system } = loadPolicy({ ...CONTEXT, preset: name });
		expect([
			system.time.cpuMs,
			system.time.wallMs,
			system.output.maxBytes,
			system.memory.maxBytes,
			system.cpu.cores,
			system.pids.max,
		]).not.toContain(undefined);
	});

	it.each([
		["/", "/home/ada"],
		["/home/ada", "/home/ada"],
		["/home", "/home/ada"],
		["/root", "/root"],
		["/tmp", "/home/ada"],
		["/etc/ssh", "/root"],
		["/usr/share/doc", "/root"],
		["/proc/self", "/root"],
		["/run/user/1000", "/home/ada"],
		["/data/people/eve", "/data/people/eve"],
		["/data/people", "/data/people/eve"],
	])("the folder %s is no project of who lives in %s: not opened", (cwd, home) => {
		for (const preset of PRESET_NAMES) {
			const { file } = loadPolicy({ cwd, home, preset }).security;
			expect([...file.writablePaths, ...file.readablePaths]).toEqual([]);
		}
	});

	it("a project under the tmpfs on /tmp is shown; one that nothing hides needs no entry", () => {
		expect(loadPolicy({ cwd: "/tmp/build", home: "/root" }).security.file.readablePaths).toEqual(["/tmp/build"]);
		expect(loadPolicy({ cwd: "/srv/build", home: "/root" }).security.file.readablePaths).toEqual([]);
		expect(loadPolicy({ cwd: "/srv/build", home: "/root", preset: "agent" }).security.file.writablePaths).toEqual([
			"/srv/build",
		]);
	});

	it("a home folder elsewhere is hidden too, with the project in it shown", () => {
		const { file } = loadPolicy({ cwd: "/data/eve/p", home: "/data/eve" }).security;
		expect(file.maskedPaths).toEqual(["/home", "/root", "/data/eve"]);
		expect(file.readablePaths).toEqual(["/data/eve/p"]);
	});
});

describe("merging", () => {
	it("presets < file: objects merge, lists append, scalars are replaced", () => {
		const policy = policyOfJson({
			extends: "judge",
			system: { memory: { max: "2GiB" }, env: { pass: ["TZ"], set: { HOME: "/w", A: "1" } }, optional: ["landlock"] },
			security: { file: { maskedPaths: ["/mnt"] }, syscalls: "default" },
		});
		expect(policy.system.memory.maxBytes).toBe(2 ** 31);
		expect(policy.system.pids.max).toBe(64);
		expect(policy.system.env).toEqual({ pass: ["PATH", "TZ"], set: { HOME: "/w", LANG: "C.UTF-8", A: "1" } });
		expect(policy.system.optional).toEqual([...CGROUP, "landlock"]);
		expect(policy.security.file.maskedPaths).toEqual(["/home", "/root", "/mnt"]);
		expect(policy.security.syscalls).toBe("default");
	});

	it("several presets, the later one first in say", () => {
		expect(policyOfJson({ extends: ["judge", "parser"] }).system.pids.max).toBe(32);
		expect(policyOfJson({ extends: ["parser", "judge"] }).system.pids.max).toBe(64);
		expect(policyOfJson({ extends: [] })).toEqual(policyOfJson({}));
	});

	it("presets of the caller come before those of the file", () => {
		expect(policyOfJson({ extends: "parser" }, { preset: "judge" }).system.pids.max).toBe(32);
		expect(policyOfJson({ extends: "parser" }, { flags: { preset: ["judge"] } }).system.pids.max).toBe(32);
	});

	it("the last layer to name a path places it", () => {
		const { file } = policyOfJson({
			extends: "default",
			security: { file: { writablePaths: ["/root/", "/tmp"] } },
		}).security;
		expect(file).toMatchObject({ writablePaths: ["/root", "/tmp"], maskedPaths: ["/home"], tmpfs: [] });
	});

	it("a seccomp object replaces another as a whole", () => {
		const seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
		expect(policyOfJson({ extends: "judge", security: { syscalls: seccomp } }).security.syscalls).toEqual(seccomp);
	});

	it("a value that a later layer replaces must be right all the same", () => {
		expect(problemsOf({ security: { network: { mode: "hots" } } }, { flags: { net: ["none"] } })).toEqual([
			'policy.json:1:32 security.network.mode: expected "none", "host" or "hostwithpolicy", got "hots" (did you mean "host"?)',
		]);
		expect(problemsOf({ extends: "agnt" }, { flags: { preset: ["judge"] } })).toHaveLength(1);
		expect(problemsOf({ system: { memory: 5 } }, { flags: { mem: ["64MiB"] } })).toHaveLength(1);
	});

	it("a problem is named once, whatever the number of layers", () => {
		expect(
			problemsOf({ extends: "judge", security: { file: { maskedPaths: ["mnt"] } } }, { flags: { mask: ["/x"] } }),
		).toEqual([
			'policy.json:1:55 security.file.maskedPaths[0]: expected an absolute path, got "mnt": begin it with "/"',
		]);
	});
});
