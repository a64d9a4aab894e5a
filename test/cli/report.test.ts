import { describe, expect, it } from "vitest";
import { describe as inWords, statusOf } from "../../src/cli/report.ts";
import { type ErrorCode, VmjailError } from "../../src/errors.ts";

describe("the exit status for an error", () => {
	it.each<[ErrorCode, number]>([
		["COMMAND_NOT_FOUND", 127],
		["COMMAND_NOT_EXECUTABLE", 126],
		["USAGE", 125],
		["POLICY_INVALID", 125],
		["LAUNCH_FAILED", 125],
	])("%s is %i", (code, status) => {
		expect(statusOf(new VmjailError(code, "x"))).toBe(status);
	});

	it("of vmjail's own making is 125", () => {
		expect(statusOf(new TypeError("x"))).toBe(125);
	});
});

describe("an error in words", () => {
	it("is its message, then what to do", () => {
		expect(inWords(new VmjailError("USAGE", "no", { remedy: "Do this,\nthen that." }))).toBe(
			"no\nDo this,\n  then that.",
		);
		expect(inWords(new VmjailError("USAGE", "no"))).toBe("no");
	});

	it("of vmjail's own making asks for a report and shows where", () => {
		expect(inWords(new TypeError("boom"))).toMatch(/^internal error, please report it: TypeError: boom\n {4}at /);
		expect(inWords("text")).toBe("internal error, please report it: text");
	});
});
