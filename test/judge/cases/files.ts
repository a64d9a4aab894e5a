import { expect } from "vitest";
import type { Case, Request } from "../judge.ts";

const sh = (script: string): readonly string[] => ["/bin/sh", "-c", script];

const SOURCE = `#include <stdio.h>
int main(void) { int a, b; return scanf("%d %d", &a, &b) == 2 && printf("%d\\n", a + b) > 0 ? 0 : 1; }
`;

/** Programs that leave something under the name "left" that must not come out. */
const traps: readonly (readonly [string, string, string])[] = [
	["a link to /etc/passwd", "ln -s /etc/passwd left", "missing"],
	["a link to a device", "ln -s /dev/zero left", "missing"],
	["a FIFO", "mkfifo left", "not-regular"],
	["a folder", "mkdir left", "not-regular"],
];

export const files: readonly Case[] = [
	{
		name: "files left in /tmp and the work folder are gone in the next run",
		async run(judge) {
			const left = await judge.run({
				command: sh("echo x > /tmp/a; echo y > b; mkdir -p c/d; echo z > /dev/shm/s; ls -A . | wc -l"),
			});
			expect(left.stdout.toString()).toBe("3\n");
			const next = await judge.run({ command: sh("ls -A /tmp . /dev/shm") });
			expect(next.stdout.toString()).toBe(".:\n\n/dev/shm:\n\n/tmp:\n");
		},
	},
	{
		name: "a file goes into a sub-folder, and another comes out",
		async run(judge) {
			const request: Request = {
				command: sh("tr a-z A-Z < in/deep/file > out && cat in/deep/file"),
				copyIn: { "in/deep/file": Buffer.from("text") },
				copyOut: ["out"],
			};
			const result = await judge.run(request);
			expect(result).toMatchObject({ ending: "exited", exitCode: 0, faults: {} });
			expect(result.stdout.toString()).toBe("text");
			expect(result.files["out"]?.toString()).toBe("TEXT");
		},
	},
	{
		name: "a file that is to come out and is missing",
		async run(judge) {
			const result = await judge.run({ command: ["true"], copyOut: ["none"] });
			expect(result.faults).toEqual({ none: "missing" });
			expect(result.files).toEqual({});
		},
	},
	{
		name: "a file that may be missing",
		async run(judge) {
			const result = await judge.run({ command: ["true"], copyOut: ["none?"] });
			expect(result).toMatchObject({ ending: "exited", exitCode: 0, faults: {}, files: {} });
		},
	},
	...traps.map(
		([what, script, fault]): Case => ({
			name: `${what} does not come out`,
			async run(judge) {
				const result = await judge.run({ command: sh(script), copyOut: ["left"] });
				expect(result.files).toEqual({});
				expect(Object.keys(result.faults)).toEqual(["left"]);
				expect([fault, "other", "not-regular"]).toContain(result.faults["left"]);
			},
		}),
	),
	{
		name: "a device does not come out",
		async run(judge) {
			const result = await judge.run({ command: ["true"], copyOut: ["/dev/zero"] });
			expect(result.faults).toEqual({ "/dev/zero": "not-regular" });
			expect(result.files).toEqual({});
		},
	},
	{
		name: "a file that is too large does not come out",
		async run(judge) {
			const result = await judge.run({
				command: sh("head -c 2000 /dev/zero > left"),
				copyOut: ["left"],
				copyOutMaxBytes: 1_999,
			});
			expect(result.faults).toEqual({ left: "too-large" });
			expect(result.files).toEqual({});
		},
	},
	{
		name: "compile, keep, run what was kept, delete",
		async run(judge) {
			const compiled = await judge.run({
				command: ["gcc", "-O1", "-o", "program", "main.c"],
				copyIn: { "main.c": Buffer.from(SOURCE) },
				copyOut: ["program"],
			});
			expect(compiled).toMatchObject({ ending: "exited", exitCode: 0 });
			const kept = await judge.keep(compiled.files["program"] ?? Buffer.alloc(0));
			const request: Request = { command: ["./program"], copyIn: { program: { kept } }, stdin: Buffer.from("40 2") };
			expect((await judge.run(request)).stdout.toString()).toBe("42\n");
			expect((await judge.run({ ...request, stdin: Buffer.from("-1 1") })).stdout.toString()).toBe("0\n");
			await judge.forget(kept);
		},
	},
	{
		name: "what is not kept, or no longer, is a clean error",
		async run(judge) {
			const kept = await judge.keep(Buffer.from("x"));
			await judge.forget(kept);
			const result = await judge.run({ command: ["cat", "file"], copyIn: { file: { kept } } }).catch(() => "refused");
			expect(result === "refused" || (typeof result === "object" && result.ending === "not-run")).toBe(true);
			expect(await judge.run({ command: ["true"] })).toMatchObject({ ending: "exited", exitCode: 0 });
		},
	},
];
