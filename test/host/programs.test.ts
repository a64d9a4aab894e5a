import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VmjailError } from "../../src/errors.ts";
import { loaderOf, lookedUpBy, shebangOf } from "../../src/host/program-format.ts";
import { MOST_FILES, probePrograms } from "../../src/host/programs.ts";
import { elf32 } from "../exec/elf32.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A head of a 64-bit ELF file with one PT_INTERP segment. */
function dynamic(loader: string): Uint8Array {
	const out = new Uint8Array(64 + 56 + loader.length + 1);
	const view = new DataView(out.buffer);
	out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	view.setBigUint64(32, 64n, true); // e_phoff
	view.setUint16(54, 56, true); // e_phentsize
	view.setUint16(56, 1, true); // e_phnum
	view.setUint32(64, 3, true); // PT_INTERP
	view.setBigUint64(64 + 8, 120n, true); // p_offset
	view.setBigUint64(64 + 32, BigInt(loader.length + 1), true); // p_filesz
	out.set(bytes(loader), 120);
	return out;
}

describe("the format of a program", () => {
	it("names its loader, if it is a dynamic ELF file", () => {
		expect(loaderOf(dynamic("/lib/ld.so"))).toBe("/lib/ld.so");
		expect(loaderOf(elf32(0))).toBeUndefined();
		expect(loaderOf(bytes("#!/bin/sh\n".padEnd(100)))).toBeUndefined();
	});

	it("is none when cut anywhere, and never an exception", () => {
		const whole = dynamic("/lib/ld.so");
		for (let length = 0; length < whole.length; length++) expect(loaderOf(whole.subarray(0, length))).toBeUndefined();
	});

	it.each([
		["#!/bin/sh\necho", { interpreter: "/bin/sh", argument: "" }],
		["#! \t/bin/sh  -e x \n", { interpreter: "/bin/sh", argument: "-e x" }],
		["#!/bin/sh", { interpreter: "/bin/sh", argument: "" }],
		["#!/bin/sh\0/evil", { interpreter: "/bin/sh", argument: "" }],
		["#!\n/bin/sh", undefined],
		["# !/bin/sh", undefined],
		["", undefined],
	])("script %j", (text, expected) => {
		expect(shebangOf(bytes(text))).toEqual(expected);
	});

	it.each([
		["/usr/bin/env", "python3", "python3"],
		["/usr/bin/env", "-S node --flag", "node"],
		["/usr/bin/env", "-S A=1 node", "node"],
		["/usr/bin/env", "", undefined],
		["/bin/sh", "-e", undefined],
	])("%s %s looks up %s", (interpreter, argument, name) => {
		expect(lookedUpBy({ interpreter, argument })).toBe(name);
	});
});

describe("probing an allow-list", () => {
	const root = realpathSync(mkdtempSync(join(tmpdir(), "programs-")));
	const make = (name: string, content: string | Uint8Array, mode = 0o755) => {
		writeFileSync(join(root, name), content);
		chmodSync(join(root, name), mode);
	};
	beforeAll(() => {
		mkdirSync(join(root, "lib"));
		make("lib/ld.so", "loader");
		make("sh", dynamic("/lib/ld.so"));
		make("script", "#!/sh -e\n");
		make("by-env", "#!/env tool\n");
		make("env", "env");
		make("text", "text", 0o644);
		symlinkSync("script", join(root, "link"));
		symlinkSync("/etc/passwd", join(root, "outside"));
		make("loop", "#!/loop\n");
	});
	afterAll(() => rmSync(root, { recursive: true }));

	it("resolves links, interpreters and loaders, as the jail sees them", () => {
		expect(probePrograms(["/link", "/by-env"], root)).toEqual([
			{ path: "/link", real: "/script", interpreters: ["/sh"], loaders: ["/lib/ld.so"] },
			{ path: "/by-env", real: "/by-env", interpreters: ["/env"], loaders: [], lookedUp: ["tool"] },
		]);
	});

	it("follows a script that interprets itself no further than the kernel", () => {
		expect(probePrograms(["/loop"], root)[0]?.interpreters).toHaveLength(6);
	});

	it.each([
		["/missing", /does not exist/],
		["/outside", /does not exist/],
		["/text", /not an executable file/],
		["/lib", /not an executable file/],
		[`/sh@sha256:${"0".repeat(64)}`, /is not the file that was listed: its sha256 is [0-9a-f]{64}/],
	])("refuses %s", (entry, message) => {
		expect(() => probePrograms([entry], root)).toThrow(message);
		expect(() => probePrograms([entry], root)).toThrow(VmjailError);
	});

	it("keeps the very bytes that it found to be right", () => {
		const content = dynamic("/lib/ld.so");
		const sha256 = createHash("sha256").update(content).digest("hex");
		const kept: Uint8Array[] = [];
		const keep = (found: Uint8Array) => `/proc/1/fd/${kept.push(found)}`;
		expect(probePrograms([`/sh@sha256:${sha256}`], root, keep)).toEqual([
			{
				path: "/sh",
				real: "/sh",
				interpreters: [],
				loaders: ["/lib/ld.so"],
				sha256,
				snapshot: { source: "/proc/1/fd/1", sizeBytes: content.length },
			},
		]);
		expect(kept.map((one) => Buffer.from(one))).toEqual([Buffer.from(content)]);
	});

	it(`takes ${MOST_FILES} files, and names the limit for more`, () => {
		const names = Array.from({ length: 1000 }, (_, i) => `/many-${i}`);
		for (const name of names) make(name.slice(1), "x");
		expect(probePrograms(names.slice(0, MOST_FILES), root)).toHaveLength(MOST_FILES);
		expect(() => probePrograms(names, root)).toThrow(/1000 files.*more than the 512/);
	});
});
