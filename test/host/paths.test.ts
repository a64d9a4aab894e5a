import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { probePaths } from "../../src/host/paths.ts";
import type { PathFact } from "../../src/host/types.ts";
import { type Entry, fakeFs } from "./fake-fs.ts";

const files: Readonly<Record<string, Entry>> = {
	"/usr/bin/dash": "elf",
	"/usr/bin/sh": { link: "dash" },
	"/bin": { link: "usr/bin" },
	"/tmp": { folder: true, mode: 0o1777 },
	"/tmp/planted": { link: "/etc", uid: 2000 },
	"/etc/passwd": "x",
	"/home/me": { folder: true, uid: 1000, gid: 1000, mode: 0o775 },
	"/home/me/work": { link: "/srv/../data", uid: 1000 },
	"/team": { folder: true, uid: 1000, gid: 50, mode: 0o775 },
	"/team/link": { link: "/etc", uid: 1000 },
	"/data/x": "x",
	"/srv/y": "y",
	"/dev/null": { device: [1, 3] },
	"/loop": { link: "/loop" },
	"/dangling": { link: "nowhere/at/all" },
};

function fact(path: string, fails: Readonly<Record<string, string>> = {}): PathFact | undefined {
	return probePaths([path], { fs: fakeFs(files, { fails }), uid: 1000 })[path];
}

describe("paths of a policy", () => {
	it("follows every link and lists it", () => {
		expect(fact("/bin/sh")).toEqual({
			path: "/bin/sh",
			real: "/usr/bin/dash",
			links: [
				{ path: "/bin", target: "usr/bin", ownerUid: 0, directoryWritableByOthers: false },
				{ path: "/usr/bin/sh", target: "dash", ownerUid: 0, directoryWritableByOthers: false },
			],
			kind: "file",
		});
	});

	it("lists none where there is none", () => {
		expect(fact("/etc//./passwd")).toEqual({ path: "/etc//./passwd", real: "/etc/passwd", kind: "file" });
	});

	it.each([
		["in a folder for everybody, sticky or not", "/tmp/planted", true],
		["in the caller's own, writable for its private group", "/home/me/work", false],
		["in the caller's own, writable for another group", "/team/link", true],
	])("tells who could replace a link %s", (_what, path, expected) => {
		expect(fact(path)?.links?.[0]?.directoryWritableByOthers).toBe(expected);
	});

	it("resolves .. against what a link led to, as the kernel does", () => {
		expect(fact("/home/me/work/x")?.real).toBe("/data/x");
		expect(fact("/bin/../../etc")?.real).toBe("/etc");
	});

	it("tells devices", () => {
		expect(fact("/dev/null")).toEqual({
			path: "/dev/null",
			real: "/dev/null",
			kind: "char",
			device: { major: 1, minor: 3 },
		});
	});

	it.each([
		["nothing", "/none", "missing"],
		["something below a file", "/etc/passwd/x", "missing"],
		["a link that leads nowhere", "/dangling", "missing"],
		["links without end", "/loop", "unreadable"],
	])("calls %s by its name", (_what, path, kind) => {
		expect(fact(path)?.kind).toBe(kind);
		expect(fact(path)).not.toHaveProperty("real");
	});

	it("does not take a folder that it may not search for an empty one", () => {
		expect(fact("/etc/passwd", { "/etc/passwd": "EACCES" })?.kind).toBe("unreadable");
	});

	it("agrees with this machine's kernel", () => {
		const root = mkdtempSync(join(tmpdir(), "paths-"));
		try {
			mkdirSync(join(root, "a/b"), { recursive: true });
			writeFileSync(join(root, "a/b/file"), "");
			symlinkSync("a", join(root, "link"));
			chmodSync(join(root, "a"), 0o777);
			symlinkSync("b/file", join(root, "a/open"));
			const path = join(root, "link/open");
			const found = probePaths([path, "/dev/zero"]);
			expect(found[path]).toMatchObject({ real: join(root, "a/b/file"), kind: "file" });
			expect(found[path]?.links?.map(({ directoryWritableByOthers }) => directoryWritableByOthers)).toEqual([
				false,
				true,
			]);
			expect(found["/dev/zero"]).toMatchObject({ kind: "char", device: { major: 1, minor: 5 } });
		} finally {
			rmSync(root, { recursive: true });
		}
	});
});
