import { describe, expect, it } from "vitest";
import type { Linux, Mount, Spec } from "../../src/oci/types.ts";
import { maskSteps, readonlySteps } from "../../src/plan/masks.ts";
import { mountSteps } from "../../src/plan/mounts.ts";
import { cloneFlags, idMapSteps, namespaceSteps } from "../../src/plan/namespaces.ts";
import type { Bytes, Step } from "../../src/plan/types.ts";
import { policyOf } from "../helpers/policy.ts";
import { file, folder } from "../oci/fixtures.ts";
import { planned } from "./fixtures.ts";

const labels = (steps: readonly Step[]): readonly string[] => steps.map(({ label }) => label);
const tmpfs = (destination: string, ...options: readonly string[]): Mount => ({ destination, type: "tmpfs", options });
const bind = (destination: string, source: string): Mount => ({ destination, source, options: ["rbind", "rw"] });

describe("mountSteps", () => {
	it("make mount points in a tmpfs of the jail's own, folders and files, with all folders on the way", () => {
		const steps = mountSteps([tmpfs("/t"), bind("/t/a/b", "/x"), bind("/t/f", "/y")], {
			"/x": folder("/x"),
			"/y": file("/y"),
		});
		expect(
			steps.filter(({ call }) => call === "mkdirat" || call === "mknodat").map(({ label, call }) => [call, label]),
		).toEqual([
			["mkdirat", "make /t/a in the jail"],
			["mkdirat", "make /t/a/b in the jail"],
			["mknodat", "make /t/f in the jail"],
		]);
	});

	it("make none on the host's file systems", () => {
		const steps = mountSteps([tmpfs("/t"), bind("/t/a", "/x"), bind("/t/a/b", "/y")], {
			"/x": folder("/x"),
			"/y": folder("/y"),
		});
		expect(labels(steps.filter(({ call }) => call === "mkdirat"))).toEqual(["make /t/a in the jail"]);
	});

	it("make a file system read-only only when all mount points in it are made", () => {
		const steps = labels(mountSteps([tmpfs("/t", "ro"), bind("/t/a", "/x")], { "/x": folder("/x") }));
		expect(steps.indexOf("make /t read-only")).toBeGreaterThan(steps.indexOf("make /t/a in the jail"));
	});

	it("never follow a link, in the jail or on the host", () => {
		const opened = mountSteps([bind("/a", "/x")], { "/x": folder("/x") }).filter(({ call }) => call === "openat2");
		const resolve = opened.map(({ args }) => new DataView((args[2] as Bytes).bytes.buffer).getBigUint64(16, true));
		expect(resolve).toEqual([0x6n, 0x16n]); // NO_MAGICLINKS | NO_SYMLINKS; in the jail also IN_ROOT
	});

	it.each(["ext4", "overlay", undefined])("refuse type %s", (type) => {
		const mount: Mount = { destination: "/x", ...(type === undefined ? {} : { type }) };
		expect(() => mountSteps([mount], {})).toThrow(
			expect.objectContaining({ code: "POLICY_INVALID", message: expect.stringContaining("/x") }),
		);
	});
});

describe("maskSteps", () => {
	it("do nothing where nothing is to be hidden", () => {
		expect(maskSteps([], {})).toEqual([]);
		expect(maskSteps(["/gone"], { "/gone": { path: "/gone", kind: "missing" } })).toEqual([]);
	});

	it("hide what nobody looked at, and what the caller may not look at: if it is missing, the plan fails", () => {
		const facts = { "/b": { path: "/b", kind: "unreadable" } } as const;
		expect(labels(maskSteps(["/a", "/b"], facts))).toEqual(expect.arrayContaining(["mask /a", "mask /b"]));
	});

	it("use a folder for a folder, a file for all else", () => {
		const steps = labels(maskSteps(["/d", "/f"], { "/d": folder("/d"), "/f": file("/f") }));
		expect(steps.slice(steps.indexOf("find /d in the jail"))).toEqual(
			expect.arrayContaining(["copy the empty folder"]),
		);
		expect(steps[steps.indexOf("mask /d") - 1]).toBe("copy the empty folder");
		expect(steps[steps.indexOf("mask /f") - 1]).toBe("copy the empty file");
	});
});

describe("readonlySteps", () => {
	it("bind each path to itself, read-only with all below it", () => {
		const steps = readonlySteps(["/p", "/gone"], { "/p": folder("/p"), "/gone": { path: "/gone", kind: "missing" } });
		expect(labels(steps)).toEqual(["find /p in the jail", "copy the mount of /p", "restrict /p", "make /p read-only"]);
		expect(steps[2]?.args[2]).toBe(0x9000); // AT_EMPTY_PATH | AT_RECURSIVE
		expect(steps[2]?.args[3]).toMatchObject({ shown: "{attr_set=0x1}" });
	});
});

describe("namespaces", () => {
	const { spec } = planned(policyOf());
	const linux = (parts: Partial<Linux>): Linux => ({ ...spec.linux, ...parts });

	it("are flags of clone3", () => {
		expect(cloneFlags(linux({ namespaces: [{ type: "pid" }, { type: "user" }] }))).toBe(0x3000_0000n);
	});

	it("are made, never joined", () => {
		expect(() => cloneFlags(linux({ namespaces: [{ type: "network", path: "/proc/1/ns/net" }] }))).toThrow(
			expect.objectContaining({ code: "POLICY_INVALID", message: expect.stringContaining("/proc/1/ns/net") }),
		);
	});

	it("map ids in one write each; an unprivileged caller gives up setgroups first", () => {
		const mapped = linux({
			uidMappings: [
				{ containerID: 0, hostID: 5, size: 1 },
				{ containerID: 1, hostID: 9, size: 2 },
			],
		});
		const written = (privileged: boolean) =>
			idMapSteps(mapped, privileged)
				.filter(({ call }) => call === "write")
				.map(({ label, args }) => [label, new TextDecoder().decode((args[1] as Bytes).bytes)]);
		expect(written(true)[0]).toEqual(["write uid_map", "0 5 1\n1 9 2\n"]);
		expect(written(false)[0]).toEqual(["write setgroups", "deny"]);
		expect(idMapSteps(linux({ namespaces: [] }), true)).toEqual([]);
	});

	it("get a host name and a loopback interface only where they are the jail's own", () => {
		const steps = (parts: Partial<Spec>) => labels(namespaceSteps({ ...spec, ...parts }));
		expect(steps({})).toEqual([
			"set the host name to jail",
			"open a socket for the loopback interface",
			"bring the loopback interface up",
		]);
		expect(steps({ hostname: "" })).toHaveLength(2);
		expect(steps({ linux: linux({ namespaces: [] }) })).toEqual([]);
	});
});
