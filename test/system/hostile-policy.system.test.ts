/** Policy files that are wrong, strange or hostile: a precise error, status 125, and nothing has been started. */

import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, missingPrograms, Place, run, USER, VMJAIL, vmjail } from "./caller.ts";

const SOUND = '{ "security": { "file": { "writablePaths": ["/tmp"] } } }';

/** Content of the file, and what the message says. */
const CONTENTS: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
	["empty", "", /empty/],
	["blanks only", " \n\t\n", /empty/],
	["truncated in an object", SOUND.slice(0, 30), /policy\.json:1:\d+/],
	["truncated in a string", '{ "system": { "hostname": "ja', /policy\.json:1:\d+/],
	["two documents", `${SOUND}${SOUND}`, /policy\.json:1:\d+/],
	["not an object", "[]", /policy\.json/],
	["null", "null", /policy\.json/],
	["an ELF file", readFileSync("/bin/true").subarray(0, 4096), /policy\.json/],
	["not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), /UTF-8/],
	["UTF-16", Buffer.from(`\ufeff${SOUND}`, "utf16le"), /UTF-8|UTF-16/],
	["a NUL in a path", '{ "security": { "file": { "maskedPaths": ["/a\\u0000b"] } } }', /NUL|maskedPaths/],
	["deeply nested", "[".repeat(200_000), /policy\.json/],
	["one key twice", '{ "system": { "hostname": "a", "hostname": "b" } }', /hostname/],
	["an unknown key", '{ "security": { "netwrk": {} } }', /netwrk.*|network/],
	["__proto__", '{ "__proto__": { "security": {} } }', /__proto__/],
	["a wrong type", '{ "system": { "memory": { "max": true } } }', /policy\.json:1:\d+ system\.memory\.max/],
	["a network mode that is none", '{ "security": { "network": { "mode": "nne" } } }', /security\.network\.mode/],
];

for (const caller of CALLERS) {
	describe.skipIf(requireOr(missingCaller(caller)))(`hostile policies as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());
		const program = ["--", "sh", "-c", "echo started"] as const;

		/** Refused with this message, and the program has not run. */
		const refuses = async (file: string, message: RegExp) => {
			const { status, stdout, stderr } = await vmjail(place, ["-c", file, ...program], { timeoutMs: 20_000 });
			expect({ status, stdout }).toEqual({ status: 125, stdout: "" });
			expect(stderr).toMatch(/^vmjail: /);
			expect(stderr).toMatch(message);
			expect(stderr).not.toMatch(/internal error|\n {4}at /);
			expect(stderr.length).toBeLessThan(4000);
		};

		it.each(CONTENTS)("%s", async (_, content, message) => {
			await refuses(place.write("policy.json", content), message);
		});

		it("100 MB, sparse", async () => {
			const file = place.write("policy.json", SOUND);
			truncateSync(file, 100_000_000);
			await refuses(file, /large|1 MiB|bytes/);
		});

		it("/dev/zero", () => refuses("/dev/zero", /large|1 MiB|bytes/));
		it("/dev/null", () => refuses("/dev/null", /empty/));
		it("a folder", () => refuses(place.work, /cannot read the policy: EISDIR/));
		it("a file that is not there", () => refuses("no-such-file", /no-such-file: cannot read the policy: ENOENT/));
		it("a link to nowhere", async () => {
			await run(place, ["ln", "-sf", "nowhere", "dangling"]);
			await refuses("dangling", /ENOENT/);
		});

		it("a FIFO: a writer without end, one that stops half-way, one that is sound", async () => {
			const through = (writer: string) =>
				run(place, ["sh", "-c", `rm -f fifo; mkfifo fifo; (${writer}) > fifo & ${VMJAIL} -c fifo -- echo started`]);
			expect(await through("exec yes 2>/dev/null")).toMatchObject({ status: 125, stdout: "" });
			expect(await through("printf '{ \"system\": '")).toMatchObject({ status: 125, stdout: "" });
			expect(await through(`printf '%s' '${SOUND}'`)).toMatchObject({ status: 0, stdout: "started\n" });
		});

		it("standard input", async () => {
			const from = (input: string) => vmjail(place, ["-c", "-", ...program], { input });
			expect(await from(SOUND.slice(0, 9))).toMatchObject({ status: 125, stdout: "" });
			expect(await from(SOUND)).toMatchObject({ status: 0, stdout: "started\n" });
		});
	});
}

describe.skipIf(requireOr(missingCaller(USER)))("policies as an ordinary user", () => {
	const place = new Place(USER);
	afterAll(() => place.remove());

	it("a file that the user may not read", async () => {
		const file = place.write("secret.json", SOUND, 0);
		const { status, stdout, stderr } = await vmjail(place, ["-c", file, "--", "echo", "started"]);
		expect({ status, stdout }).toEqual({ status: 125, stdout: "" });
		expect(stderr).toMatch(/secret\.json: cannot read the policy: EACCES/);
	});

	it.skipIf(requireOr(missingPrograms("strace")))(
		"neither namespace nor cgroup is made before the policy is sound, and the executor is told nothing",
		async () => {
			const trace = async (content: string) => {
				const file = place.write("policy.json", content);
				const log = join(place.work, "trace");
				await run(place, [
					"strace",
					"-f",
					"-qq",
					"-e",
					"trace=execve,mkdir,mkdirat,clone,clone3,unshare,recvmsg",
					"-o",
					log,
					VMJAIL,
					"-c",
					file,
					"true",
				]);
				return readFileSync(log, "utf8");
			};
			// What the executor is asked comes by recvmsg(2) with descriptors.
			const told = /SCM_RIGHTS/;
			const sound = await trace(SOUND);
			expect(sound).toMatch(/CLONE_NEWUSER/);
			expect(sound).toMatch(told);
			for (const [, content] of CONTENTS.slice(0, 3)) {
				const calls = await trace(content.toString());
				expect(calls).toMatch(/execve\("[^"]*node"/);
				expect(calls).not.toMatch(/CLONE_NEW|cgroup/);
				expect(calls).not.toMatch(told);
			}
		},
	);
});
