import { describe, expect, it } from "vitest";
import { parseMountinfo } from "../../../src/host/mountinfo.ts";
import type { Mount, Spec } from "../../../src/oci/types.ts";
import { stageOf } from "../../../src/runtime/stage/stage.ts";
import type { PathKind, StageStep } from "../../../src/runtime/stage/types.ts";

const HOST =
	"1 1 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /home rw,nosuid - ext4 /dev/sda2 rw\n3 1 0:1 / /proc rw - proc proc rw";

const spec = (mounts: readonly Mount[], linux: Partial<Spec["linux"]> = {}, readonly = true): Spec => ({
	ociVersion: "1.2.0",
	process: { cwd: "/", env: [], args: ["/bin/true"], user: { uid: 1, gid: 1 } },
	root: { path: "/", readonly },
	mounts,
	linux: { namespaces: [], ...linux },
});
const proc: Mount = { destination: "/proc", type: "proc", source: "proc" };
const mask: Mount = { destination: "/home", type: "tmpfs", source: "tmpfs", options: ["ro"] };
const view = (path: string, mode: "ro" | "rw"): Mount => ({
	...{ destination: path, type: "bind", source: path },
	options: ["rbind", mode, "nosuid", "rnosuid"],
});

const FILES: readonly string[] = ["/etc/key", "/home/u/f"];

function steps(input: Spec, kinds: Readonly<Record<string, PathKind>> = {}): readonly StageStep[] {
	const kindOf = (path: string) => kinds[path] ?? (FILES.includes(path) ? "file" : "directory");
	return stageOf({ spec: input, mounts: parseMountinfo(HOST), kindOf, root: "/r", emptyFile: "/e" }).steps;
}
const restrictions = (all: readonly StageStep[]) =>
	all.flatMap((step) => (step.op === "restrict" ? [`${step.at} ${step.flags.join(",")}`] : []));
const shape = (all: readonly StageStep[]) =>
	all.flatMap((step) =>
		step.op === "restrict" ? [] : [`${step.op} ${step.op === "bind" ? `${step.from} ` : ""}${step.at}`],
	);

describe("stageOf", () => {
	it("makes every mount of the host below a read-only root read-only, but for what is covered", () => {
		const all = steps(spec([proc]));
		expect(shape(all)).toEqual(["bind / /r", "tmpfs /r/proc"]);
		expect(restrictions(all)).toEqual([
			"/r ro,nosuid,nodev",
			"/r/home ro,nosuid,nodev",
			"/r/proc ro,nosuid,nodev,noexec",
		]);
	});

	it("keeps a writable view writable, with the host's own restrictions", () => {
		const all = steps(spec([view("/home/u", "rw")]));
		expect(shape(all)).toEqual(["bind / /r", "bind /home/u /r/home/u"]);
		expect(restrictions(all).slice(-1)).toEqual(["/r/home/u nosuid"]);
	});

	it("makes mount points in a cover before it turns read-only", () => {
		const all = steps(spec([mask, view("/home/u/p", "ro"), view("/home/u/f", "rw")]));
		expect(shape(all)).toEqual([
			"bind / /r",
			"tmpfs /r/home",
			"folder /r/home/u",
			"folder /r/home/u/p",
			"bind /home/u/p /r/home/u/p",
			"folder /r/home/u",
			"file /r/home/u/f",
			"bind /home/u/f /r/home/u/f",
		]);
		const cover = all.findIndex((step) => step.op === "restrict" && step.at === "/r/home");
		expect(cover).toBeGreaterThan(all.findLastIndex((step) => step.op === "file" || step.op === "folder"));
	});

	it("covers masks last: a folder by an empty one, a file by the empty file, what is missing by nothing", () => {
		const linux = { maskedPaths: ["/home/u/.git", "/etc/key", "/gone", "/proc/kcore"] };
		const all = steps(spec([proc, view("/home/u", "rw")], linux), { "/gone": "missing" });
		expect(shape(all).slice(-2)).toEqual(["tmpfs /r/home/u/.git", "bind /e /r/etc/key"]);
		expect(restrictions(all).slice(-2)).toEqual([
			"/r/home/u/.git ro,nosuid,nodev,noexec",
			"/r/etc/key ro,nosuid,nodev,noexec",
		]);
	});

	it("write-protects read-only paths by a bind of themselves", () => {
		const all = steps(spec([], { readonlyPaths: ["/etc"] }, false));
		expect(shape(all).slice(-1)).toEqual(["bind /r/etc /r/etc"]);
		expect(restrictions(all)).toEqual([
			"/r nosuid,nodev",
			"/r/home nosuid,nodev",
			"/r/proc nosuid,nodev",
			"/r/etc ro,nosuid,nodev",
		]);
	});

	it("asks the source of a view, not the root, about what lies in the view", () => {
		const moved: Mount = { destination: "/mnt", type: "bind", source: "/srv/data", options: ["rbind", "ro"] };
		const all = steps(spec([moved], { maskedPaths: ["/mnt/key"] }), { "/srv/data/key": "file", "/mnt/key": "missing" });
		expect(shape(all).slice(-1)).toEqual(["bind /e /r/mnt/key"]);
	});

	it.each([
		["is missing", "missing", "does not exist"],
		["is reached through a link", "link", "is reached through a symbolic link"],
		["is a file under a folder", "file", "is not a folder"],
	] as const)("refuses a mount point that %s: a runtime would make one on the host", (_what, kind, message) => {
		const onRoot: Mount = { destination: "/new", type: "tmpfs", source: "tmpfs" };
		expect(() => steps(spec([onRoot]), { "/new": kind })).toThrowError(
			expect.objectContaining({ code: "PATH_INVALID", message: expect.stringContaining(message) }),
		);
	});

	it("refuses a mask behind a link", () => {
		expect(() => steps(spec([], { maskedPaths: ["/etc/key"] }), { "/etc/key": "link" })).toThrowError(
			expect.objectContaining({ code: "PATH_INVALID" }),
		);
	});
});
