import { describe, expect, it } from "vitest";
import type { ExecutorProbe } from "../../src/host/executor-probe.ts";
import * as kernel from "../../src/host/findings/kernel.ts";
import * as programs from "../../src/host/findings/programs.ts";
import type { Check, Examination, Finding, RunResult } from "../../src/host/findings/types.ts";
import * as userns from "../../src/host/findings/user-namespaces.ts";
import { kernelOf } from "../../src/host/probe.ts";
import type { HostFacts } from "../../src/host/types.ts";
import { type Entry, fakeFs } from "./fake-fs.ts";

interface Case {
	readonly files?: Readonly<Record<string, Entry>>;
	readonly release?: string;
	readonly privileged?: boolean;
	readonly executor?: ExecutorProbe;
	readonly programs?: readonly string[];
	/** What a command line prints; others exit with 0 and print nothing. */
	readonly answers?: Readonly<Record<string, Partial<RunResult>>>;
}

const able: ExecutorProbe = { landlockAbi: 7, seccompActions: [], userNamespace: { ok: true } };
const denied: ExecutorProbe = { ...able, userNamespace: { ok: false, step: "mount", errno: "EACCES" } };
const ALL = ["unshare", "mount", "nft", "runsc", "crun", "newuidmap", "newgidmap"];

function examination(given: Case): Examination {
	const { files = {}, release = "6.8.0", privileged = false, executor, programs: there = ALL, answers = {} } = given;
	const facts: HostFacts = {
		arch: "x86_64",
		kernel: kernelOf(release),
		caller: { uid: 1000, gid: 1000, groups: [], privileged, cwd: "/", env: {} },
		idMap: { uids: [], gids: [] },
		landlockAbi: 0,
		mac: { apparmor: false, selinux: false },
		cpus: 1,
		cgroup: { v1: [], blockDevices: [] },
		paths: {},
	};
	return {
		fs: fakeFs({ "/proc/self/mountinfo": "", ...files }),
		facts,
		find: (name) => (there.includes(name) ? `/usr/bin/${name}` : undefined),
		run: (command, args) => {
			const line = [command.split("/").at(-1), ...args].join(" ");
			const key = Object.keys(answers).find((part) => line.includes(part));
			return Promise.resolve({ status: 0, stdout: "", stderr: "", ...(key === undefined ? {} : answers[key]) });
		},
		executorPath: "/opt/vmjail-executor",
		...(executor === undefined ? {} : { executor }),
	};
}

async function look(check: Check, given: Case): Promise<Finding> {
	return await check(examination(given));
}

const sysctl = (name: string, value: string): Readonly<Record<string, Entry>> => ({
	[`/proc/sys/${name.replaceAll(".", "/")}`]: `${value}\n`,
});

const ACTIONS = "kernel.seccomp.actions_avail";
const RESTRICT = "kernel.apparmor_restrict_unprivileged_userns";
const failing: Partial<RunResult> = { status: 1, stderr: "unshare: unshare failed: Operation not permitted\n" };

describe("findings", () => {
	it.each([
		["a kernel that is new enough", kernel.kernelVersion, { release: "5.13.0" }, "yes", /5\.13/],
		["a kernel that is too old", kernel.kernelVersion, { release: "5.10.0-28-amd64" }, "no", /older than 5\.13/],
		["a kernel of the next major version", kernel.kernelVersion, { release: "6.0.1" }, "yes", /6\.0\.1/],
		["an executor that runs", kernel.executorBuilt, { executor: able }, "yes", /executor/],
		["an executor that does not", kernel.executorBuilt, {}, "no", /does not run here/],
		["Landlock", kernel.landlock, { executor: able }, "yes", /ABI 7/],
		["an early Landlock", kernel.landlock, { executor: { ...able, landlockAbi: 2 } }, "partly", /truncation/],
		["no Landlock", kernel.landlock, { executor: { ...able, landlockAbi: 0 } }, "no", /not/],
		["an unknown Landlock", kernel.landlock, {}, "partly", /executor is not built/],
		["seccomp", kernel.seccomp, { files: sysctl(ACTIONS, "kill_process trap errno user_notif allow") }, "yes", /notif/],
		[
			"seccomp without notifications",
			kernel.seccomp,
			{ files: sysctl(ACTIONS, "kill_process errno allow") },
			"partly",
			/no/,
		],
		["no seccomp", kernel.seccomp, {}, "no", /no filters/],
		["no ptrace", kernel.yama, { files: sysctl("kernel.yama.ptrace_scope", "3") }, "no", /nobody/],
		[
			"ptrace for administrators",
			kernel.yama,
			{ files: sysctl("kernel.yama.ptrace_scope", "2") },
			"partly",
			/CAP_SYS_PTRACE/,
		],
		["ptrace of children", kernel.yama, { files: sysctl("kernel.yama.ptrace_scope", "1") }, "yes", /children/],
		["memory files that must not run", kernel.memfd, { files: sysctl("vm.memfd_noexec", "2") }, "partly", /noexec=2/],
		["memory files", kernel.memfd, {}, "yes", /sealed/],
		["overlay", kernel.overlay, { files: { "/proc/filesystems": "nodev\tproc\nnodev\toverlay\n" } }, "yes", /overlay/],
		["no overlay", kernel.overlay, { files: { "/proc/filesystems": "nodev\tproc\n" } }, "partly", /not loaded/],
		["a user namespace by the executor", userns.userNamespaces, { executor: able }, "yes", /executor/],
		["none by the executor", userns.userNamespaces, { executor: denied }, "no", /mount: EACCES/],
		["a user namespace by unshare", userns.userNamespaces, {}, "yes", /unshare/],
		["none by unshare", userns.userNamespaces, { answers: { "--user": failing } }, "no", /not permitted/],
		["nothing to try it with", userns.userNamespaces, { programs: [] }, "no", /not tried/],
		["no restriction", userns.apparmorRestriction, {}, "yes", /no such/],
		["a restriction", userns.apparmorRestriction, { files: sysctl(RESTRICT, "1"), executor: denied }, "no", /=1/],
		[
			"a profile against it",
			userns.apparmorRestriction,
			{ files: sysctl(RESTRICT, "1"), executor: able },
			"yes",
			/profile/,
		],
		[
			"a restriction for others",
			userns.apparmorRestriction,
			{ files: sysctl(RESTRICT, "1"), privileged: true },
			"yes",
			/bind/,
		],
		[
			"no more namespaces",
			userns.maxUserNamespaces,
			{ files: sysctl("user.max_user_namespaces", "0") },
			"no",
			/nobody/,
		],
		[
			"Debian's switch off",
			userns.unprivilegedClone,
			{ files: sysctl("kernel.unprivileged_userns_clone", "0") },
			"no",
			/root/,
		],
		["proc in a namespace", userns.procMount, {}, "yes", /mounted/],
		["an nft that works", userns.nft, {}, "yes", /works/],
		[
			"an nft that fails",
			userns.nft,
			{ answers: { nft: { status: 1, stderr: "netlink: Error" } } },
			"no",
			/netlink: Error/,
		],
		["no nft", userns.nft, { programs: ["unshare"] }, "no", /not installed/],
		["crun", programs.crun, { answers: { crun: { stdout: "crun version 1.8\ncommit x" } } }, "yes", /version 1\.8$/],
		["no runc", programs.runc, {}, "no", /not installed/],
		["no newuidmap", programs.idMapTools, { programs: [] }, "no", /not installed/],
		["no newuidmap for root", programs.idMapTools, { programs: [], privileged: true }, "yes", /not installed/],
	] as const)("tell of %s", async (_what, check, given, ok, detail) => {
		const found = await look(check, given);
		expect(found).toMatchObject({ ok, detail: expect.stringMatching(detail) });
		// What does not work comes with something to do about it.
		if (ok === "no") expect(found.fix).toMatch(/\S/);
	});

	it("know set-user-id programs behind links", async () => {
		const tools = { "/usr/bin/newuidmap": { link: "real" }, "/usr/bin/real": { mode: 0o4755 } };
		const good = { ...tools, "/usr/bin/newgidmap": { mode: 0o4755 } };
		expect((await look(programs.idMapTools, { files: good })).ok).toBe("yes");
		const plain = await look(programs.idMapTools, { files: { ...tools, "/usr/bin/newgidmap": { mode: 0o755 } } });
		expect(plain).toMatchObject({ ok: "partly", detail: expect.stringContaining("/usr/bin/newgidmap without") });
	});

	it.each([
		["user.max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"],
		["kernel.unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"],
	])("trace a refusal to %s", async (name, value, fix) => {
		expect((await look(userns.userNamespaces, { files: sysctl(name, value), executor: denied })).fix).toBe(fix);
	});

	it("offer an AppArmor profile for the executor's own path", async () => {
		const { fix } = await look(userns.userNamespaces, { files: sysctl(RESTRICT, "1"), executor: denied });
		expect(fix).toContain('profile vmjail "/opt/vmjail-executor" flags=(unconfined) {\\n  userns,\\n}');
		expect(fix).toContain("sudo apparmor_parser -r /etc/apparmor.d/vmjail");
	});

	it("say what hides the container's proc", async () => {
		const files = {
			"/proc/self/mountinfo": "1 0 0:1 / /proc rw - proc proc rw\n2 1 0:2 / /proc/kcore rw - tmpfs tmpfs rw\n",
		};
		const found = await look(userns.procMount, {
			files,
			answers: { "-t proc": { status: 32, stderr: "mount: denied" } },
		});
		expect(found).toMatchObject({ ok: "no", detail: "refused: mounted over: /proc/kcore", needed: true });
	});
});
