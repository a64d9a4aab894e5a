/**
 * The demonstrations of the talk that vmjail comes from, on both of its runtimes. The policies are its slides'; the Internet is
 * the lab's.
 */

import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address } from "../lab/zone.ts";
import { type NetworkRuntime, RUNLC, runscs } from "../network/runtimes.ts";
import {
	CALLERS,
	type Caller,
	CHECKOUT,
	missingCaller,
	missingPrograms,
	Place,
	ROOT,
	USER,
	VMJAIL,
	vmjail,
} from "./caller.ts";

const SLIDES = join(CHECKOUT, "test/fixtures/deck");

/** What the slides show, for a runtime. */
const slides = (runtime: NetworkRuntime["kind"]) => {
	const system = `"runtime": "${runtime}", "rollback": "", "root": { "path": "/", "readonly": true }`;
	const network = (mode: string, listen = "[80]") => `{ "system": { ${system} }, "security": { "network": {
		"mode": "${mode}",
		"policy": {
			"listen": ${listen},
			"tcp": ["1.1.1.1:"],
			"udp": ["*:53"],
			"dns": ["*.npm.org:*", "*.python.org:*"]
		}
	} } }`;
	return {
		readOnly: `{ "system": { ${system} } }`,
		files: `{ "system": { ${system} }, "security": { "file": { "writablePaths": ["/tmp"], "maskedPaths": ["/var"] } } }`,
		onlyLs: `{ "system": { ${system} }, "security": { "process": { "allow": ["/usr/bin/ls"] } } }`,
		limits: `{ "system": { ${system}, "memory": { "max": 134217728 }, "cpu": { "number": 1 } } }`,
		noNetwork: network("none"),
		rules: (listen: string) => network("hostwithpolicy", listen),
	};
};

const runtimes = [RUNLC, ...(await runscs())];
/** Side by side, the demonstrations of one stage one by one: much of the time is waiting. */
const stages = CALLERS.flatMap((caller) => runtimes.map((runtime) => ({ caller, runtime })));
const oneByOne = { concurrent: false } as const;

/** $ ./vmjail -c security.json COMMAND */
const commandLine = (place: Place, { flags }: NetworkRuntime, policy: string, command: readonly string[]) => [
	"-c",
	place.write("security.json", policy),
	...flags.filter((_, i) => flags[i - 1] === "--runsc" || flags[i] === "--runsc"),
	...command,
];

describe.concurrent.each(stages)("files and programs on $runtime.name as $caller.name", ({ caller, runtime }) => {
	describe.skipIf(requireOr(missingCaller(caller)))("the talk", oneByOne, () => {
		const place = new Place(caller);
		const policy = slides(runtime.kind);
		afterAll(() => place.remove());
		const demo = (text: string, ...command: readonly string[]) =>
			vmjail(place, commandLine(place, runtime, text, command));
		/** gVisor looks at a folder's permissions first; runlc's kernel at the file system. */
		const refusal = runtime.kind === "runsc" && caller.name === "user" ? "Permission denied" : "Read-only file system";

		it.runIf(runtime.kind === "runsc")("runsc: dmesg shows gVisor's own messages", async () => {
			const { status, stdout } = await demo(policy.readOnly, "dmesg");
			expect(stdout).toMatch(/^\[ +0\.000000\] Starting gVisor\.\.\.\n/);
			expect(stdout).not.toContain("Linux version");
			expect(status).toBe(0);
		});

		it.runIf(runtime.kind === "runlc")("runlc: dmesg shows nothing of the host's", async () => {
			const { status, stdout } = await demo(policy.readOnly, "dmesg");
			expect([status, stdout]).toEqual([1, ""]);
		});

		it("rootfs read-only: touch /abc", async () => {
			const { status, stderr } = await demo(policy.readOnly, "--", "touch", "/abc");
			expect(stderr).toBe(`touch: cannot touch '/abc': ${refusal}\n`);
			expect(status).toBe(1);
			expect(existsSync("/abc")).toBe(false);
		});

		it("rootfs read-only: touch /home/abc", async () => {
			const { stderr } = await demo(policy.readOnly, "--", "touch", "/home/abc");
			expect(stderr).toBe(`touch: cannot touch '/home/abc': ${refusal}\n`);
			expect(existsSync("/home/abc")).toBe(false);
		});

		it("writablePaths: touch /tmp/abc is the host's /tmp/abc", async () => {
			const file = `/tmp/abc-${process.pid}-${caller.name}-${runtimes.indexOf(runtime)}`;
			onTestFinished(() => rmSync(file, { force: true }));
			expect(await demo(policy.files, "touch", file)).toMatchObject({ status: 0, stderr: "" });
			expect(readFileSync(file, "utf8")).toBe("");
			expect(await demo(policy.files, "sh", "-c", `echo aaa >> ${file}`)).toMatchObject({ status: 0, stderr: "" });
			expect(readFileSync(file, "utf8")).toBe("aaa\n");
			const { stderr } = await demo(policy.files, "touch", "/abc");
			expect(stderr).toBe(`touch: cannot touch '/abc': ${refusal}\n`);
		});

		it("maskedPaths: ls /var", async () => {
			expect(readdirSync("/var")).not.toEqual([]);
			expect(await demo(policy.files, "ls", "-A", "/var")).toMatchObject({ status: 0, stdout: "", stderr: "" });
			expect((await demo(policy.files, "cat", "/var/lib/dpkg/status")).stderr).toMatch(/No such file or directory/);
		});

		it("process.allow: nothing but ls is executed", async () => {
			expect((await demo(policy.onlyLs, "ls", "-d", "/usr")).stdout).toBe("/usr\n");
			expect((await demo(policy.readOnly, "env", "echo", "ran")).stdout).toBe("ran\n");
			const { status, stdout, stderr } = await demo(policy.onlyLs, "env", "echo", "ran");
			expect({ status, stdout }).toEqual({ status: 126, stdout: "" });
			expect(stderr).toMatch(/^vmjail: refused: \/usr\/bin\/env is not in security.process.allow\n/);
		});

		it.runIf(caller === ROOT)("limits: a program that takes more memory than it may is ended", async () => {
			const take = (bytes: number) =>
				`python3 -c 'x = bytearray(${bytes}); x[::4096] = b"x" * len(x[::4096])'; echo ended`;
			expect(await demo(policy.limits, "sh", "-c", take(16 << 20))).toMatchObject({ status: 0, stdout: "ended\n" });
			const { status, stderr } = await demo(policy.limits, "sh", "-c", `exec ${take(256 << 20)}`);
			expect(stderr).toMatch(/memory/);
			expect(status).toBe(137);
		});

		it("mode none: ip a shows no interface of the host", async () => {
			const { status, stdout } = await demo(policy.noNetwork, "ip", "a");
			expect(status).toBe(0);
			const own = Object.keys(networkInterfaces()).filter((name) => name !== "lo");
			expect(own.filter((name) => stdout.includes(` ${name}:`))).toEqual([]);
			expect(stdout.match(/^\d+: (?!lo:)/gm)).toBeNull();
		});

		it("mode none: getent hosts python.org finds nothing", async () => {
			expect(await demo(policy.noNetwork, "getent", "hosts", "python.org")).toMatchObject({ status: 2, stdout: "" });
		});

		it.skipIf(requireOr(missingPrograms("wget")))("mode none: wget python.org", async () => {
			const { status, stderr } = await demo(policy.noNetwork, "wget", "python.org");
			expect(stderr).toMatch(
				/^Resolving python\.org \(python\.org\)\.\.\. failed: Temporary failure in name resolution\.$/m,
			);
			expect(stderr).toMatch(/^wget: unable to resolve host address .python\.org.$/m);
			expect(status).toBe(4);
		});
	});
});

describe.concurrent.each(stages)("the network on $runtime.name as $caller.name", ({ caller, runtime }) => {
	describe.skipIf(requireOr(missingCaller(caller)) || requireOr(labMissing()))("the talk", oneByOne, () => {
		const place = new Place(caller);
		const { rules } = slides(runtime.kind);
		let lab: Lab;
		beforeAll(async () => {
			lab = await Lab.start();
		});
		afterAll(async () => {
			await lab?.[Symbol.asyncDispose]();
			place.remove();
		});

		/** On the lab's host. Its own certificates are to be trusted. */
		const demo = (listen: string, ...command: readonly string[]) => {
			const trust = ["CURL_CA_BUNDLE", "WGETRC"].flatMap((name) => ["--pass-env", name]);
			const args = commandLine(place, runtime, rules(listen), ["-q", ...trust, "--", ...command]);
			return lab.hostExec([VMJAIL, ...args], { cwd: place.work, env: { HOME: place.home }, ...uidOf(caller) });
		};
		const received = async (mark: number) =>
			(await lab.since(mark)).flatMap((event) => (event.kind === "http" ? [event.host] : []));

		it("wget pypi.org: resolved, and refused by both families at once", async () => {
			expect((await lab.hostExec(["curl", "-sSL", "pypi.org"])).stdout).toBe("hello from pypi.org, 0 bytes\n");
			const mark = lab.log.length;
			const { status, stderr } = await demo("[]", "wget", "-t", "1", "-O-", "pypi.org");
			expect(stderr).toContain(`|${address.pypi}|:80... failed: Operation not permitted.`);
			expect(stderr).toContain(`|${address.pypi6}|:80... failed: Operation not permitted.`);
			expect([status, await received(mark)]).toEqual([4, []]);
		});

		it("curl pypi.org: refused, and one line says what would allow it", async () => {
			const args = commandLine(place, runtime, rules("[]"), ["--", "curl", "-4sS", "http://pypi.org"]);
			const { status, stderr } = await lab.hostExec([VMJAIL, ...args], { cwd: place.work, ...uidOf(caller) });
			expect(stderr.match(/^vmjail: refused: .*$/gm)).toEqual([
				expect.stringMatching(/tcp pypi\.org:80 refused: no rule .*; --allow-dns pypi\.org:80 would allow it$/),
			]);
			expect(status).toBe(7);
		});

		it("wget npm.org: fetched over HTTPS", async () => {
			const { status, stdout, stderr } = await demo("[]", "wget", "-O-", "npm.org");
			expect([status, stdout], stderr).toEqual([0, "hello from npm.org, 0 bytes\n"]);
			expect(stderr).toMatch(/Connecting to npm\.org.*:443\.\.\. connected/);
		});

		it("wget python.org: redirected to www.python.org, and fetched from there", async () => {
			const { stdout, stderr } = await demo("[]", "wget", "-O-", "python.org");
			expect(stderr).toContain("Location: https://www.python.org/");
			expect(stdout).toBe("hello from www.python.org, 0 bytes\n");
		});

		it("curl 1.1.1.1 at any port, and no other address", async () => {
			const script = "curl -sS http://1.1.1.1:8080; curl -sS http://8.8.8.8; echo $?";
			expect((await demo("[]", "sh", "-c", script)).stdout).toBe("hello from 1.1.1.1, 0 bytes\n7\n");
		});

		it("listen: the port is reached from the host, and others are not", async () => {
			// Ports below 1024 of the host are root's; the lab has a service of its own on 127.0.0.1:80.
			const at = caller === ROOT ? "127.0.0.2:80" : "127.0.0.2:8080";
			const serve = `
const { createServer } = require("node:http");
const leave = () => setTimeout(() => process.exit(), 1000);
for (const port of [80, 81]) createServer((_, answer) => answer.end("inside", leave)).listen(port);`;
			const jail = demo(`["${at}->80"]`, process.execPath, "-e", serve);
			const tries = `for i in $(seq 99); do curl -sS http://${at}/ && break; sleep 0.3; done`;
			expect((await lab.hostExec(["sh", "-c", tries])).stdout).toBe("inside");
			expect((await lab.hostExec(["curl", "-sS", "http://127.0.0.2:81/"])).status).toBe(7);
			await jail;
		});
	});
});

const uidOf = ({ name, uid }: Caller) => (name === "root" ? {} : { uid });

describe.skipIf(requireOr(missingCaller(USER)))("every policy of the talk", () => {
	const place = new Place(USER);
	afterAll(() => place.remove());
	const names = readdirSync(SLIDES).filter((name) => name.endsWith(".policy"));

	it.each(names)("%s loads, and every wish of it can be had", async (slide) => {
		const lets = ["memory", "swap", "cpu"].flatMap((control) => ["--optional", control]);
		const { status, stdout, stderr } = await vmjail(place, ["check", "-c", join(SLIDES, slide), ...lets]);
		expect(stderr).not.toMatch(/not available/);
		expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^The policy is sound/m) });
	});
});
