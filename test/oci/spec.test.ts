import { describe, expect, it } from "vitest";
import { defaultProfile, strictProfile, withFloor } from "../../src/oci/seccomp/profiles.ts";
import { specOf } from "../../src/oci/spec.ts";
import type { Spec } from "../../src/oci/types.ts";
import type { Policy } from "../../src/policy/types.ts";
import { network, type PolicyParts, policyOf } from "../helpers/policy.ts";
import { factsFor, file, folder, type HostParts, linked, ROOT_USER } from "./fixtures.ts";

function specFor(parts: PolicyParts, host: HostParts = {}, terminal = false): Spec {
	const policy = policyOf(parts);
	return specOf({ policy, facts: factsFor(policy, host), command: ["true"], terminal });
}

function mountAt(spec: Spec, destination: string) {
	return spec.mounts.find((mount) => mount.destination === destination);
}

describe("identity", () => {
	it("maps an ordinary caller to itself and nobody else", () => {
		const { linux, process } = specFor({});
		expect(linux.uidMappings).toEqual([{ containerID: 1000, hostID: 1000, size: 1 }]);
		expect(process.user).toEqual({ uid: 1000, gid: 1000 });
	});

	it("maps every range that a privileged caller has", () => {
		const idMap = {
			uids: [
				{ from: 0, count: 10 },
				{ from: 100, count: 5 },
			],
			gids: [{ from: 0, count: 7 }],
		};
		const { linux } = specFor({}, { caller: ROOT_USER, idMap });
		expect(linux.uidMappings).toEqual([
			{ containerID: 0, hostID: 0, size: 10 },
			{ containerID: 100, hostID: 100, size: 5 },
		]);
		expect(linux.gidMappings).toEqual([{ containerID: 0, hostID: 0, size: 7 }]);
	});

	it("lets a privileged caller choose the user, and only one that exists", () => {
		const system = { user: { uid: 33, gid: 33 } };
		expect(specFor({ system }, { caller: ROOT_USER }).process.user).toEqual({ uid: 33, gid: 33 });
		const idMap = { uids: [{ from: 0, count: 10 }], gids: [{ from: 0, count: 100 }] };
		expect(() => specFor({ system }, { caller: ROOT_USER, idMap })).toThrow(/33:33 does not exist/);
	});

	it("refuses another user to an ordinary caller, and names the remedy", () => {
		expect(() => specFor({ system: { user: { uid: 0, gid: 0 } } })).toThrow(
			expect.objectContaining({ code: "HOST_UNSUPPORTED", remedy: expect.stringContaining("root") }),
		);
	});

	it("gives terminals to the tty group only where that group exists", () => {
		expect(mountAt(specFor({}), "/dev/pts")?.options).not.toContain("gid=5");
		expect(mountAt(specFor({}, { caller: ROOT_USER }), "/dev/pts")?.options).toContain("gid=5");
		expect(mountAt(specFor({}, { caller: { gid: 5 } }), "/dev/pts")?.options).toContain("gid=5");
	});
});

describe("seccomp", () => {
	it.each([
		["default", withFloor(defaultProfile("x86_64"), "x86_64")],
		["strict", withFloor(strictProfile("x86_64"), "x86_64")],
	] as const)("%s carries the floor", (syscalls, expected) => {
		expect(specFor({ syscalls }).linux.seccomp).toEqual(expected);
	});

	it("puts the floor under a profile of the policy's own", () => {
		const own = { defaultAction: "SCMP_ACT_ALLOW" } as const;
		expect(specFor({ syscalls: own }).linux.seccomp).toEqual(withFloor(own, "x86_64"));
	});
});

describe("network", () => {
	it.each([
		["none", true],
		["hostwithpolicy", true],
		["host", false],
	] as const)("%s: a network namespace: %s", (mode, own) => {
		const spec = specFor({ network: network(mode) });
		expect(spec.linux.namespaces.some(({ type }) => type === "network")).toBe(own);
		expect(mountAt(spec, "/sys")?.type).toBe(own ? "sysfs" : "bind");
		expect(mountAt(spec, "/sys")?.options).toContain("ro");
	});
});

describe("the program", () => {
	it("has a PATH, what is passed on, and what is set, which wins", () => {
		const env = { pass: ["A", "B", "ABSENT"], set: { B: "set" } };
		const caller = { env: { A: "a=1", B: "b", SECRET: "s" } };
		expect(specFor({ system: { env } }, { caller }).process.env).toEqual([
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"A=a=1",
			"B=set",
		]);
	});

	it("learns the terminal's type only where there is one", () => {
		const caller = { env: { TERM: "xterm" } };
		expect(specFor({}, { caller }, true).process.env).toContain("TERM=xterm");
		expect(specFor({}, { caller }).process.env).not.toContain("TERM=xterm");
	});

	it("has no capability, and every set of one that is listed", () => {
		expect(Object.values(specFor({}).process.capabilities ?? {})).toEqual([[], [], [], [], []]);
		const { capabilities } = specFor({ system: { capabilities: ["CAP_CHOWN"] } }).process;
		expect(Object.values(capabilities ?? {})).toEqual(Array(5).fill(["CAP_CHOWN"]));
	});

	it("needs a command", () => {
		const policy = policyOf();
		expect(() => specOf({ policy, facts: factsFor(policy), command: [] })).toThrow(
			expect.objectContaining({ code: "USAGE" }),
		);
	});
});

describe("resources", () => {
	it("counts swap as OCI does, on top of memory", () => {
		const { resources } = specFor({ system: { memory: { maxBytes: 100, swapBytes: 5 } } }).linux;
		expect(resources?.memory).toEqual({ limit: 100, swap: 105 });
	});

	it.each([
		[4, 400_000],
		[0.5, 50_000],
		[0.001, 1000],
	])("%d cores are a quota of %d µs", (cores, quota) => {
		expect(specFor({ system: { cpu: { cores } } }).linux.resources?.cpu).toEqual({ quota, period: 100_000 });
	});

	it("are absent where nothing is limited", () => {
		expect(specFor({}).linux.resources).toBeUndefined();
	});

	it("refuse an io limit without a block device, unless it may be missing", () => {
		const io = { readBytesPerSecond: 1 };
		expect(() => specFor({ system: { io } }, { blockDevices: [] })).toThrow(
			expect.objectContaining({ code: "HOST_UNSUPPORTED" }),
		);
		expect(specFor({ system: { io, optional: ["io"] } }, { blockDevices: [] }).linux.resources).toBeUndefined();
	});
});

describe("the working directory", () => {
	const home = { maskedPaths: ["/home"] };
	const cases: readonly (readonly [
		what: string,
		expected: string,
		file: Partial<Policy["security"]["file"]>,
		cwd: string,
	])[] = [
		["the caller's", "/usr", {}, "/usr"],
		["/ where the caller's is masked", "/", home, "/home/ann"],
		["the caller's where it is shown again", "/home/ann", { ...home, readablePaths: ["/home/ann"] }, "/home/ann"],
		["/ where a tmpfs hides it", "/", { tmpfs: [{ path: "/home", sizeBytes: 1 }] }, "/home/ann"],
		["a tmpfs itself", "/home", { tmpfs: [{ path: "/home", sizeBytes: 1 }] }, "/home"],
		["/ instead of a folder of the jail's own /run", "/", {}, "/run/user/1000"],
	];
	it.each(cases)("is %s", (_what, expected, section, cwd) => {
		const paths = ["/home", "/home/ann", "/usr", "/run/user/1000"].map(folder);
		expect(specFor({ file: section }, { caller: { cwd }, paths }).process.cwd).toBe(expected);
	});

	it("is / where the caller's is a mere spelling of a masked folder", () => {
		const paths = [folder("/home"), linked("/work", "/home/ann")];
		expect(specFor({ file: home }, { caller: { cwd: "/work" }, paths }).process.cwd).toBe("/");
	});

	it.each([
		["masked", "/home/ann", /hidden in the jail by what lies on \/home/],
		["missing", "/nowhere", /does not exist/],
		["a file", "/etc/passwd", /not a folder/],
	])("that the policy names must not be %s", (_what, cwd, message) => {
		const paths = [folder("/home"), folder("/home/ann"), file("/etc/passwd")];
		expect(() => specFor({ system: { cwd }, file: home }, { paths })).toThrow(message);
	});
});
