import { describe, expect, it } from "vitest";
import { attributesOf, parseOptions } from "../../src/plan/options.ts";

describe("mount options", () => {
	it("of a bind", () => {
		expect(parseOptions(["rbind", "ro", "rro", "nosuid", "rnosuid", "nodev", "rprivate"], "/x")).toEqual({
			bind: true,
			recursive: true,
			readonly: true,
			attributes: 0x6,
			data: "",
		});
		expect(parseOptions(["bind", "rw", "noexec"], "/x")).toMatchObject({
			bind: true,
			recursive: false,
			readonly: false,
			attributes: 0x8,
		});
	});

	it.each([
		["nosuid", 0x2],
		["rnosuid", 0x2],
		["nodev", 0x4],
		["noexec", 0x8],
		["rnoexec", 0x8],
		["noatime", 0x10],
	])("%s is attribute %i", (option, attributes) => {
		expect(parseOptions([option], "/x")).toMatchObject({ attributes, data: "", bind: false });
	});

	it("of the file system go on to it, in order", () => {
		const options = ["nosuid", "mode=755", "relatime", "size=64k", "newinstance", "strictatime"];
		expect(parseOptions(options, "/x").data).toBe("mode=755,size=64k,newinstance");
	});

	it("read-only is one more attribute of a whole mount", () => {
		expect(attributesOf(parseOptions(["ro", "nosuid"], "/x"))).toBe(0x3);
		expect(attributesOf(parseOptions(["rro"], "/x"))).toBe(0x1);
		expect(attributesOf(parseOptions(["rw"], "/x"))).toBe(0);
	});

	it.each(["shared", "rshared", "unbindable", "runbindable"])("%s is refused", (option) => {
		expect(() => parseOptions([option], "/x")).toThrow(
			expect.objectContaining({
				code: "POLICY_INVALID",
				message: expect.stringContaining(`/x: option ${option}`),
				remedy: "Use rprivate.",
			}),
		);
	});
});
