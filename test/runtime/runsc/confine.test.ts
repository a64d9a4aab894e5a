import { describe, expect, it } from "vitest";
import type { LinuxSeccomp, Process, Spec } from "../../../src/oci/types.ts";
import { confined, reportedFailure } from "../../../src/runtime/runsc/confine.ts";
import { ARCH, checkProgram, parseProgram, RET, run } from "../../helpers/bpf.ts";

const allowing = (...syscalls: NonNullable<LinuxSeccomp["syscalls"]>): LinuxSeccomp => ({
	defaultAction: "SCMP_ACT_ALLOW",
	syscalls,
});

function specWith(seccomp: LinuxSeccomp | undefined, process: Partial<Process> = {}): Spec {
	return {
		ociVersion: "1.2.0",
		process: { cwd: "/", env: ["PATH=/a:/b"], args: ["prog", "x"], user: { uid: 1, gid: 1 }, ...process },
		root: { path: "/" },
		mounts: [],
		linux: { namespaces: [], ...(seccomp === undefined ? {} : { seccomp }) },
	};
}

const MOUNT = 165;
const CHMOD = 90;

describe("confined", () => {
	const profile = allowing({ names: ["chmod"], action: "SCMP_ACT_ERRNO", errnoRet: 38 });

	it("tells vmjail-confine the filter, the files that the name may mean, and the program's arguments", () => {
		const { process, steps } = confined(specWith(profile), "x86_64", 3) ?? {};
		const [name, report, filter = "", ...rest] = process?.args ?? [];
		expect([name, report, rest]).toEqual(["vmjail-confine", "3", ["2", "/a/prog", "/b/prog", "prog", "x"]]);
		expect(process?.env).toEqual(["PATH=/a:/b"]);
		expect(steps?.map(({ label }) => label)).toEqual([
			"install the seccomp filter",
			"execute /a/prog",
			"execute /b/prog",
		]);
		const program = parseProgram(Buffer.from(filter, "hex"));
		checkProgram(program);
		const answer = (nr: number) => run(program, { nr, arch: ARCH.x86_64, args: [] }).value;
		// The profile with its own errno, and what is refused in gVisor whatever a profile says.
		expect([answer(CHMOD), answer(MOUNT), answer(0)]).toEqual([RET.ERRNO + 38, RET.ERRNO + 1, RET.ALLOW]);
	});

	it("has a filter without a profile, too", () => {
		const filter = confined(specWith(undefined), "x86_64", 3)?.process.args[2] ?? "";
		const program = parseProgram(Buffer.from(filter, "hex"));
		expect(run(program, { nr: MOUNT, arch: ARCH.x86_64, args: [] }).value).toBe(RET.ERRNO + 1);
	});

	it.each(["execve", "write", "exit_group"])("leaves a profile to gVisor that may refuse %s", (name) => {
		const refusing = allowing({ names: [name], action: "SCMP_ACT_ERRNO" });
		const arg = { index: 0, op: "SCMP_CMP_EQ", value: 7 } as const;
		const sometimes = allowing({ names: [name], action: "SCMP_ACT_ERRNO", args: [arg] });
		expect(confined(specWith(refusing), "x86_64", 3)).toBeUndefined();
		expect(confined(specWith(sometimes), "x86_64", 3)).toBeUndefined();
	});

	it("leaves a program to gVisor that has capabilities, which an execve takes in builds without ambient ones", () => {
		const permitted = ["CAP_NET_BIND_SERVICE"];
		const capabilities = { bounding: permitted, effective: permitted, permitted, inheritable: [], ambient: [] };
		expect(confined(specWith(profile, { capabilities }), "x86_64", 3)).toBeUndefined();
		const none = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
		expect(confined(specWith(profile, { capabilities: none }), "x86_64", 3)).toBeDefined();
	});
});

describe("reportedFailure", () => {
	const NAMES: Readonly<Record<number, string>> = { 2: "ENOENT", 13: "EACCES", 20: "ENOTDIR", 22: "EINVAL" };
	const codeOf = (report: string) => reportedFailure(report, "prog", (number) => NAMES[number] ?? "?")?.code;

	it.each([
		["execute 0002\n", "COMMAND_NOT_FOUND"],
		["execute 0020\n", "COMMAND_NOT_FOUND"],
		["execute 0013\n", "COMMAND_NOT_EXECUTABLE"],
		["filter 0022\n", "LAUNCH_FAILED"],
		["", undefined],
	])("%j is %s", (report, code) => {
		expect(codeOf(report)).toBe(code);
	});
});
