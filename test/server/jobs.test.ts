import { describe, expect, it } from "vitest";
import { type Job, jobsOf } from "../../src/server/jobs.ts";
import { checkRequest } from "../../src/server/request.ts";
import { policyOf } from "../helpers/policy.ts";

const defaults = { policy: policyOf(), copyOutMaxBytes: 1000, pipeCopyMaxBytes: 100 };
const of = (value: unknown) => jobsOf(checkRequest(value), defaults);
const one = (command: object): Job => of({ cmd: [{ args: ["x"], ...command }] }).jobs[0] as Job;

describe("commands", () => {
	it("without files get nothing, and give nothing", () => {
		expect(one({})).toMatchObject({
			stdin: { kind: "ignore" },
			stdout: { kind: "ignore" },
			stderr: { kind: "ignore" },
		});
	});

	it("read content, as text or as base64", () => {
		expect(one({ files: [{ content: "é" }] }).stdin).toEqual({ kind: "bytes", bytes: Uint8Array.of(0xc3, 0xa9) });
		const binary = { content: "AP8=", encoding: "base64" };
		expect(one({ files: [binary] }).stdin).toEqual({ kind: "bytes", bytes: Buffer.of(0, 255) });
	});

	it("collect by name; what is collected is not copied out again, and can be stored", () => {
		const job = one({
			files: [null, { name: "out", max: 5 }],
			copyOut: ["out", "a", "b?"],
			copyOutCached: ["out", "c"],
		});
		expect(job.stdout).toEqual({ kind: "collect", name: "out", max: 5 });
		expect(job.copyOut).toEqual([
			{ path: "a", maxBytes: 1000, optional: false, truncate: false },
			{ path: "b", maxBytes: 1000, optional: true, truncate: false },
			{ path: "c", maxBytes: 1000, optional: false, truncate: false },
		]);
		expect([...job.cached]).toEqual(["out", "c"]);
	});

	it("have the variables that are given, equal signs in the value included", () => {
		expect(one({ env: ["A=1", "B=x=y", "C="] }).env).toEqual({ A: "1", B: "x=y", C: "" });
		expect(one({}).env).toBeUndefined();
	});

	it.each([
		["a fourth descriptor", { files: [null, null, null, null] }, "cmd[0].files: 4 descriptors"],
		[
			"two collectors of one name",
			{ files: [null, { name: "x", max: 1 }, { name: "x", max: 1 }] },
			"cmd[0].files[2].name",
		],
		["a stream in", { files: [{ streamIn: true }] }, "cmd[0].files[0].streamIn: streams are not given"],
		["a stream out", { files: [null, { streamOut: true }] }, "cmd[0].files[1].streamOut: streams are not given"],
		["output from a file", { files: [null, { content: "x" }] }, "cmd[0].files[1]: expected null or { name, max }"],
		["input that is collected", { files: [{ name: "x", max: 1 }] }, "cmd[0].files[0]: expected null, src"],
		["a terminal with two outputs", { tty: true, files: [null, null, { name: "e", max: 1 }] }, "cmd[0].files[2]"],
	])("with %s are refused", (_what, command, message) => {
		expect(() => one(command)).toThrow(message);
	});
});

describe("pipes", () => {
	const two = [{ args: ["a"] }, { args: ["b"] }];
	const map = (...pipeMapping: unknown[]) => of({ cmd: two, pipeMapping });

	it("go from a writer's output to a reader's input", () => {
		const { jobs, pipes } = map({ in: { index: 0, fd: 1 }, out: { index: 1, fd: 0 } });
		expect(jobs[0]?.stdout).toEqual({ kind: "pipe", pipe: 0 });
		expect(jobs[1]?.stdin).toEqual({ kind: "pipe", pipe: 0 });
		expect(pipes).toEqual([{ from: 0, to: 1, proxy: false }]);
	});

	it("keep a copy by name, where they pass through a proxy", () => {
		const ends = { in: { index: 0, fd: 1 }, out: { index: 1, fd: 0 } };
		expect(map({ ...ends, proxy: true, name: "p" }).pipes[0]?.copy).toEqual({ name: "p", max: 100 });
		expect(map({ ...ends, proxy: true, name: "p", max: 7 }).pipes[0]?.copy).toEqual({ name: "p", max: 7 });
		expect(() => map({ ...ends, name: "p" })).toThrow("pipeMapping[0].name");
	});

	it.each([
		[
			"a command that is not there",
			{ in: { index: 2, fd: 1 }, out: { index: 1, fd: 0 } },
			"in.index: there is no command 2",
		],
		[
			"a descriptor that is not there",
			{ in: { index: 0, fd: 3 }, out: { index: 1, fd: 0 } },
			"in.fd: expected 1 or 2, got 3",
		],
		["an input as writer", { in: { index: 0, fd: 0 }, out: { index: 1, fd: 0 } }, "in.fd: expected 1 or 2, got 0"],
		["an output as reader", { in: { index: 0, fd: 1 }, out: { index: 1, fd: 1 } }, "out.fd: expected 0, got 1"],
	])("of %s are refused", (_what, pipe, message) => {
		expect(() => map(pipe)).toThrow(message);
	});

	it("do not share an end", () => {
		const pipe = { in: { index: 0, fd: 1 }, out: { index: 1, fd: 0 } };
		expect(() => map(pipe, pipe)).toThrow("pipeMapping[1].in: stdout of this command is given already");
	});
});
