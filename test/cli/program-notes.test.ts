import { describe, expect, it } from "vitest";
import { programNotes } from "../../src/cli/program-notes.ts";
import type { ProgramFact } from "../../src/host/types.ts";

const fact = (path: string, more: Partial<ProgramFact> = {}): ProgramFact => ({
	path,
	real: path,
	interpreters: [],
	loaders: [],
	...more,
});
const nowhere = () => undefined;

describe("notes on an allow-list", () => {
	it("are none for a static program that does one thing", () => {
		expect(programNotes([fact("/usr/bin/ls")], nowhere)).toEqual([]);
	});

	it("tell of links, interpreters and loaders", () => {
		const tool = fact("/opt/tool", { real: "/opt/v2/tool", interpreters: ["/usr/bin/dc"], loaders: ["/lib/ld.so"] });
		expect(programNotes([tool], nowhere)).toEqual([
			"/opt/tool is /opt/v2/tool",
			"/opt/tool is a script: /usr/bin/dc may run as well",
			"/opt/tool is loaded by /lib/ld.so, which may not run by itself",
		]);
	});

	it("tell what env will look up, unless it is listed", () => {
		const script = fact("/opt/tool", { interpreters: ["/usr/bin/env"], lookedUp: ["prog"] });
		const find = (name: string) => `/usr/bin/${name}`;
		expect(programNotes([script], find)).toContain(
			"/opt/tool is a script that env runs by prog: it will not run unless /usr/bin/prog is listed too (--exec /usr/bin/prog)",
		);
		expect(programNotes([script], nowhere).join()).toContain("nowhere in the jail's PATH");
		expect(programNotes([script, fact("/usr/bin/prog")], find).join()).not.toContain("unless");
	});

	it.each(["/bin/sh", "/usr/bin/python3.12", "/usr/bin/bash", "/usr/bin/perl5.36.0", "/bin/busybox"])(
		"warn of a general interpreter: %s",
		(file) => {
			expect(programNotes([fact(file)], nowhere)).toEqual([expect.stringContaining("runs whatever it is told")]);
			const script = fact("/opt/tool", { interpreters: [file] });
			expect(programNotes([script], nowhere)).toContainEqual(expect.stringContaining("runs whatever it is told"));
		},
	);

	it.each(["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1", "/lib/ld-2.31.so"])(
		"warn of a loader: %s",
		(file) => {
			expect(programNotes([fact(file)], nowhere)).toEqual([expect.stringContaining("any program that it is given")]);
		},
	);
});
