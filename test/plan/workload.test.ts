import { describe, expect, it } from "vitest";
import { candidates, workloadOf } from "../../src/plan/workload.ts";
import { policyOf } from "../helpers/policy.ts";
import { planned } from "./fixtures.ts";

describe("candidates", () => {
	it("are the folders of PATH in order, an empty one being the current folder", () => {
		expect(candidates("ls", ["A=1", "PATH=/bin::/opt/bin/"])).toEqual(["/bin/ls", "ls", "/opt/bin/ls"]);
	});

	it("are the usual folders where PATH is not set", () => {
		expect(candidates("ls", [])).toContain("/usr/bin/ls");
		expect(candidates("ls", ["XPATH=/x"])).not.toContain("/x/ls");
	});

	it("are the name itself where it has a slash", () => {
		expect(candidates("./a.out", ["PATH=/bin"])).toEqual(["./a.out"]);
		expect(candidates("/bin/ls", ["PATH=/bin"])).toEqual(["/bin/ls"]);
	});
});

describe("the steps that execute", () => {
	it("go on to the next candidate, but not past the last", () => {
		const policy = policyOf({ system: { env: { pass: [], set: { PATH: "/a:/b" } } } });
		const steps = planned(policy, { command: ["x", "y"] }).workload.child.filter(({ call }) => call === "execve");
		expect(steps.map(({ label, tolerate }) => [label, tolerate])).toEqual([
			["execute /a/x", ["ENOENT", "ENOTDIR", "EACCES"]],
			["execute /b/x", undefined],
		]);
	});
});

describe("a command that no exec(2) takes", () => {
	const { spec, facts } = planned(policyOf());
	const withArgs = (args: readonly string[], env: readonly string[] = []) =>
		workloadOf({ ...spec, process: { ...spec.process, args, env } }, facts);

	it.each([
		["nothing", [], "no program to run"],
		["an empty name", [""], "no program to run"],
		["NUL", ["a", "b\0c"], "NUL byte"],
		["a string of 128 KiB", ["a", "x".repeat(131072)], "longer than the kernel's 131072 bytes"],
		["the same in bytes, not characters", ["a", "é".repeat(65536)], "longer than"],
	])("%s", (_, args, message) => {
		expect(() => withArgs(args)).toThrow(
			expect.objectContaining({ code: "USAGE", message: expect.stringContaining(message), remedy: expect.any(String) }),
		);
	});

	it.each([
		["too many", Array<string>(65534).fill("")],
		["too long together", Array<string>(60).fill("x".repeat(110_000))],
	])("has strings that are %s", (_, args) => {
		expect(() => withArgs(["a", ...args])).toThrow(
			expect.objectContaining({
				code: "USAGE",
				message: expect.stringContaining("too many"),
				remedy: expect.any(String),
			}),
		);
	});

	it("may have as many strings as one step points to", () => {
		const { child } = withArgs(Array<string>(65533).fill("a"));
		expect(child.at(-1)?.call).toBe("execve");
	});

	it("is looked for in the environment too", () => {
		expect(() => withArgs(["a"], ["A=\0"])).toThrow("NUL byte");
	});

	it("ends right below the kernel's bound", () => {
		expect(() => withArgs(["a", "x".repeat(131071)])).not.toThrow();
	});
});
