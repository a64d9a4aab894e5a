import { describe, expect, it } from "vitest";
import { HttpProblem } from "../../src/server/problem.ts";
import { checkRequest, parseRequest } from "../../src/server/request.ts";

function problemsOf(value: unknown): readonly string[] {
	try {
		checkRequest(value);
	} catch (error) {
		if (!(error instanceof HttpProblem)) throw error;
		expect(error.status).toBe(400);
		return error.message.split("\n");
	}
	return [];
}

/** As go-judge's documentation shows it. */
const compile = {
	cmd: [
		{
			args: ["/usr/bin/g++", "a.cc", "-o", "a"],
			env: ["PATH=/usr/bin:/bin"],
			files: [{ content: "" }, { name: "stdout", max: 10240 }, { name: "stderr", max: 10240 }],
			cpuLimit: 10_000_000_000,
			memoryLimit: 104_857_600,
			procLimit: 50,
			copyIn: { "a.cc": { content: "int main() {}" } },
			copyOut: ["stdout", "stderr"],
			copyOutCached: ["a"],
		},
	],
};

describe("a request", () => {
	it("of go-judge's own documentation passes as it is", () => {
		expect(checkRequest(compile)).toEqual(compile);
	});

	it.each<[string, unknown, readonly string[]]>([
		["nothing", null, ["request: "]],
		["no commands", { cmd: [] }, ["cmd: expected at least one command"]],
		["no cmd", {}, ["cmd: is missing"]],
		["no args", { cmd: [{}] }, ["cmd[0].args: is missing"]],
		["empty args", { cmd: [{ args: [] }] }, ["cmd[0].args: expected a program and its arguments, got none"]],
		["an unknown key", { cmd: [{ args: ["a"], memoryLimt: 1 }] }, ["cmd[0].memoryLimt: there is no such key"]],
		["a NUL", { cmd: [{ args: ["a\0b"] }] }, ["cmd[0].args[0]: a NUL character cannot be passed to a program"]],
		[
			"a negative limit",
			{ cmd: [{ args: ["a"], cpuLimit: -1 }] },
			["cmd[0].cpuLimit: expected a number of nanoseconds"],
		],
		["a fraction", { cmd: [{ args: ["a"], memoryLimit: 0.5 }] }, ["cmd[0].memoryLimit: expected a number of bytes"]],
		["a nameless variable", { cmd: [{ args: ["a"], env: ["=x"] }] }, ["cmd[0].env[0]: expected NAME=VALUE"]],
		["an odd file", { cmd: [{ args: ["a"], files: [7] }] }, ["cmd[0].files[0]: expected null, or an object with src"]],
		[
			"a collector without a maximum",
			{ cmd: [{ args: ["a"], files: [null, { name: "x" }] }] },
			["cmd[0].files[1].max: is missing"],
		],
		[
			"base64 that is none",
			{ cmd: [{ args: ["a"], files: [{ content: "%", encoding: "base64" }] }] },
			["cmd[0].files[0].content: expected base64"],
		],
		[
			"a copyIn of a collector",
			{ cmd: [{ args: ["a"], copyIn: { x: { name: "y", max: 1 } } }] },
			["cmd[0].copyIn.x: expected an object with src, content, fileId or symlink"],
		],
	])("with %s is refused with its place", (_what, value, expected) => {
		const problems = problemsOf(value);
		for (const [i, start] of expected.entries()) expect(problems[i]).toContain(start);
		expect(problems.length).toBeGreaterThanOrEqual(expected.length);
	});

	it.each([
		["", true],
		["AA==", true],
		["AAA=", true],
		["AAAA", true],
		["A", false],
		["=", false],
		["====", false],
		["A===", false],
		["AA=A", false],
		["=AAA", false],
		["AAA=AAA=", false],
		["AA_-", false],
		["AAAA\n", false],
		["A".repeat(8_000_000), true],
	])("base64 like %.12j is taken: %s", (content, good) => {
		const value = { cmd: [{ args: ["a"], files: [{ content, encoding: "base64" }] }] };
		expect(problemsOf(value).length === 0).toBe(good);
	});

	it("names everything that is wrong at once", () => {
		const value = { cmd: [{ args: [1], procLimit: "x" }, { nope: 1 }], pipeMapping: [{ in: { index: 0 } }] };
		expect(problemsOf(value).length).toBeGreaterThanOrEqual(5);
	});

	it("that is no JSON says where", () => {
		expect(() => parseRequest('{"cmd": [')).toThrow(/request: not JSON/);
	});
});
