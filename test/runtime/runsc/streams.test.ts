import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isFaithful, openFile } from "../../../src/runtime/runsc/streams.ts";

describe("isFaithful", () => {
	it.each([
		["a pipe or terminal, always", { regular: false, position: 0, append: false }, true, true],
		["a file from its start: to read only", { regular: true, position: 0, append: false }, true, false],
		["a file that was read from: never", { regular: true, position: 3, append: false }, false, false],
		["a file to append to: to write only", { regular: true, position: 3, append: true }, false, true],
	] as const)("%s", (_what, file, stdin, stdout) => {
		expect([isFaithful(file, "stdin"), isFaithful(file, "stdout"), isFaithful(file, "stderr")]).toEqual([
			stdin,
			stdout,
			stdout,
		]);
	});
});

describe("openFile", () => {
	it("asks the kernel", () => {
		const folder = mkdtempSync(join(tmpdir(), "vmjail-streams-"));
		writeFileSync(join(folder, "f"), "content");
		const read = openSync(join(folder, "f"), "r");
		const append = openSync(join(folder, "f"), "a");
		const nothing = openSync("/dev/null", "r+");
		try {
			readSync(read, Buffer.alloc(3));
			expect(openFile(read)).toEqual({ regular: true, position: 3, append: false });
			expect(openFile(append)).toMatchObject({ regular: true, append: true });
			expect(openFile(nothing).regular).toBe(false);
		} finally {
			for (const descriptor of [read, append, nothing]) closeSync(descriptor);
			rmSync(folder, { recursive: true });
		}
	});
});
