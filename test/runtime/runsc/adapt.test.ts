import { describe, expect, it } from "vitest";
import type { Mount, Spec } from "../../../src/oci/types.ts";
import { adapt, forStage, networkOf } from "../../../src/runtime/runsc/adapt.ts";

const abilities = { version: "1", platforms: ["systrap"], ownUid: true, flags: new Set<string>() } as const;
const root = { uid: 0, gid: 0, privileged: true };
const user = { uid: 1000, gid: 100, privileged: false };

const base: Spec = {
	ociVersion: "1.2.0",
	process: { cwd: "/", env: ["A=1"], args: ["/bin/true"], user: { uid: 1000, gid: 100 } },
	root: { path: "/", readonly: true },
	hostname: "jail",
	mounts: [
		{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
		{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
		{ destination: "/dev/null", type: "bind", source: "/dev/null", options: ["bind", "rw"] },
		{ destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "mode=0620"] },
		{ destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
		{
			destination: "/home/u",
			type: "bind",
			source: "/home/u",
			options: ["rbind", "ro", "rro", "nodev", "rnodev", "rprivate"],
		},
	],
	annotations: { "dev.gvisor.flag.directfs": "true", "dev.vmjail.version": "1" },
	linux: {
		namespaces: (["user", "mount", "pid", "ipc", "uts", "cgroup", "network"] as const).map((type) => ({ type })),
		uidMappings: [{ containerID: 0, hostID: 0, size: 4294967295 }],
		resources: { pids: { limit: 5 } },
		cgroupsPath: "/x",
		maskedPaths: ["/proc/kcore", "/proc/sysrq-trigger", "/sys/firmware", "/home/u/.ssh"],
		readonlyPaths: ["/proc/sys"],
	},
};

function adapted(spec: Spec = base, caller = root, ownUid = true, inner?: "once" | "again"): Spec {
	const own = forStage(spec);
	return adapt({
		spec: own,
		stage: { root: "/r", steps: [] },
		emptyFile: "/e",
		abilities: { ...abilities, ownUid },
		caller,
		inner,
	});
}
const mountOn = (spec: Spec, destination: string): Mount | undefined =>
	spec.mounts.findLast((mount) => mount.destination === destination);

describe("adapt", () => {
	it("takes every file from the stage", () => {
		const spec = adapted();
		expect(spec.root).toEqual({ path: "/r", readonly: true });
		expect(mountOn(spec, "/home/u")).toEqual({
			destination: "/home/u",
			type: "bind",
			source: "/r/home/u",
			options: ["rbind", "ro", "nodev"],
		});
		expect(
			spec.mounts
				.filter(({ type }) => type === "bind")
				.every(({ source }) => source?.startsWith("/r/") || source === "/e"),
		).toBe(true);
	});

	it("leaves the plain devices and instances of devpts to the Sentry", () => {
		const spec = adapted();
		expect(mountOn(spec, "/dev/null")).toBeUndefined();
		expect(mountOn(spec, "/dev/pts")?.options).toEqual(["mode=0620"]);
	});

	it("masks what exists in the Sentry's own file systems by mounts; the stage has masked the rest", () => {
		const spec = adapted();
		expect(mountOn(spec, "/sys/firmware")).toMatchObject({
			type: "tmpfs",
			options: expect.arrayContaining(["ro", "mode=555"]),
		});
		expect(mountOn(spec, "/proc/sysrq-trigger")).toMatchObject({ type: "bind", source: "/e", options: ["bind", "ro"] });
		expect([mountOn(spec, "/proc/kcore"), mountOn(spec, "/home/u/.ssh")]).toEqual([undefined, undefined]);
		expect(spec.linux.maskedPaths).toBeUndefined();
	});

	it("leaves limits to the control group around runsc, and no annotation to runsc", () => {
		const spec = adapted();
		expect([spec.linux.resources, spec.linux.cgroupsPath, spec.annotations]).toEqual([undefined, undefined, undefined]);
	});

	it("always brings a seccomp profile", () => {
		expect(adapted().linux.seccomp?.syscalls?.flatMap(({ names }) => names)).toContain("mount");
	});

	it("leaves the profile to a first process that brings its own filter", () => {
		const own = forStage(base);
		const given = { spec: own, stage: { root: "/r", steps: [] }, emptyFile: "/e", abilities, caller: root };
		expect(adapt({ ...given, filtered: true }).linux.seccomp).toBeUndefined();
		expect(adapt({ ...given, filtered: false }).linux.seccomp).toBeDefined();
	});

	it("needs no user namespace as root without network: the Sentry gets its own", () => {
		const spec = adapted();
		expect(spec.linux.namespaces.map(({ type }) => type)).toEqual(["mount", "pid", "ipc", "uts", "network"]);
		expect(spec.linux.uidMappings).toBeUndefined();
	});

	it("gives the Sentry an id that owns nothing where it has the host's network", () => {
		const linux = { ...base.linux, namespaces: [{ type: "pid" as const }] };
		const spec = adapted({ ...base, linux });
		expect(spec.linux.namespaces).toEqual([{ type: "pid" }, { type: "user" }]);
		expect(spec.linux.uidMappings).toEqual([
			{ containerID: 0, hostID: 100000, size: 1 },
			{ containerID: 1, hostID: 1, size: 99999 },
		]);
		const asRoot = adapted({ ...base, linux, process: { ...base.process, user: { uid: 0, gid: 0 } } });
		expect(asRoot.linux.uidMappings?.[0]).toEqual({ containerID: 0, hostID: 0, size: 1 });
	});

	it("keeps an ordinary caller's id where this build can, else shows it as 0", () => {
		const spec = adapted(base, user);
		expect(spec.linux.uidMappings).toEqual([{ containerID: 1000, hostID: 1000, size: 1 }]);
		expect(spec.linux.gidMappings).toEqual([{ containerID: 100, hostID: 100, size: 1 }]);
		expect(spec.process.user).toEqual({ uid: 1000, gid: 100 });
		const old = adapted(base, user, false);
		expect([old.process.user, old.linux.uidMappings]).toEqual([{ uid: 0, gid: 0 }, undefined]);
	});

	it("shows the Sentry's own /sys where the spec binds the host's", () => {
		const mounts: readonly Mount[] = [{ destination: "/sys", type: "bind", source: "/sys", options: ["rbind", "ro"] }];
		expect(mountOn(adapted({ ...base, mounts }), "/sys")?.type).toBe("sysfs");
	});
});

describe("forStage", () => {
	const refused = (change: Partial<Spec>) =>
		expect(() => forStage({ ...base, ...change })).toThrowError(expect.objectContaining({ code: "HOST_UNSUPPORTED" }));

	it("refuses what no runsc enforces", () => {
		refused({ process: { ...base.process, apparmorProfile: "p" } });
		refused({ process: { ...base.process, selinuxLabel: "l" } });
		refused({ mounts: [{ destination: "/dev/kvm", type: "bind", source: "/dev/kvm", options: ["bind"] }] });
		refused({ mounts: [{ destination: "/x", type: "overlay", source: "overlay" }] });
		refused({ linux: { ...base.linux, devices: [{ type: "c", path: "/dev/kvm" }] } });
	});
});

describe("networkOf", () => {
	it.each([
		["a namespace of its own", [{ type: "network" as const }], "none"],
		["a namespace by path", [{ type: "network" as const, path: "/proc/7/ns/net" }], "host"],
		["no namespace", [], "host"],
	])("is decided by %s", (_what, namespaces, wanted) => {
		expect(networkOf({ namespaces })).toBe(wanted);
	});
});

describe("a spec for vmjail's own pid 1", () => {
	it("has it in place of the program, with what it needs to keep programs of another user in check", () => {
		const { process, linux } = adapted(base, root, true, "once");
		expect(process).toMatchObject({ args: ["vmjail-init", "inner", "3"], cwd: "/", env: [], user: { uid: 0, gid: 0 } });
		expect(process.capabilities?.permitted).toEqual(
			expect.arrayContaining(["CAP_KILL", "CAP_SETUID", "CAP_SYS_PTRACE"]),
		);
		expect(process.capabilities?.permitted).not.toContain("CAP_SYS_ADMIN");
		expect(linux.seccomp).toBeUndefined();
		expect(adapted().linux.seccomp).toBeDefined();
	});

	it("starts as the one user that a caller without privileges can give", () => {
		expect(adapted(base, user, true, "once").process.user).toEqual({ uid: 1000, gid: 100 });
		expect(adapted(base, user, false, "once").process.user).toEqual({ uid: 0, gid: 0 });
	});
});
