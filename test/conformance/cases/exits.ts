import { expect } from "vitest";
import type { Case } from "../runtime.ts";

const sh = (script: string): readonly string[] => ["/bin/sh", "-c", script];

export const exits: readonly Case[] = [
	{
		name: "success is 0 and output is untouched",
		async run(runtime) {
			const result = await runtime.run({}, sh("printf 'a\\000b\\377'; printf err >&2"));
			expect(result.exitCode).toBe(0);
			expect(result.stdout).toBe("a\0b\xff");
			expect(result.stderr).toBe("err");
		},
	},
	{
		name: "the program's exit status is the status",
		async run(runtime) {
			expect((await runtime.run({}, sh("exit 42"))).exitCode).toBe(42);
			expect((await runtime.run({}, sh("exit 128"))).exitCode).toBe(128);
		},
	},
	{
		name: "a signal is 128 and its number",
		needs: ["kills-itself"],
		async run(runtime) {
			const { exitCode, error } = await runtime.run({}, sh("kill -SEGV $$"));
			expect({ exitCode, error }).toEqual({ exitCode: 139, error: undefined });
		},
	},
	{
		name: "a signal from outside the jail is 128 and its number",
		async run(runtime) {
			const script = "echo ready; exec sleep 100";
			const result = await runtime.run({}, sh(script), { signalAfterFirstLine: 9 });
			expect({ exitCode: result.exitCode, error: result.error }).toEqual({ exitCode: 137, error: undefined });
		},
	},
	{
		name: "a missing program is 127",
		async run(runtime) {
			const { exitCode, error } = await runtime.run({}, ["/bin/no-such-program"]);
			expect({ exitCode, error }).toEqual({ exitCode: 127, error: "COMMAND_NOT_FOUND" });
		},
	},
	{
		name: "a program that is not in PATH is 127",
		async run(runtime) {
			const { exitCode, error } = await runtime.run({}, ["no-such-program"]);
			expect({ exitCode, error }).toEqual({ exitCode: 127, error: "COMMAND_NOT_FOUND" });
		},
	},
	{
		name: "a file that is not executable is 126",
		async run(runtime, scratch) {
			const file = scratch.file("plain", "no program", 0o644);
			const { exitCode, error } = await runtime.run({}, [file]);
			expect({ exitCode, error }).toEqual({ exitCode: 126, error: "COMMAND_NOT_EXECUTABLE" });
		},
	},
	{
		name: "a program is found by PATH, and a script by its interpreter",
		async run(runtime, scratch) {
			const script = scratch.file("script", "#!/bin/sh\necho $0 $1\n", 0o755);
			expect((await runtime.run({}, ["true"])).exitCode).toBe(0);
			expect((await runtime.run({}, [script, "x"])).stdout).toBe(`${script} x\n`);
		},
	},
	{
		name: "standard input arrives whole",
		async run(runtime) {
			const stdin = "line\n".repeat(50_000);
			expect((await runtime.run({}, ["/usr/bin/wc", "-c"], { stdin })).stdout.trim()).toBe(`${stdin.length}`);
		},
	},
	{
		name: "a large argument and a large environment arrive whole",
		async run(runtime) {
			const text = "x".repeat(100_000);
			const policy = { system: { env: { set: { BIG: text } } } };
			const result = await runtime.run(policy, ["/bin/sh", "-c", "echo $(($" + "{#1} + $" + "{#BIG}))", "sh", text]);
			expect(result.stdout).toBe("200000\n");
		},
	},
	{
		name: "a signal reaches the program, which may handle it",
		async run(runtime) {
			const script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
			const result = await runtime.run({}, sh(script), { signalAfterFirstLine: 15 });
			expect({ exitCode: result.exitCode, stdout: result.stdout }).toEqual({ exitCode: 7, stdout: "ready\ngot\n" });
		},
	},
	{
		name: "a kill ends the program and its children",
		async run(runtime) {
			const result = await runtime.run({}, sh("sleep 100 & echo ready; sleep 100"), { signalAfterFirstLine: 9 });
			expect(result.exitCode).toBe(137);
		},
	},
];
