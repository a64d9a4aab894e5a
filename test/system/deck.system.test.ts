/** The demonstrations of the talk that vmjail comes from, on the runtime runlc. The policies are its slides'. */

import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, CHECKOUT, missingCaller, missingPrograms, Place, USER, vmjail } from "./caller.ts";

const SLIDES = join(CHECKOUT, "test/fixtures/deck");

/** What the slides show beside `"system": {"runtime": …}`, with runlc in place of runsc. */
const ON_RUNLC = `"system": { "runtime": "runlc", "rollback": "", "root": { "path": "/", "readonly": true } }`;
const READ_ONLY = `{ ${ON_RUNLC} }`;
const FILES = `{ ${ON_RUNLC}, "security": { "file": { "writablePaths": ["/tmp"], "maskedPaths": ["/var"] } } }`;
const ONLY_LS = `{ ${ON_RUNLC}, "security": { "process": { "allow": ["/usr/bin/ls"] } } }`;
const NO_NETWORK = `{ ${ON_RUNLC}, "security": { "network": {
	"mode": "none",
	"policy": {
		"listen": [80],
		"tcp": ["1.1.1.1:"],
		"udp": ["*:53"],
		"dns": ["*.npm.org:*", "*.python.org:*"]
	}
} } }`;

for (const caller of CALLERS) {
	describe.skipIf(requireOr(missingCaller(caller)))(`the talk's demonstrations as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());

		/** $ ./vmjail -c security.json COMMAND */
		const demo = (policy: string, ...command: readonly string[]) => {
			const file = place.write("security.json", policy);
			return vmjail(place, ["-c", file, ...command]);
		};

		it("rootfs read-only: touch /abc", async () => {
			const { status, stderr } = await demo(READ_ONLY, "--", "touch", "/abc");
			expect(stderr).toBe("touch: cannot touch '/abc': Read-only file system\n");
			expect(status).toBe(1);
			expect(existsSync("/abc")).toBe(false);
		});

		it("rootfs read-only: touch /home/abc", async () => {
			const { stderr } = await demo(READ_ONLY, "--", "touch", "/home/abc");
			expect(stderr).toBe("touch: cannot touch '/home/abc': Read-only file system\n");
			expect(existsSync("/home/abc")).toBe(false);
		});

		it("writablePaths: touch /tmp/abc is the host's /tmp/abc", async () => {
			const file = `/tmp/abc-${process.pid}-${caller.name}`;
			onTestFinished(() => rmSync(file, { force: true }));
			expect(await demo(FILES, "touch", file)).toMatchObject({ status: 0, stderr: "" });
			expect(readFileSync(file, "utf8")).toBe("");
			expect(await demo(FILES, "sh", "-c", `echo aaa >> ${file}`)).toMatchObject({ status: 0, stderr: "" });
			expect(readFileSync(file, "utf8")).toBe("aaa\n");
			const { stderr } = await demo(FILES, "touch", "/abc");
			expect(stderr).toBe("touch: cannot touch '/abc': Read-only file system\n");
		});

		it("maskedPaths: ls /var", async () => {
			expect(readdirSync("/var")).not.toEqual([]);
			expect(await demo(FILES, "ls", "-A", "/var")).toMatchObject({ status: 0, stdout: "", stderr: "" });
			expect((await demo(FILES, "cat", "/var/lib/dpkg/status")).stderr).toMatch(/No such file or directory/);
		});

		it("process.allow: nothing but ls is executed", async () => {
			expect((await demo(ONLY_LS, "ls", "-d", "/usr")).stdout).toBe("/usr\n");
			expect((await demo(READ_ONLY, "env", "echo", "ran")).stdout).toBe("ran\n");
			expect(await demo(ONLY_LS, "env", "echo", "ran")).toMatchObject({ status: 126, stdout: "" });
		});

		it("mode none: ip a shows no interface of the host", async () => {
			const { status, stdout } = await demo(NO_NETWORK, "ip", "a");
			expect(status).toBe(0);
			const own = Object.keys(networkInterfaces()).filter((name) => name !== "lo");
			expect(own.filter((name) => stdout.includes(` ${name}:`))).toEqual([]);
			expect(stdout.match(/^\d+: (?!lo:)/gm)).toBeNull();
		});

		it("mode none: getent hosts python.org finds nothing", async () => {
			expect(await demo(NO_NETWORK, "getent", "hosts", "python.org")).toMatchObject({ status: 2, stdout: "" });
		});

		it.skipIf(requireOr(missingPrograms("wget")))("mode none: wget python.org", async () => {
			const { status, stderr } = await demo(NO_NETWORK, "wget", "python.org");
			expect(stderr).toMatch(
				/^Resolving python\.org \(python\.org\)\.\.\. failed: Temporary failure in name resolution\.$/m,
			);
			expect(stderr).toMatch(/^wget: unable to resolve host address .python\.org.$/m);
			expect(status).toBe(4);
		});
	});
}

describe.skipIf(requireOr(missingCaller(USER)))("every policy of the talk", () => {
	const place = new Place(USER);
	afterAll(() => place.remove());
	const slides = readdirSync(SLIDES).filter((name) => name.endsWith(".policy"));

	/** Which of a slide's wishes are left to a later version. */
	const LATER: Readonly<Record<string, readonly string[]>> = {
		"01-process.policy": [],
		"02-files-and-network.policy": ["security.process.allow", "security.network.mode"],
		"03-no-network.policy": [],
		"04-limits.policy": [],
		"05-read-only-root.policy": [],
		"06-writable-and-masked.policy": [],
		"07-names.policy": [],
	};

	beforeAll(() => expect(slides.toSorted()).toEqual(Object.keys(LATER)));

	it.each(slides)("%s loads; what is for later is named, not ignored", async (slide) => {
		const later = LATER[slide] ?? [];
		const lets = ["memory", "swap", "cpu"].flatMap((control) => ["--optional", control]);
		const { status, stdout, stderr } = await vmjail(place, ["check", "-c", join(SLIDES, slide), ...lets]);
		const named = [...stderr.matchAll(/^(?:vmjail: | {2})(\S+): not available yet: /gm)].map(([, path]) => path);
		expect(named).toEqual(later);
		expect(status).toBe(later.length === 0 ? 0 : 125);
		if (later.length === 0) expect(stdout).toMatch(/^The policy is sound/m);
	});

	it.each(slides.filter((slide) => LATER[slide]?.length !== 0))("%s starts nothing", async (slide) => {
		const { status, stdout } = await vmjail(place, ["-c", join(SLIDES, slide), "--", "echo", "started"]);
		expect({ status, stdout }).toEqual({ status: 125, stdout: "" });
	});
});
