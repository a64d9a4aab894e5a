import { describe, expect, it } from "vitest";
import { parseMountinfo } from "../../../src/host/mountinfo.ts";
import { deleteArgv, runArgv } from "../../../src/runtime/oci-cli/argv.ts";
import { preparation } from "../../../src/runtime/oci-cli/driver.ts";
import { errorsIn, exitOfStatus, failureOf } from "../../../src/runtime/oci-cli/exit.ts";

const input = { path: "/bin/x", state: "/s", log: "/l", bundle: "/b", id: "abc" };

describe("command lines", () => {
	it("keep all state in the private folder", () => {
		expect(runArgv({ ...input, runtime: "runc" })).toEqual([
			"/bin/x",
			"--root",
			"/s",
			"--log",
			"/l",
			"--log-format",
			"json",
			"--rootless=true",
			"run",
			"--bundle",
			"/b",
			"abc",
		]);
		expect(deleteArgv({ ...input, runtime: "runc" }).slice(-3)).toEqual(["delete", "--force", "abc"]);
	});

	it("tell crun to leave control groups alone", () => {
		expect(runArgv({ ...input, runtime: "crun" })).toContain("--cgroup-manager=disabled");
	});
});

describe("exitOfStatus", () => {
	it.each([
		[0, { kind: "exited", exitCode: 0 }],
		[128, { kind: "exited", exitCode: 128 }],
		[137, { kind: "signaled", signal: 9 }],
		[192, { kind: "signaled", signal: 64 }],
		[193, { kind: "exited", exitCode: 193 }],
		[255, { kind: "exited", exitCode: 255 }],
	])("%i", (status, wanted) => {
		expect(exitOfStatus(status)).toEqual(wanted);
	});
});

describe("errorsIn", () => {
	it("reads errors and nothing else", () => {
		const line = (level: string, msg: string) => JSON.stringify({ level, msg, time: "t" });
		expect(errorsIn(`${line("warning", "w")}\nnot json\n${line("error", "e")}\n`)).toEqual(["e"]);
	});
});

describe("failureOf", () => {
	it.each([
		[
			"runc",
			'runc run failed: unable to start container process: exec: "/bin/x": stat /bin/x: no such file or directory',
			"COMMAND_NOT_FOUND",
		],
		[
			"runc",
			'runc run failed: unable to start container process: exec: "x": executable file not found in $PATH',
			"COMMAND_NOT_FOUND",
		],
		[
			"runc",
			'runc run failed: unable to start container process: exec: "/etc/passwd": permission denied',
			"COMMAND_NOT_EXECUTABLE",
		],
		["crun", "executable file `/bin/x` not found in $PATH: No such file or directory", "COMMAND_NOT_FOUND"],
		["crun", "open executable: Permission denied", "COMMAND_NOT_EXECUTABLE"],
		["crun", "mount `proc` to `proc`: Operation not permitted", "LAUNCH_FAILED"],
	] as const)("%s: %s", (runtime, message, code) => {
		expect(failureOf(runtime, [message]).code).toBe(code);
	});
});

describe("preparation", () => {
	const mounts = parseMountinfo(
		"1 1 0:1 / /c/memory rw - cgroup cgroup rw\n2 1 0:2 / /c/unified rw - cgroup2 cgroup2 rw",
	);

	it("hides cgroup2 from crun on a hybrid host only", () => {
		expect(preparation("crun", mounts)).toEqual([{ op: "tmpfs", at: "/c/unified" }]);
		expect(preparation("crun", mounts.slice(1))).toEqual([]);
	});

	it("keeps runc from making control groups of its own", () => {
		const flags = ["ro"];
		expect(preparation("runc", mounts)).toEqual([
			{ op: "restrict", at: "/c/memory", flags },
			{ op: "restrict", at: "/c/unified", flags },
		]);
	});
});
