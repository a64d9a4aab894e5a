import { expect } from "vitest";
import type { Case } from "../judge.ts";

const sh = (script: string): readonly string[] => ["/bin/sh", "-c", script];

export const ends: readonly Case[] = [
	{
		name: "echo",
		async run(judge) {
			const { ending, exitCode, stdout } = await judge.run({ command: ["echo", "hello"] });
			expect({ ending, exitCode, stdout: stdout.toString() }).toEqual({
				ending: "exited",
				exitCode: 0,
				stdout: "hello\n",
			});
		},
	},
	{
		name: "a missing binary, then a good run in the same jail",
		async run(judge) {
			expect((await judge.run({ command: ["/no/such/program"] })).ending).toBe("not-run");
			expect((await judge.run({ command: ["no-such-program"] })).ending).toBe("not-run");
			expect(await judge.run({ command: sh("exit 3") })).toMatchObject({ ending: "exited", exitCode: 3 });
		},
	},
	{
		name: "sleep past the wall limit",
		async run(judge) {
			const result = await judge.run({ command: ["sleep", "30"], limits: { wallMs: 400 } });
			expect(result.ending).toBe("wall-time");
			expect(result.wallMs).toBeGreaterThanOrEqual(399);
			expect(result.wallMs).toBeLessThan(3_000);
			expect(result.cpuMs).toBeLessThan(300);
		},
	},
	{
		name: "a busy loop past the CPU limit",
		async run(judge, { helper }) {
			const result = await judge.run({ command: [helper, "spin", "1"], limits: { cpuMs: 500 } });
			expect(result.ending).toBe("cpu-time");
			expect(result.cpuMs).toBeGreaterThanOrEqual(490);
			expect(result.cpuMs).toBeLessThan(1_000);
		},
	},
	{
		name: "two busy threads end at the CPU limit, not at twice of it",
		async run(judge, { helper }) {
			const result = await judge.run({ command: [helper, "spin", "2"], limits: { cpuMs: 500 } });
			expect(result.ending).toBe("cpu-time");
			expect(result.cpuMs).toBeGreaterThanOrEqual(490);
			expect(result.cpuMs).toBeLessThan(1_000);
		},
	},
	...["touch", "bss", "shared", "shm", "many"].map(
		(how): Case => ({
			name: `a memory bomb (${how}) ends by its memory limit, not by a signal`,
			async run(judge, { helper }) {
				const limits = { memoryBytes: 32 * 1024 * 1024 };
				const result = await judge.run({ command: [helper, how, "400"], limits });
				expect(result.ending).toBe("memory");
				expect(result.memoryBytes).toBeLessThanOrEqual(limits.memoryBytes);
				expect(result.memoryBytes).toBeGreaterThan(limits.memoryBytes * 0.75);
				const after = await judge.run({ command: [helper, "touch", "16"], limits });
				expect(after).toMatchObject({ ending: "exited", exitCode: 0 });
			},
		}),
	),
	{
		name: "a fork bomb ends, and the next run is clean",
		async run(judge, { helper }) {
			const bomb = await judge.run({ command: [helper, "forks"], limits: { pids: 20, wallMs: 700 } });
			expect(["wall-time", "cpu-time", "pids"]).toContain(bomb.ending);
			const next = await judge.run({ command: sh("ps -e -o comm= | sort | uniq -c | awk '{print $1 $2}'") });
			expect(next.ending).toBe("exited");
			expect(next.stdout.toString()).not.toContain("judge");
		},
	},
	{
		name: "the stack limit is what was asked for",
		async run(judge, { helper }) {
			const limits = { stackBytes: 16 * 1024 * 1024 };
			const fits = await judge.run({ command: [helper, "stack", String(15 * 1024)], limits });
			expect(fits).toMatchObject({ ending: "exited", exitCode: 0 });
			expect(fits.stdout.toString()).toBe(`${limits.stackBytes} ${limits.stackBytes}\n`);
			const over = await judge.run({ command: [helper, "stack", String(17 * 1024)], limits });
			expect(over.ending).toBe("signaled");
		},
	},
	{
		name: "output past the cap is the output limit, and the writer is not blocked",
		async run(judge) {
			const started = performance.now();
			const { ending, stdout } = await judge.run({
				command: sh("yes | head -c 100000000; sleep 20"),
				collectMaxBytes: 100_000,
			});
			expect(ending).toBe("output");
			expect(stdout.length).toBe(100_000);
			expect(performance.now() - started).toBeLessThan(15_000);
		},
	},
	{
		name: "a file past the limit is the file-size limit",
		async run(judge) {
			const { ending } = await judge.run({ command: ["dd", "if=/dev/zero", "of=/tmp/large", "bs=1M", "count=40"] });
			expect(ending).toBe("file-size");
		},
	},
	{
		name: "kill -INT 1 inside is survived",
		async run(judge) {
			const result = await judge.run({ command: sh("kill -INT 1; kill -TERM 1; sleep 0.1; echo alive") });
			expect(result).toMatchObject({ ending: "exited", exitCode: 0 });
			expect(result.stdout.toString()).toBe("alive\n");
		},
	},
	{
		name: "cancelled before it starts, and while it runs",
		async run(judge) {
			// Whether it wants or not.
			const command = sh("trap '' INT TERM; exec sleep 30");
			expect((await judge.run({ command, cancel: AbortSignal.abort() })).ending).toBe("cancelled");
			const during = await judge.run({ command, cancel: AbortSignal.timeout(700) });
			expect(during.ending).toBe("cancelled");
			expect(await judge.run({ command: ["true"] })).toMatchObject({ ending: "exited", exitCode: 0 });
		},
	},
	{
		name: "memory agrees with the kernel's figure: 100 MiB touched",
		async run(judge, { helper }) {
			const { ending, memoryBytes } = await judge.run({ command: [helper, "touch", "100"] });
			expect(ending).toBe("exited");
			expect(memoryBytes / 2 ** 20).toBeGreaterThanOrEqual(100);
			expect(memoryBytes / 2 ** 20).toBeLessThanOrEqual(104);
		},
	},
	{
		name: "CPU time agrees with the kernel's figure: 1.0 s burnt",
		async run(judge, { helper }) {
			const { ending, cpuMs } = await judge.run({ command: [helper, "burn", "1000"] });
			expect(ending).toBe("exited");
			expect(cpuMs).toBeGreaterThanOrEqual(980);
			expect(cpuMs).toBeLessThanOrEqual(1_050);
		},
	},
];
