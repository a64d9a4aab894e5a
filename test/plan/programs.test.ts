import { describe, expect, it } from "vitest";
import type { ProgramFact } from "../../src/host/types.ts";
import type { Mount } from "../../src/oci/types.ts";
import {
	allowSteps,
	announceExecSteps,
	executableFiles,
	mayAnnounce,
	memfdSteps,
	programFiles,
	stopAtExecSteps,
	withoutExec,
} from "../../src/plan/programs.ts";
import type { Bytes, Step } from "../../src/plan/types.ts";
import { ARCH, checkProgram, parseProgram, RET, run } from "../helpers/bpf.ts";

const EPERM = 1;
const ENOSYS = 38;

const SHELL: ProgramFact = { path: "/bin/sh", real: "/usr/bin/dash", interpreters: [], loaders: ["/lib/ld.so"] };
const SCRIPT: ProgramFact = {
	path: "/work/tool",
	real: "/work/tool",
	interpreters: ["/usr/bin/python3"],
	loaders: ["/lib/ld.so"],
};

describe("the files of an allow-list", () => {
	it("that become programs are those listed and their interpreters, each once", () => {
		expect(programFiles([SHELL, SCRIPT, SHELL])).toEqual(["/usr/bin/dash", "/work/tool", "/usr/bin/python3"]);
	});

	it("that are opened for execution are the loaders too", () => {
		expect(executableFiles([SHELL, SCRIPT])).toEqual([...programFiles([SHELL, SCRIPT]), "/lib/ld.so"]);
	});

	it("are told to the guard by what is there in the jail, never through a link; a loader is no program", () => {
		const steps = allowSteps([SHELL, SCRIPT]);
		expect(steps.map(({ label }) => label)).toEqual([
			"open /usr/bin/dash in the jail",
			"let /usr/bin/dash run",
			"open /work/tool in the jail",
			"let /work/tool run",
			"open /usr/bin/python3 in the jail",
			"let /usr/bin/python3 run",
		]);
		const how = steps[0]?.args[2] as Bytes;
		expect(new DataView(how.bytes.buffer).getBigUint64(16, true)).toBe(0x6n); // NO_MAGICLINKS | NO_SYMLINKS
	});
});

describe("what is writable", () => {
	const mount = (destination: string, ...options: readonly string[]): Mount => ({ destination, options });

	it("may not be executed, with all that is mounted below it", () => {
		const [tree, file, memory] = withoutExec(
			[mount("/out", "rbind", "rw"), mount("/log", "bind", "rw"), { destination: "/tmp", type: "tmpfs" }],
			[SHELL],
		);
		expect(tree?.options).toEqual(["rbind", "rw", "noexec", "rnoexec"]);
		expect(file?.options).toEqual(["bind", "rw", "noexec"]);
		expect(memory?.options).toEqual(["noexec"]);
	});

	it("stays executable where a listed program lies in it, or is it", () => {
		const mounts = [mount("/work", "rbind", "rw"), mount("/usr/bin/dash", "bind", "rw")];
		expect(withoutExec(mounts, [SHELL, SCRIPT])).toEqual(mounts);
		// A name that merely begins the same is another folder.
		expect(withoutExec([mount("/wor", "rbind", "rw")], [SCRIPT])[0]?.options).toContain("noexec");
	});

	it("is what counts: read-only mounts stay as they are", () => {
		const mounts = [mount("/data", "rbind", "ro", "rro"), { destination: "/run", type: "tmpfs", options: ["ro"] }];
		expect(withoutExec(mounts, [SHELL])).toEqual(mounts);
	});
});

describe("memory files", () => {
	it("are made not executable where the kernel can; where it cannot, the guard holds", () => {
		const [open, write] = memfdSteps();
		expect([open?.tolerate, write?.tolerate]).toEqual([
			["ENOENT", "EACCES"],
			["EBADF", "EINVAL", "EPERM"],
		]);
		expect(write?.args[1]).toMatchObject({ shown: '"2\\n"' });
	});
});

/** The instructions that a seccomp step installs. */
function filterOf(step: Step | undefined) {
	const program = step?.args[2] as Bytes;
	const [pointer] = program.patches ?? [];
	if (pointer?.kind !== "pointer") throw new Error("no filter");
	return parseProgram(pointer.to.bytes);
}

const FILTERS = { stops: stopAtExecSteps, announces: announceExecSteps } as const;

describe.each(["stops", "announces"] as const)("the filter that %s for the guard", (kind) => {
	const held = kind === "stops" ? RET.TRACE : RET.NOTIFY;
	const filterFor = (arch: "x86_64" | "aarch64") => filterOf(FILTERS[kind](arch)[0]);

	it.each([
		["x86_64", { execve: 59, execveat: 322, ptrace: 101, clone3: 435 }],
		["aarch64", { execve: 221, execveat: 281, ptrace: 117, clone3: 435 }],
	] as const)("on %s holds execve and execveat, and lets nobody escape its tracer", (arch, calls) => {
		const filter = filterFor(arch);
		checkProgram(filter);
		const answer = (nr: number) => run(filter, { nr, arch: ARCH[arch], args: [] }).value;
		const action = (nr: number) => answer(nr) & 0xffff0000;
		expect([action(calls.execve), action(calls.execveat)]).toEqual([held, held].map((value) => value & 0xffff0000));
		expect([answer(calls.ptrace), answer(calls.clone3)]).toEqual([RET.ERRNO | EPERM, RET.ERRNO | ENOSYS]);
		const others = Array.from({ length: 500 }, (_, nr) => nr).filter(
			(nr) => !Object.values<number>(calls).includes(nr),
		);
		expect(others.filter((nr) => answer(nr) !== RET.ALLOW)).toEqual([]);
	});

	it.each([
		["x86_64", 56],
		["aarch64", 220],
	] as const)("on %s lets clone(2) make every process but an untraced one", (arch, clone) => {
		const filter = filterFor(arch);
		const answer = (flags: bigint) => run(filter, { nr: clone, arch: ARCH[arch], args: [flags] }).value;
		expect(answer(0n)).toBe(RET.ALLOW);
		expect(answer(0xff7f_ffffn)).toBe(RET.ALLOW);
		for (const flags of [0x0080_0000n, 0x0080_0011n, 0xffff_ffffn, 0x1_0080_0000n]) {
			expect(answer(flags)).toBe(RET.ERRNO | EPERM);
		}
	});

	it("ends a program that calls by another architecture, whose numbers are others", () => {
		const filter = filterFor("x86_64");
		expect(run(filter, { nr: 11, arch: ARCH.i386, args: [] }).value).toBe(RET.KILL_PROCESS);
		expect(run(filter, { nr: 0x4000_0000 + 520, arch: ARCH.x86_64, args: [] }).value).not.toBe(RET.ALLOW);
	});
});

describe("the listener of the guard", () => {
	const NEWER = { release: "5.19.0", major: 5, minor: 19 };
	const none = { profile: undefined, steps: [] };

	it("is asked for with the flag that keeps signals from its callers, and handed over", () => {
		const [filter, handOver, ...more] = announceExecSteps("x86_64");
		// SECCOMP_SET_MODE_FILTER; SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
		expect(filter?.args.slice(0, 2)).toEqual([1, 0x28]);
		expect(handOver).toMatchObject({ call: "watch_exec", args: [{ slot: filter?.save }] });
		expect(more).toEqual([]);
	});

	it("needs Linux 5.19", () => {
		expect(mayAnnounce(NEWER, none)).toBe(true);
		expect(mayAnnounce({ release: "6.1.0", major: 6, minor: 1 }, none)).toBe(true);
		expect(mayAnnounce({ release: "5.18.19", major: 5, minor: 18 }, none)).toBe(false);
		expect(mayAnnounce({ release: "4.19.0", major: 4, minor: 19 }, none)).toBe(false);
	});

	it("is not to be had beside another one: of network rules, or of the policy's own filter", () => {
		const steps = [{ label: "watch connect", call: "seccomp", args: [] } as const];
		expect(mayAnnounce(NEWER, { profile: undefined, steps })).toBe(false);
		const rule = (action: "SCMP_ACT_NOTIFY" | "SCMP_ACT_ALLOW") => ({
			profile: { defaultAction: "SCMP_ACT_ERRNO" as const, syscalls: [{ names: ["mkdir"], action }] },
			steps: [],
		});
		expect(mayAnnounce(NEWER, rule("SCMP_ACT_NOTIFY"))).toBe(false);
		expect(mayAnnounce(NEWER, rule("SCMP_ACT_ALLOW"))).toBe(true);
	});
});
