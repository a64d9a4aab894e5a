import { describe, expect, it } from "vitest";
import type { ProgramFact } from "../../src/host/types.ts";
import type { Mount, Process } from "../../src/oci/types.ts";
import { innerPlanOf, innerRenewal, innerWorkloadOf } from "../../src/plan/inner.ts";
import { syscallNumber } from "../../src/plan/syscalls.ts";
import type { Arg, Launch } from "../../src/plan/types.ts";
import { ARCH, parseProgram, RET, run } from "../helpers/bpf.ts";

const arch = "x86_64" as const;
const program: ProgramFact = {
	path: "/bin/s",
	real: "/usr/bin/s",
	interpreters: ["/usr/bin/dash"],
	loaders: ["/lib/ld"],
};
const process: Process = {
	cwd: "/work",
	env: ["PATH=/bin"],
	args: ["s"],
	user: { uid: 7, gid: 8, additionalGids: [9] },
	rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
};
const filters = [{ defaultAction: "SCMP_ACT_ALLOW" }] as const;
const labels = (launch: Pick<Launch, "child">) => launch.child.map(({ label }) => label);

describe("the plan inside", () => {
	const plan = innerPlanOf({ arch, programs: [program], granted: ["CAP_CHOWN"] });

	it("leaves root first, with capabilities, among them those that programs get", () => {
		expect(plan.child.slice(0, 4).map(({ call }) => call)).toEqual(["umask", "prctl", "setresgid", "setresuid"]);
		const [id] = plan.child[3]?.args ?? [];
		expect(id).toBeGreaterThan(65536);
		expect(labels(plan)[4]).toMatch(/^keep only .*CAP_SYS_PTRACE.*CAP_CHOWN$/);
	});

	it("finds each program and interpreter component by component, following no link", () => {
		expect(labels(plan).filter((label) => /^(open|let) /.test(label))).toEqual([
			...["open /usr in the jail", "open /usr/bin in the jail", "open /usr/bin/s in the jail", "let /usr/bin/s run"],
			...[
				"open /usr in the jail",
				"open /usr/bin in the jail",
				"open /usr/bin/dash in the jail",
				"let /usr/bin/dash run",
			],
		]);
		const opened = plan.child.filter(({ call }) => call === "openat");
		for (const { args } of opened) expect(Number(args[2]) & 0o400000).toBe(0o400000);
		const elsewhere = innerPlanOf({ arch: "aarch64", programs: [program], granted: [] });
		for (const { args } of elsewhere.child.filter(({ call }) => call === "openat")) {
			expect(Number(args[2]) & 0o100000).toBe(0o100000);
		}
	});

	it("uses no call that gVisor lacks", () => {
		const calls = new Set(
			[...plan.child, ...innerWorkloadOf(process, { arch, guarded: true, filters }).child].map(({ call }) => call),
		);
		for (const lacking of ["openat2", "mount_setattr", "landlock_restrict_self", "pidfd_open"]) {
			expect(calls).not.toContain(lacking);
		}
	});
});

describe("a program inside", () => {
	const at = (all: readonly string[], start: string) => all.findIndex((label) => label.startsWith(start));

	it("is another user without capabilities before it executes; the filter comes last", () => {
		const all = labels(innerWorkloadOf(process, { arch, guarded: true, filters }));
		const order = [
			"become user 7",
			"drop every capability",
			"set no_new_privs",
			"install the seccomp filter",
			"execute /bin/s",
		];
		const places = order.map((label) => at(all, label));
		expect(places).not.toContain(-1);
		expect(places).toEqual(places.toSorted((a, b) => a - b));
		expect(all).toContain("set supplementary groups to [9]");
		expect(at(all, "lock securebits")).toBe(-1);
	});

	it("has one filter, which stops it at execve where there is a list", () => {
		for (const [guarded, expected] of [
			[true, RET.TRACE + 1],
			[false, RET.ALLOW],
		] as const) {
			const installed = innerWorkloadOf(process, { arch, guarded, filters }).child.filter(
				({ call }) => call === "seccomp",
			);
			expect(installed).toHaveLength(1);
			const [, , program] = installed[0]?.args ?? [];
			const [pointer] = typeof program === "object" && "patches" in program ? (program.patches ?? []) : [];
			const bytes = pointer?.kind === "pointer" ? pointer.to.bytes : new Uint8Array();
			const execve = { nr: syscallNumber(arch, "execve") ?? -1, arch: ARCH.x86_64, args: [] };
			expect(run(parseProgram(bytes), execve).value).toBe(expected);
		}
	});

	it("goes to its working folder, where that is not pid 1's", () => {
		const goes = (cwd: string) =>
			labels(innerWorkloadOf({ ...process, cwd }, { arch, guarded: true, filters })).filter((one) =>
				one.startsWith("go to"),
			);
		expect([goes("/work"), goes("/")]).toEqual([["go to /work"], []]);
	});

	it("gets streams of its own, or pid 1's, of which one may be a terminal", () => {
		const own = labels(innerWorkloadOf(process, { arch, guarded: true, filters }));
		expect([at(own, "use stdin"), at(own, "start a session")]).not.toContain(-1);
		const inherited = innerWorkloadOf(process, { arch, guarded: true, filters, inherits: { terminal: ["stdout"] } });
		expect(at(labels(inherited), "use stdin")).toBe(-1);
		expect(inherited.child.find(({ call }) => call === "ioctl")?.args[0]).toBe(1);
	});
});

describe("a jail that is used again, inside", () => {
	const mounts: readonly Mount[] = [
		{ destination: "/dev", type: "tmpfs", options: ["nosuid"] },
		{ destination: "/dev/pts", type: "devpts", options: ["nosuid", "mode=0620"] },
		{ destination: "/dev/shm", type: "tmpfs", options: ["nosuid", "noexec", "mode=1777", "size=64m"] },
		{ destination: "/run", type: "tmpfs", options: ["ro"] },
		{ destination: "/tmp", type: "tmpfs", options: ["nosuid", "nodev", "size=5"] },
		{ destination: "/tmp/a/file", type: "bind", source: "/x", options: ["rbind", "ro"] },
		{ destination: "/home/u", type: "bind", source: "/home/u", options: ["rbind"] },
	];
	const inner = { mounts, isFolder: () => false };
	const renewal = innerRenewal(inner).map(({ label }) => label);

	it("mounts anew what programs can write to, and nothing of the host's or of /dev's", () => {
		expect(renewal.filter((label) => label.startsWith("unmount"))).toEqual([
			...["unmount the old /dev/pts", "unmount the old /dev/shm", "unmount the old /tmp"],
		]);
		const made = innerRenewal(inner).filter(({ label }) => label.startsWith("mount a new"));
		expect(made.map(({ args }) => [args[1], args[3], args[4]].map((arg) => shown(arg)))).toEqual([
			['"/dev/pts"', "2", '""'],
			['"/dev/shm"', "10", '"mode=1777,size=64m"'],
			['"/tmp"', "6", '"size=5"'],
		]);
		expect(renewal).toContain("enter a new IPC namespace");
	});

	it("puts back the binds that stood on it, with the folders on the way", () => {
		const at = renewal.indexOf("mount a new tmpfs on /tmp");
		expect(renewal.slice(at + 1)).toEqual([
			"make /tmp/a",
			"make /tmp/a/file",
			"put back /tmp/a/file",
			"restrict /tmp/a/file",
		]);
		const plan = innerPlanOf({ arch, programs: [], granted: [], renewed: inner });
		expect(labels(plan)).toEqual(
			expect.arrayContaining(["keep /tmp/a/file", "take /dev from programs", "restrict /proc/sys"]),
		);
		expect(labels(plan).join()).not.toContain("keep /home/u");
	});

	it("gives pid 1 what mounting takes only then", () => {
		const capabilities = (of: Launch) => labels(of).find((label) => label.startsWith("keep only"));
		expect(capabilities(innerPlanOf({ arch, programs: [], granted: [], renewed: inner }))).toContain("CAP_SYS_ADMIN");
		expect(capabilities(innerPlanOf({ arch, programs: [], granted: [] }))).not.toContain("CAP_SYS_ADMIN");
	});
});

function shown(arg: Arg | undefined): string {
	return typeof arg === "object" && "shown" in arg ? arg.shown : String(arg);
}
