import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { VmjailError } from "../src/errors.ts";

const root = join(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** The members of the union, in order. */
const codes = [...read("src/errors.ts").matchAll(/^\t\| "(\w+)"/gm)].map((match) => match[1] ?? "");

/** Code → its section of the document. */
const sections = new Map(
	read("docs/errors.md")
		.split(/^## /m)
		.slice(1)
		.map((section) => [section.slice(0, section.indexOf("\n")), section]),
);

describe("docs/errors.md", () => {
	it("has every code, in the source's order, and no other", () => {
		expect(codes.length).toBeGreaterThan(10);
		expect([...sections.keys()]).toEqual(codes);
	});

	it.each(codes)("says what causes %s, what helps, and which test reaches it", (code) => {
		const section = sections.get(code) ?? "";
		const [, test = "none"] = /\*\*Reached by\*\*: `(.+)`/.exec(section) ?? [];
		expect(section).toMatch(/\n\n[A-Z][^\n]{20,}/);
		expect(section).toMatch(/\*\*Remedy\*\*: .{5,}/);
		expect(existsSync(join(root, test))).toBe(true);
		expect(read(test)).toContain(`"${code}"`);
	});
});

describe("VmjailError", () => {
	it("carries its code, remedy and cause, each only where given", () => {
		const cause = new Error("x");
		expect(new VmjailError("USAGE", "m", { remedy: "r", cause })).toMatchObject({ code: "USAGE", remedy: "r", cause });
		const bare = new VmjailError("USAGE", "m");
		expect([bare.name, bare.remedy, "cause" in bare]).toEqual(["VmjailError", undefined, false]);
	});
});
