import { describe, expect, it } from "vitest";
import type { MountEntry } from "../../../src/host/mountinfo.ts";
import type { Mount, Spec } from "../../../src/oci/types.ts";
import { type Bundle, type BundleInput, bundleOf, type RootEntry } from "../../../src/runtime/bundle/layout.ts";

const SPEC: Spec = {
	ociVersion: "1.2.0",
	process: { cwd: "/", env: [], args: ["true"], user: { uid: 0, gid: 0 } },
	root: { path: "/", readonly: true },
	mounts: [
		{ destination: "/proc", type: "proc", source: "proc" },
		{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
		{ destination: "/dev/tty", type: "bind", source: "/dev/tty", options: ["bind"] },
	],
	linux: { namespaces: [], maskedPaths: ["/mnt/hidden"] },
};

const ENTRIES: readonly RootEntry[] = [
	{ name: "usr", kind: "folder" },
	{ name: "bin", kind: "link", target: "usr/bin" },
	{ name: "proc", kind: "folder" },
	{ name: "dev", kind: "folder" },
	{ name: "mnt", kind: "folder" },
	{ name: "note", kind: "file" },
	{ name: "socket", kind: "other" },
];

function mounted(mountPoint: string, type = "ext4"): MountEntry {
	return { id: 1, parent: 1, root: "/", mountPoint, type, source: "none", options: [], superOptions: [] };
}

function bundle(parts: Partial<BundleInput> = {}, more: readonly Mount[] = []): Bundle {
	return bundleOf({
		spec: { ...SPEC, mounts: [...SPEC.mounts, ...more] },
		entries: ENTRIES,
		hostMounts: [],
		dir: "/elsewhere/bundle",
		look: (path) => ({ folder: !path.endsWith(".conf"), readable: true }),
		...parts,
	});
}

function options({ spec }: Bundle, destination: string): readonly string[] | undefined {
	return spec.mounts.find((mount) => mount.destination === destination)?.options;
}

describe("the layout of a bundle", () => {
	it("binds every folder and file of the root, copies its links, and leaves out what is neither", () => {
		const { spec, rootfs } = bundle();
		expect(rootfs.map(({ name }) => name)).toEqual(["usr", "bin", "proc", "dev", "mnt", "note"]);
		expect(spec.mounts.map(({ destination }) => destination)).toEqual(["/dev", "/mnt", "/note", "/proc", "/usr"]);
		expect(options({ spec, rootfs }, "/usr")).toEqual(expect.arrayContaining(["rbind", "ro", "rro"]));
		expect(options({ spec, rootfs }, "/note")).toEqual(expect.arrayContaining(["bind", "ro"]));
	});

	it("names a version that crun 1.8 takes, and its own root", () => {
		expect(bundle().spec).toMatchObject({ ociVersion: "1.0.2", root: { path: "rootfs", readonly: true } });
	});

	it("takes its sources from a root of its own, and binds writable where that root is", () => {
		const spec = { ...SPEC, root: { path: "/img", readonly: false } };
		const made = bundle({ spec });
		expect(made.spec.mounts.find((mount) => mount.destination === "/usr")?.source).toBe("/img/usr");
		expect(options(made, "/usr")).not.toContain("ro");
	});

	it("binds what is mounted below a folder, with that folder's rights", () => {
		const work = { destination: "/mnt/w", type: "bind", source: "/mnt/w", options: ["rbind", "rw", "rnodev"] };
		const hostMounts = ["/", "/mnt/disk", "/mnt/w/sub", "/mnt/w/a.conf"].map((path) => mounted(path));
		const made = bundle({ hostMounts }, [work]);
		expect(options(made, "/mnt/disk")).toContain("rro");
		expect(options(made, "/mnt/w/sub")).toEqual(["rbind", "rw", "rnodev"]);
		expect(options(made, "/mnt/w/a.conf")).toEqual(["bind", "rw"]);
	});

	it("does not bring back what a mask, a tmpfs or the jail's own mounts hide", () => {
		const empty = { destination: "/mnt/empty", type: "tmpfs", source: "tmpfs" };
		const hostMounts = ["/mnt/hidden/x", "/mnt/empty/x", "/proc/sys/fs/binfmt_misc", "/dev/hugepages"].map((path) =>
			mounted(path),
		);
		const points = bundle({ hostMounts }, [empty]).spec.mounts.map(({ destination }) => destination);
		for (const { mountPoint } of hostMounts) expect(points).not.toContain(mountPoint);
	});

	it("leaves out namespaces that are mounted, and what cannot be looked up", () => {
		const hostMounts = [mounted("/mnt/ns", "nsfs"), mounted("/mnt/private")];
		const look = (path: string) => (path === "/mnt/private" ? undefined : { folder: true, readable: true });
		const points = bundle({ hostMounts, look }).spec.mounts.map(({ destination }) => destination);
		expect(points).not.toContain("/mnt/ns");
		expect(points).not.toContain("/mnt/private");
	});

	it("gives folders that the caller cannot list no recursive restrictions, which crun could not apply", () => {
		const made = bundle({ look: (path) => ({ folder: true, readable: path !== "/mnt" }) });
		expect(options(made, "/mnt")).toEqual(["rbind", "ro", "nosuid", "nodev", "rprivate"]);
		expect(options(made, "/usr")).toContain("rro");
	});

	it("masks the bundle wherever it shows, and only there", () => {
		const view = { destination: "/usr/view", type: "bind", source: "/mnt/b", options: ["rbind", "ro"] };
		const masked = (dir: string, more: readonly Mount[] = []) => bundle({ dir }, more).spec.linux.maskedPaths;
		expect(masked("/mnt/b/x", [view])).toEqual(["/mnt/hidden", "/mnt/b/x", "/usr/view/x"]);
		expect(masked("/mnt/b", [{ destination: "/mnt", type: "tmpfs", source: "tmpfs" }])).toEqual(["/mnt/hidden"]);
	});
});
