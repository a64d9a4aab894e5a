import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PATIENCE } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { Lab } from "./lab.ts";
import { labMissing } from "./requirements.ts";
import { address, host } from "./zone.ts";

/** Processes and files of a lab that process `pid` made, and processes whose command line has `word`. */
function leftBy(pid: number, word = "\0none"): readonly string[] {
	const mark = `vmjlab-${pid}-`;
	const processes = readdirSync("/proc").filter((each) => /^\d+$/.test(each) && each !== String(pid));
	const left = processes.filter((each) => commandOf(each).includes(mark) || commandOf(each).includes(word));
	return [...left, ...readdirSync(tmpdir()).filter((name) => name.startsWith(mark))];
}

function commandOf(pid: string): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8");
	} catch {
		return "";
	}
}

describe.skipIf(requireOr(labMissing()))("the lab", () => {
	let lab: Lab;
	beforeAll(async () => {
		lab = await Lab.start();
	});
	afterAll(async () => {
		await lab?.[Symbol.asyncDispose]();
	});

	it.each([
		["npm.org, by redirection to TLS", "curl -sSL npm.org", "hello from npm.org"],
		["python.org, by redirection to another name", "wget -qO- python.org", "hello from www.python.org"],
		["a name that is IPv6 only", "curl -sS v6only.test", "hello from v6only.test"],
		["a chain of names", "curl -sS chain.test", "hello from chain.test"],
		[
			"two names on one address",
			"curl -sS https://allowed.cdn.test https://denied.cdn.test",
			"hello from denied.cdn.test",
		],
		["the metadata address", `curl -sS ${address.metadata}`, `hello from ${address.metadata}`],
		["the host's loopback", "curl -sS 127.0.0.1", "hello from 127.0.0.1"],
		[
			"a server that speaks first",
			`node -e 'require("net").connect(22, "${address.ssh}").once("data", (d) => console.log(String(d)) & process.exit())'`,
			"SSH-2.0-lab",
		],
	])("has %s", async (_what, command, expected) => {
		expect((await lab.hostExec(["sh", "-c", command])).stdout).toContain(expected);
	});

	it("keeps a log of every question and connection", async () => {
		const mark = lab.log.length;
		await lab.hostExec(["curl", "-s", "http://pypi.org/x"]);
		expect(await lab.since(mark)).toEqual(
			expect.arrayContaining([
				expect.objectContaining({ kind: "dns", name: "pypi.org", type: "A" }),
				expect.objectContaining({ kind: "connection", port: 80, peer: host.v6 }),
				{ kind: "http", host: "pypi.org", url: "/x" },
			]),
		);
	});

	it("does not reach the machine's own network, nor the machine it", async () => {
		const { stdout } = await lab.hostExec(["ip", "-br", "addr"]);
		expect(stdout.split("\n").filter((line) => !/^lo |^host0@|^$/.test(line))).toEqual([]);
		expect(existsSync("/sys/class/net/host0")).toBe(false);
	});

	it("answers with status, output and signals of what it runs, as whom it is told", async () => {
		expect(await lab.hostExec(["sh", "-c", "cat; id -u; echo err >&2; exit 3"], { input: "in\n", uid: 65534 })).toEqual(
			{ status: 3, stdout: "in\n65534\n", stderr: "err\n" },
		);
		expect((await lab.hostExec(["pwd"], { cwd: "/usr/bin" })).stdout).toBe("/usr/bin\n");
		expect((await lab.hostExec(["pwd"])).stdout).toBe(`${process.cwd()}\n`);
		expect((await lab.hostExec(["sleep", "60"], { timeoutMs: 100 })).status).toBe(137);
	});

	it("leaves nothing behind, even when it is killed", async () => {
		const nap = `sleep\0${1000 + process.pid}`;
		const command = ["sh", "-c", `echo up; ${nap.replace("\0", " ")}; true`];
		const child = spawn(process.execPath, [join(import.meta.dirname, "run.mjs"), ...command], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		await once(child.stdout, "data");
		const pid = child.pid ?? 0;
		await expect.poll(() => leftBy(pid, nap).length).toBeGreaterThan(4);
		child.kill("SIGKILL");
		await expect.poll(() => leftBy(pid, nap), { timeout: 10_000 * PATIENCE }).toEqual([]);
	});

	it("leaves nothing behind when it is disposed of", async () => {
		const before = leftBy(process.pid).length;
		await (await Lab.start())[Symbol.asyncDispose]();
		await expect.poll(() => leftBy(process.pid).length).toBe(before);
	});
});
