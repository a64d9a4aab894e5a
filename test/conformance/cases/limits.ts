import { expect } from "vitest";
import type { Case } from "../runtime.ts";

const sh = (script: string): readonly string[] => ["/bin/sh", "-c", script];
const python = (script: string): readonly string[] => ["/usr/bin/python3", "-c", script];

export const limits: readonly Case[] = [
	{
		name: "memory: the program that takes more is ended, and that is what is said",
		needs: ["limits"],
		async run(runtime) {
			const policy = { system: { memory: { max: "256MiB" } } };
			const { exitCode, limit, memoryPeakBytes } = await runtime.run(policy, python("x = b'x' * 1_000_000_000"));
			expect({ exitCode, limit }).toEqual({ exitCode: 137, limit: "memory" });
			expect(memoryPeakBytes).toBeLessThanOrEqual(256 * 1024 * 1024);
			expect(memoryPeakBytes).toBeGreaterThan(128 * 1024 * 1024);
		},
	},
	{
		name: "memory: less than the limit is no end",
		needs: ["limits"],
		async run(runtime) {
			const policy = { system: { memory: { max: "256MiB" } } };
			const { exitCode, stdout } = await runtime.run(policy, python("print(len(b'x' * 100_000_000))"));
			expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "100000000\n" });
		},
	},
	{
		name: "processes: those of the policy can be had, a fork bomb cannot",
		needs: ["limits"],
		async run(runtime) {
			const policy = { system: { pids: { max: 64 }, time: { wall: "30s" } } };
			const some = await runtime.run(policy, sh("for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait; echo all"));
			expect(some.stdout).toBe("all\n");
			const bomb = await runtime.run(policy, sh("i=0; while [ $i -lt 400 ]; do sleep 20 & i=$((i + 1)); done; wait"));
			expect(bomb.limit).toBe("pids");
		},
	},
	{
		name: "CPU time: of all processes together",
		needs: ["limits"],
		async run(runtime) {
			const policy = { system: { time: { cpu: "2s", wall: "60s" } } };
			const { exitCode, limit } = await runtime.run(policy, sh("while :; do :; done & while :; do :; done"));
			expect({ exitCode, limit }).toEqual({ exitCode: 124, limit: "cpu-time" });
		},
	},
	{
		name: "wall time",
		async run(runtime) {
			const policy = { system: { time: { wall: "2s" } } };
			const { exitCode, limit } = await runtime.run(policy, sh("sleep 100 & sleep 100"));
			expect({ exitCode, limit }).toEqual({ exitCode: 124, limit: "wall-time" });
		},
	},
	{
		name: "output",
		async run(runtime) {
			const policy = { system: { output: { max: "64KiB" } } };
			const { limit, stdout } = await runtime.run(policy, ["/usr/bin/yes"]);
			expect({ limit, size: stdout.length }).toEqual({ limit: "output", size: 65_536 });
		},
	},
];
