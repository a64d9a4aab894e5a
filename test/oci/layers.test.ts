import { describe, expect, it } from "vitest";
import type { PathFact } from "../../src/host/types.ts";
import { withRealPaths } from "../../src/oci/host-path.ts";
import { specOf } from "../../src/oci/spec.ts";
import type { Policy } from "../../src/policy/types.ts";
import { policyOf } from "../helpers/policy.ts";
import { factsFor, file, folder, linked } from "./fixtures.ts";

type File = Partial<Policy["security"]["file"]>;

function specFor(section: File, paths: readonly PathFact[], root = "/") {
	const policy = policyOf({ file: section, system: { root: { path: root, readonly: true } } });
	return specOf({ policy, facts: factsFor(policy, { paths }), command: ["true"] });
}

function problemOf(section: File, paths: readonly PathFact[], root = "/"): unknown {
	try {
		specFor(section, paths, root);
	} catch (error) {
		return error;
	}
	return undefined;
}

describe("masks", () => {
	it("are left to maskedPaths where nothing shows below them", () => {
		const spec = specFor({ maskedPaths: ["/mnt", "/etc/shadow"] }, [folder("/mnt"), file("/etc/shadow")]);
		expect(spec.linux.maskedPaths).toEqual(expect.arrayContaining(["/mnt", "/etc/shadow", "/proc/kcore"]));
		expect(spec.mounts.map((mount) => mount.destination)).not.toContain("/mnt");
	});

	it("are read-only tmpfs mounts where something shows below them, before it", () => {
		const spec = specFor({ maskedPaths: ["/home"], writablePaths: ["/home/a/b"] }, ["/home", "/home/a/b"].map(folder));
		const own = spec.mounts.filter((mount) => mount.destination.startsWith("/home"));
		expect(own.map(({ destination, type }) => [destination, type])).toEqual([
			["/home", "tmpfs"],
			["/home/a/b", "bind"],
		]);
		expect(own[0]?.options).toContain("ro");
		expect(spec.linux.maskedPaths).not.toContain("/home");
	});

	it("cover what their link leads to", () => {
		const spec = specFor({ maskedPaths: ["/data"] }, [linked("/data", "/srv/data")]);
		expect(spec.linux.maskedPaths).toContain("/srv/data");
	});

	it("of what does not exist are nothing", () => {
		expect(specFor({ maskedPaths: ["/gone"] }, []).linux.maskedPaths).not.toContain("/gone");
	});

	it("of what is hidden already are nothing: they would find nothing to lie on", () => {
		const masks = ["/home", "/home/ann", "/tmp/x", "/run/secrets", "/dev/mem", "/dev/shm", "/srv/w/key"];
		const paths = [...masks, "/tmp", "/srv", "/srv/w"].map(folder);
		const section = {
			maskedPaths: [...masks, "/srv"],
			tmpfs: [{ path: "/tmp", sizeBytes: 1 }],
			writablePaths: ["/srv/w"],
		};
		const masked = specFor(section, paths).linux.maskedPaths?.filter(
			(path) => !path.startsWith("/proc/") && !path.startsWith("/sys/"),
		);
		expect(masked).toEqual(["/dev/shm", "/home", "/srv/w/key"]);
	});

	it("of what cannot be looked up stay, so that they fail rather than vanish", () => {
		const spec = specFor({ maskedPaths: ["/root/x"] }, [{ path: "/root/x", kind: "unreadable" }]);
		expect(spec.linux.maskedPaths).toContain("/root/x");
	});

	it("give way to a read-only view of the same folder", () => {
		const spec = specFor({ maskedPaths: ["/home"], readablePaths: ["/home"] }, [folder("/home")]);
		expect(spec.linux.maskedPaths).not.toContain("/home");
		expect(spec.mounts.find((mount) => mount.destination === "/home")?.options).toContain("rro");
	});
});

describe("facts for the readers of a spec", () => {
	it("know every path that the spec masks or binds, whatever the policy calls it", () => {
		const paths = [linked("/data", "/srv/data"), linked("/w", "/srv/w"), folder("/plain")];
		const policy = policyOf({ file: { maskedPaths: ["/data", "/plain"], writablePaths: ["/w"] } });
		const facts = factsFor(policy, { paths });
		const spec = specOf({ policy, facts, command: ["true"] });
		const known = withRealPaths(facts).paths;
		expect(spec.linux.maskedPaths?.slice(-2)).toEqual(["/plain", "/srv/data"]);
		for (const path of ["/plain", "/srv/data", "/srv/w", "/data"]) expect(known[path]?.kind).toBe("directory");
		expect(known["/srv/data"]).toEqual(folder("/srv/data"));
	});
});

describe("writable paths", () => {
	it("are bound where their links lead, so that the links lead there in the jail as well", () => {
		const spec = specFor({ writablePaths: ["/var/run/app"] }, [
			linked("/var/run/app", "/run/app", { path: "/var/run" }),
		]);
		expect(spec.mounts.at(-1)).toMatchObject({ destination: "/run/app", source: "/run/app", type: "bind" });
	});

	it.each([
		["of another user", { ownerUid: 1001 }, /belongs to another user \(uid 1001\)/],
		["in a folder that others can write to", { directoryWritableByOthers: true }, /other users can write to/],
	])("refuse a link %s", (_what, link, message) => {
		const problem = problemOf({ writablePaths: ["/tmp/work"] }, [linked("/tmp/work", "/etc", link)]);
		expect(problem).toMatchObject({ code: "PATH_INVALID", message: expect.stringMatching(message) });
		expect(problem).toMatchObject({ message: expect.stringContaining("security.file.writablePaths[0]") });
	});

	it("accept the caller's own link and the system's", () => {
		for (const ownerUid of [0, 1000]) {
			const paths = [linked("/home/ann/w", "/data/w", { ownerUid })];
			expect(problemOf({ writablePaths: ["/home/ann/w"] }, paths)).toBeUndefined();
		}
	});

	it("refuse a path that leads elsewhere for reasons unknown", () => {
		const odd: PathFact = { path: "/a", real: "/b", kind: "directory" };
		expect(problemOf({ writablePaths: ["/a"] }, [odd])).toMatchObject({ code: "PATH_INVALID" });
	});

	it.each([
		["missing", { path: "/x", kind: "missing" }, /does not exist/],
		["unreadable", { path: "/x", kind: "unreadable" }, /permission denied/],
		["a device", { path: "/x", real: "/x", kind: "block" }, /is a device/],
		["the root by another name", linked("/x", "/"), /system.root.readonly|jail's own/],
		["the host's /proc by another name", linked("/x", "/proc/sys"), /kernel's own file systems/],
		["all of /run by another name", linked("/x", "/run"), /sockets/],
	] as const)("refuse what is %s", (_what, fact, message) => {
		const problem = problemOf({ writablePaths: ["/x"] }, [fact]);
		expect(problem).toMatchObject({ code: "PATH_INVALID", message: expect.stringMatching(message) });
		expect(problem).toHaveProperty("remedy", expect.stringMatching(/\.$/));
	});

	it("contradict a mask or a tmpfs of the same folder, whatever its name", () => {
		const paths = [folder("/data"), linked("/d", "/data")];
		expect(problemOf({ writablePaths: ["/d"], maskedPaths: ["/data"] }, paths)).toMatchObject({
			code: "POLICY_INVALID",
			message: "security.file.writablePaths[0] and security.file.maskedPaths[0] both name /data",
		});
	});
});

describe("tmpfs", () => {
	it("may be made below another one, and not elsewhere", () => {
		const tmpfs = [
			{ path: "/tmp/deep/er", sizeBytes: 1 },
			{ path: "/tmp", sizeBytes: 2 },
		];
		const spec = specFor({ tmpfs }, [folder("/tmp")]);
		expect(spec.mounts.slice(-2).map((mount) => mount.destination)).toEqual(["/tmp", "/tmp/deep/er"]);
		expect(problemOf({ tmpfs: [{ path: "/scratch", sizeBytes: 1 }] }, [])).toMatchObject({ code: "PATH_INVALID" });
	});

	it("below a tmpfs with another name lies below it", () => {
		const tmpfs = [
			{ path: "/link", sizeBytes: 1 },
			{ path: "/link/sub", sizeBytes: 2 },
		];
		const spec = specFor({ tmpfs }, [linked("/link", "/zone")]);
		expect(spec.mounts.slice(-2).map((mount) => mount.destination)).toEqual(["/zone", "/zone/sub"]);
	});

	it("replaces the jail's own empty /run", () => {
		const spec = specFor({ tmpfs: [{ path: "/run", sizeBytes: 4096 }] }, [folder("/run")]);
		const runs = spec.mounts.filter((mount) => mount.destination === "/run");
		expect(runs).toHaveLength(1);
		expect(runs[0]?.options).toContain("size=4096");
	});
});

describe("a root of its own", () => {
	const image = ["/img", "/img/proc", "/img/dev", "/img/w"].map(folder);

	it("takes views of the host at mount points that it holds", () => {
		const spec = specFor({ writablePaths: ["/w"] }, [...image, folder("/w")], "/img");
		expect(spec.mounts.at(-1)).toMatchObject({ destination: "/w", source: "/w" });
		expect(problemOf({ writablePaths: ["/v"] }, [...image, folder("/v")], "/img")).toMatchObject({
			code: "PATH_INVALID",
			message: expect.stringContaining("/img/v does not exist"),
		});
	});

	it("follows no links: they mean something else inside", () => {
		const paths = [...image, linked("/img/etc/x", "/etc/x")];
		expect(problemOf({ maskedPaths: ["/etc/x"] }, paths, "/img")).toMatchObject({ code: "PATH_INVALID" });
	});

	it("needs /proc and /dev, and goes without /sys and /run", () => {
		const spec = specFor({}, image, "/img");
		expect(spec.mounts.map((mount) => mount.destination)).not.toContain("/sys");
		expect(problemOf({}, [folder("/img"), folder("/img/dev")], "/img")).toMatchObject({
			message: expect.stringContaining("/img/proc does not exist"),
		});
	});
});
