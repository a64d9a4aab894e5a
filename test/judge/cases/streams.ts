import { expect } from "vitest";
import type { Case } from "../judge.ts";

const sh = (script: string): readonly string[] => ["/bin/sh", "-c", script];
const MIB = 2 ** 20;

/** As the helper's "consume" counts. */
function consumed(bytes: number): string {
	let sum = 0;
	for (let i = 0; i < bytes; i++) sum = (Math.imul(sum, 31) + (((i % 65_536) * 7) & 0xff)) >>> 0;
	return `${bytes} ${sum}\n`;
}

export const streams: readonly Case[] = [
	{
		name: "100 MiB of input arrive",
		async run(judge) {
			const kept = await judge.keep(Buffer.alloc(100 * MIB, "0123456789abcdef"));
			const { ending, stdout } = await judge.run({ command: ["wc", "-c"], stdin: { kept } });
			await judge.forget(kept);
			expect({ ending, stdout: stdout.toString() }).toEqual({ ending: "exited", stdout: `${100 * MIB}\n` });
		},
	},
	{
		name: "binary output is intact",
		async run(judge) {
			const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
			const result = await judge.run({ command: ["cat"], stdin: bytes });
			expect(result.ending).toBe("exited");
			expect(result.stdout.equals(bytes)).toBe(true);
		},
	},
	{
		name: "40 KiB and 1 MiB of arguments",
		async run(judge) {
			const one = "x".repeat(40 * 1024);
			const script = 'printf "%s" "$*" | wc -c';
			const single = await judge.run({ command: ["/bin/sh", "-c", script, "sh", one] });
			expect(single.stdout.toString()).toBe(`${one.length}\n`);
			const many = Array.from({ length: 16 }, () => "y".repeat(64 * 1024 - 1));
			const all = await judge.run({ command: ["/bin/sh", "-c", script, "sh", ...many] });
			expect(all.stdout.toString()).toBe(`${MIB - 1}\n`);
		},
	},
	{
		name: "the environment is what was asked for, and PATH finds the program",
		async run(judge) {
			const env = { PATH: "/nowhere:/usr/bin", A: "1 = one", EMPTY: "" };
			const result = await judge.run({ command: ["env"], env });
			expect(result.ending).toBe("exited");
			const lines = result.stdout.toString().trimEnd().split("\n").sort();
			expect(lines).toEqual(["A=1 = one", "EMPTY=", "PATH=/nowhere:/usr/bin"]);
			expect((await judge.run({ command: ["env"], env: { PATH: "/nowhere" } })).ending).toBe("not-run");
		},
	},
	{
		name: "a terminal's output is coloured",
		async run(judge) {
			const command = ["ls", "--color=auto", "-d", "/tmp"];
			const env = { PATH: "/usr/bin:/bin", TERM: "xterm" };
			const shown = await judge.run({ command, env, terminal: true });
			// Select Graphic Rendition (ECMA-48): bold blue, green behind it where everybody may write.
			expect(shown.stdout.toString()).toMatch(new RegExp(`${String.fromCharCode(27)}\\[[\\d;]+m/tmp`));
			expect((await judge.run({ command, env })).stdout.toString()).toBe("/tmp\n");
		},
	},
	{
		name: "1 MiB from a producer to a consumer",
		async run(judge, { helper }) {
			const [first, second] = await judge.connect(
				{ command: [helper, "produce", String(MIB)] },
				{ command: [helper, "consume"] },
				false,
			);
			expect([first.ending, second.ending]).toEqual(["exited", "exited"]);
			expect([first.exitCode, second.exitCode]).toEqual([0, 0]);
			expect(second.stdout.toString()).toBe(consumed(MIB));
		},
	},
	{
		name: "50,000 ping-pongs between two programs",
		async run(judge, { helper }) {
			const results = await judge.connect(
				{ command: [helper, "ping", "50000"] },
				{ command: [helper, "pong", "50000"] },
				true,
			);
			expect(results.map(({ ending, exitCode }) => [ending, exitCode])).toEqual([
				["exited", 0],
				["exited", 0],
			]);
		},
	},
	{
		name: "a consumer that exits early ends its producer",
		async run(judge, { helper }) {
			const [first, second] = await judge.connect(
				{ command: [helper, "produce", String(400 * MIB)] },
				{ command: ["head", "-c", "5"] },
				false,
			);
			expect(second).toMatchObject({ ending: "exited", exitCode: 0 });
			expect(first.ending).toBe("signaled");
		},
	},
	{
		name: "a program that does not read its input is not waited for",
		async run(judge) {
			const result = await judge.run({ command: sh("echo done"), stdin: Buffer.alloc(8 * MIB) });
			expect(result).toMatchObject({ ending: "exited", exitCode: 0 });
		},
	},
];
