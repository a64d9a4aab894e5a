import { describe, expect, it } from "vitest";
import { parseMountinfo } from "../../../src/host/mountinfo.ts";
import { mountsBelow } from "../../../src/runtime/stage/visible.ts";

const line = (id: number, parent: number, path: string, options = "rw") =>
	`${id} ${parent} 8:1 / ${path} ${options} - ext4 /dev/sda1 rw`;
const points = (lines: readonly string[], root: string) =>
	mountsBelow(parseMountinfo(lines.join("\n")), root).map(({ mountPoint }) => mountPoint);

const host = [line(1, 1, "/"), line(2, 1, "/proc"), line(3, 1, "/home"), line(4, 3, "/home/u/x"), line(5, 1, "/homes")];

describe("mountsBelow", () => {
	it("gives the mount that holds the path first, then what is below, parents first", () => {
		expect(points(host, "/")).toEqual(["/", "/home", "/home/u/x", "/homes", "/proc"]);
		expect(points(host, "/home")).toEqual(["/home", "/home/u/x"]);
		expect(points(host, "/home/u")).toEqual(["/home/u", "/home/u/x"]);
	});

	it("takes the restrictions of the mount that holds the path", () => {
		const lines = [line(1, 1, "/"), line(2, 1, "/data", "ro,nosuid")];
		const [first] = mountsBelow(parseMountinfo(lines.join("\n")), "/data/sub");
		expect([first?.mountPoint, first?.options]).toEqual(["/data/sub", ["ro", "nosuid"]]);
	});

	it("leaves out what a later mount covers, from above or on the same point", () => {
		expect(points([...host, line(6, 3, "/home/u")], "/home")).toEqual(["/home", "/home/u"]);
		expect(points([...host, line(6, 3, "/home")], "/home")).toEqual(["/home"]);
		const stacked = mountsBelow(parseMountinfo([...host, line(6, 2, "/proc", "ro")].join("\n")), "/proc");
		expect(stacked.map(({ id }) => id)).toEqual([6]);
	});

	it("keeps what is mounted on top of a covering mount", () => {
		expect(points([...host, line(6, 3, "/home"), line(7, 6, "/home/v")], "/home")).toEqual(["/home", "/home/v"]);
	});
});
