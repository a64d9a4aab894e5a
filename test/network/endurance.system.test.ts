/**
 * Floods, a relay that is stopped or killed, and what is left of many jails. `VMJAIL_LONG=1`: 500 jails, half of them killed, in
 * place of 16.
 */

import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { requireOr } from "../helpers/requirement.ts";
import { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address } from "../lab/zone.ts";
import { Harness } from "./harness.ts";
import type { RuleTexts } from "./policy.ts";
import { Product, VMJAIL } from "./product.ts";

const long = process.env.VMJAIL_LONG === "1";
const curl = "curl -sS --max-time 5";
const python = (...lines: readonly string[]) => `python3 -c '${lines.join("\n")}'`;

let lab: Lab;
let product: Product;

function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}

/** Processes that run Node and have `mark` on their command line: vmjail itself. */
function vmjails(mark: string): readonly number[] {
	return readdirSync("/proc")
		.filter((pid) => /^\d+$/.test(pid))
		.filter((pid) => read(`/proc/${pid}/cmdline`).includes(mark))
		.filter((pid) => /^node\0|\/node\0/.test(read(`/proc/${pid}/cmdline`)))
		.map(Number);
}

describe.skipIf(requireOr(labMissing()))("the network under strain", () => {
	let before: readonly string[];

	beforeAll(async () => {
		before = leftovers();
		lab = await Lab.start();
		product = new Product(lab);
	});
	afterAll(async () => {
		await lab?.[Symbol.asyncDispose]();
		expect(await leftSince([...before])).toEqual([]);
	});

	it("bears 10,000 half-open connections of a jail's root: itself, its host and other jails go on", async () => {
		const harness = await Harness.build(lab);
		// Answers are dropped, so that no handshake is ever finished.
		const flood = [
			"ip rule flush; ip rule add pref 1 lookup main", // raw sockets say no port, which S's own rules go by
			"nft add table ip flood; nft add chain ip flood in '{ type filter hook input priority 0; }'",
			"nft add rule ip flood in 'tcp flags & (syn|ack) == syn|ack drop'",
			python(
				"import socket, struct",
				"s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)",
				`there = ("${address.one}", 0)`,
				'source, to = socket.inet_aton("198.19.255.254"), socket.inet_aton(there[0])',
				"def syn(port):",
				'	head = struct.pack("!2H2I4H", port, 8080, port, 0, 0x5002, 64240, 0, 0)',
				'	sum_ = sum(struct.unpack("!16H", source + to + struct.pack("!2H", 6, 20) + head))',
				"	sum_ = (sum_ & 0xffff) + (sum_ >> 16); sum_ += sum_ >> 16",
				'	return head[:16] + struct.pack("!H", ~sum_ & 0xffff) + head[18:]',
				"for port in range(20000, 30000): s.sendto(syn(port), there)",
				"print(10000)",
			),
			"sleep 1",
			"nft delete table ip flood",
			`${curl} http://${address.one}:8080`,
		].join("; ");
		const [jail, other, onHost] = await Promise.all([
			harness.run({ tcp: ["1.1.1.1:8080"] }, flood),
			product.run({ tcp: ["1.1.1.1:8080"] }, `sleep 0.8; ${curl} http://${address.one}:8080`),
			lab.hostExec(["sh", "-c", `sleep 0.8; ${curl} http://${address.one}:8080`]),
		]);
		expect(jail.stdout, jail.stderr).toBe("10000\nhello from 1.1.1.1, 0 bytes\n");
		expect([other.stdout, onHost.stdout]).toEqual(Array(2).fill("hello from 1.1.1.1, 0 bytes\n"));
	});

	it("bears 10,000 connections that say nothing, more than it has descriptors for", async () => {
		const mark = `silent${process.pid}`;
		const hold = python(
			`import os, socket, sys, time # ${mark}`,
			"children = []",
			"for child in range(20):",
			"	pid = os.fork()",
			"	children.append(pid)",
			"	if pid: continue",
			"	held = []",
			"	for i in range(500):",
			"		try:",
			`			s = socket.create_connection(("${address.ssh}", 22), 10)`,
			"			held.append(s)",
			"		except OSError: pass",
			"	time.sleep(2)",
			"	os._exit(0 if len(held) > 300 else 1)",
			"print([os.waitpid(pid, 0)[1] for pid in children].count(0))",
		);
		const rules: RuleTexts = { tcp: [`${address.ssh}:22`, "1.1.1.1:8080"] };
		let most = 0;
		const watch = setInterval(() => {
			for (const pid of vmjails(mark))
				most = Math.max(most, Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1]));
		}, 200);
		const { stdout, stderr } = await product.run(rules, `${hold}; sleep 1; ${curl} http://${address.one}:8080`, {
			timeoutMs: 60_000,
		});
		clearInterval(watch);
		expect(stdout, stderr).toBe("20\nhello from 1.1.1.1, 0 bytes\n");
		expect(most).toBeGreaterThan(0);
		expect(most).toBeLessThan(300 * 1024);
	}, 90_000);

	it("lets nothing through while its relay is stopped, and ends with it", async () => {
		const mark = `stopped${process.pid}`;
		const script = `: ${mark}; while :; do ${curl} --max-time 0.5 http://${address.one}:8080 >/dev/null 2>&1; sleep 0.1; done`;
		// In a pid namespace that outlives it: its executor is to tidy up.
		const jail = product.run({ tcp: ["1.1.1.1:8080"] }, script, { timeoutMs: 60_000, before: ":", after: "sleep 3" });
		const connections = () => lab.log.filter((event) => event.kind === "connection" && event.port === 8080).length;
		const begun = connections();
		await expect.poll(() => connections(), { timeout: 20_000 }).toBeGreaterThan(begun + 2);
		const pids = vmjails(mark);
		expect(pids).not.toEqual([]);
		for (const pid of pids) process.kill(pid, "SIGSTOP");
		await new Promise((resolve) => setTimeout(resolve, 300));
		const stopped = connections();
		await new Promise((resolve) => setTimeout(resolve, 1500));
		expect(connections()).toBe(stopped);
		for (const pid of pids) process.kill(pid, "SIGKILL");
		expect((await jail).status).not.toBe(0);
		await expect.poll(() => vmjails(mark)).toEqual([]);
		const killed = connections();
		await new Promise((resolve) => setTimeout(resolve, 500));
		expect(connections()).toBe(killed);
	}, 60_000);

	it("leaves nothing of many jails, half of them killed at any moment", async () => {
		const pairs = long ? 250 : 8;
		// From 0.2 s, when the gateway is being made, to 0.8 s, when the program runs.
		const one = `timeout -s KILL 0.$((2 + i % 7)) $V -q --allow-dns npm.org:443 -- sleep 5; $V -q --allow-dns npm.org:443 -- true || echo failed`;
		const { stdout } = await lab.hostExec(["sh", "-c", `for i in $(seq ${pairs}); do ${one}; done`], {
			env: { V: VMJAIL },
			timeoutMs: 1_200_000,
		});
		expect(stdout).toBe("");
		expect(await leftSince([...before])).toEqual([]);
		const links = (await lab.hostExec(["ip", "-br", "link"])).stdout;
		expect(links.split("\n").filter((line) => !/^lo |^host0@|^$/.test(line))).toEqual([]);
	}, 1_200_000);
});
