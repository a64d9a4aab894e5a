import { describe, expect, it } from "vitest";
import { kernelOf, probeHost } from "../../src/host/probe.ts";
import type { HostFacts } from "../../src/host/types.ts";
import { type Entry, type FakeOptions, fakeFs } from "./fake-fs.ts";
import * as hosts from "./hosts.ts";

function probe(files: Readonly<Record<string, Entry>>, uid = 0, options: FakeOptions = {}): HostFacts {
	const capabilities = uid === 0 ? hosts.ALL_CAPABILITIES : hosts.NO_CAPABILITIES;
	return probeHost({
		fs: fakeFs({ ...files, "/proc/self/status": hosts.status(uid, capabilities) }, options),
		process: {
			pid: hosts.SELF,
			arch: "x64",
			release: "6.1.0-18-amd64",
			cwd: "/w",
			env: { A: "1", B: undefined },
			cpus: 4,
		},
	});
}

const session = "/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope";
const scope = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope";

describe("cgroup v2", () => {
	it("goes to the root of the hierarchy for root in a shared session", () => {
		expect(probe(hosts.systemdSession).cgroup.v2).toMatchObject({
			path: "/sys/fs/cgroup",
			writable: true,
			moveSelf: false,
			controllers: ["cpuset", "cpu", "io", "memory", "pids"],
			enabled: ["memory", "pids"],
			because: expect.stringContaining("root of the hierarchy"),
		});
	});

	it("is not an ordinary user's in a session, and says why", () => {
		const facts = probe(hosts.systemdSession, 1000, { refuses: { "/sys/fs/cgroup/": "EACCES" } });
		expect(facts.cgroup.v2).toMatchObject({ path: session, writable: false, moveSelf: false });
		expect(facts.cgroup.v2?.reason).toContain("not delegated to this user");
	});

	it("is the user's own delegated scope, which it must leave first", () => {
		const refuses = { "/sys/fs/cgroup": "EACCES", "/sys/fs/cgroup/cgroup.procs": "EACCES" };
		const { v2 } = probe(hosts.systemdScope, 1000, { refuses }).cgroup;
		expect(v2).toMatchObject({ path: scope, writable: true, moveSelf: true, own: [500, 501], swapLimit: true });
	});

	it("stays in that scope once the caller has moved to its leaf", () => {
		const { v2 } = probe(hosts.systemdScopeMoved, 1000).cgroup;
		expect(v2).toMatchObject({ path: scope, writable: true, moveSelf: false, enabled: ["memory", "pids"] });
	});

	it("names the process that is in the way, where the group is shared and there is no other", () => {
		const facts = probe(hosts.container);
		expect(facts.cgroup.v2).toMatchObject({ path: "/sys/fs/cgroup", writable: false });
		expect(facts.cgroup.v2?.reason).toContain("also holds process 1");
		expect(facts.idMap.uids).toEqual([{ from: 0, count: 65536 }]);
	});

	it("is read-only in most containers", () => {
		const facts = probe(hosts.container, 0, { refuses: { "/sys/fs/cgroup/": "EROFS" } });
		expect(facts.cgroup.v2?.reason).toBe("/sys/fs/cgroup is mounted read-only");
	});

	it("is found by the mount's root where there is no cgroup namespace", () => {
		const { v2 } = probe(hosts.containerWithoutNamespace).cgroup;
		expect(v2).toMatchObject({ path: "/sys/fs/cgroup", writable: true, moveSelf: true, own: [500] });
	});

	it("may be absent", () => {
		expect(probe(hosts.v1Only).cgroup.v2).toBeUndefined();
	});

	it("is not used from outside of the namespace's root", () => {
		const files = { ...hosts.systemdSession, "/proc/self/cgroup": "0::/../../elsewhere\n" };
		expect(probe(files).cgroup.v2).toBeUndefined();
	});

	it("needs no move at the root, where all processes may stay (WSL)", () => {
		const { cgroup } = probe(hosts.wsl);
		expect(cgroup.v2).toMatchObject({ path: "/sys/fs/cgroup", writable: true, moveSelf: false });
		expect(cgroup.blockDevices).toEqual([{ major: 8, minor: 32, name: "sdc" }]);
	});
});

describe("cgroup v1 and hybrid", () => {
	it("finds controllers that are mounted together, and what a cpuset must copy", () => {
		const { cgroup } = probe(hosts.v1Only);
		expect(cgroup.v1).toEqual([
			{ name: "cpu", path: "/sys/fs/cgroup/cpu,cpuacct/user", writable: true },
			{ name: "cpuacct", path: "/sys/fs/cgroup/cpu,cpuacct/user", writable: true },
			{ name: "memory", path: "/sys/fs/cgroup/memory/user", writable: true, swapLimit: false },
			{ name: "cpuset", path: "/sys/fs/cgroup/cpuset", writable: true, mems: "0-1" },
		]);
		expect(cgroup).toMatchObject({ swapOn: true, cpuList: "0-7" });
	});

	it("belongs to root", () => {
		const { v1 } = probe(hosts.v1Only, 1000, { refuses: { "/sys/fs/cgroup/": "EACCES" } }).cgroup;
		expect(v1.map(({ writable, reason }) => [writable, reason?.includes("EACCES")])).toEqual(
			v1.map(() => [false, true]),
		);
	});

	it("is told when a hierarchy is not mounted", () => {
		const files = { ...hosts.v1Only, "/proc/self/cgroup": "5:pids:/\n" };
		expect(probe(files).cgroup.v1).toEqual([
			{ name: "pids", path: "", writable: false, reason: "the pids hierarchy of cgroup v1 is not mounted here" },
		]);
	});

	it("has both in a hybrid host, and paths with blanks", () => {
		const { cgroup } = probe(hosts.hybrid);
		expect(cgroup.v1.map(({ path }) => path)).toEqual(["/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory/a b"]);
		expect(cgroup.v1[1]?.swapLimit).toBe(true);
		expect(cgroup.v2).toMatchObject({ path: "/sys/fs/cgroup/unified", controllers: ["hugetlb"] });
		expect(cgroup.blockDevices).toEqual([{ major: 8, minor: 0, name: "sda" }]);
	});
});

describe("the caller", () => {
	it("is known by its effective ids and capabilities", () => {
		const { caller, arch, kernel, cpus, landlockAbi } = probe(hosts.systemdScope, 1000);
		expect(caller).toEqual({ uid: 1000, gid: 1000, groups: [27, 1000], privileged: false, cwd: "/w", env: { A: "1" } });
		expect({ arch, cpus, landlockAbi }).toEqual({ arch: "x86_64", cpus: 4, landlockAbi: 0 });
		expect(kernel).toEqual({ release: "6.1.0-18-amd64", major: 6, minor: 1 });
		expect(probe(hosts.systemdScope, 0).caller.privileged).toBe(true);
	});

	it("needs /proc", () => {
		const fs = fakeFs({});
		expect(() => probeHost({ fs })).toThrow(expect.objectContaining({ code: "HOST_UNSUPPORTED" }));
	});

	it("must be on an architecture with an executor", () => {
		const process = { pid: 1, arch: "riscv64", release: "6.1", cwd: "/", env: {}, cpus: 1 };
		expect(() => probeHost({ fs: fakeFs(hosts.wsl), process })).toThrow(/riscv64/);
	});

	it.each([
		["5.15.153.1-microsoft-standard-WSL2", 5, 15],
		["6.8.0-31-generic", 6, 8],
		["odd", 0, 0],
	])("reads the kernel's version %s", (release, major, minor) => {
		expect(kernelOf(release)).toEqual({ release, major, minor });
	});
});
