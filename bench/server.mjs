#!/usr/bin/env node
/**
 * Requests per second of `vmjail serve` over kept connections, beside what HTTP alone costs here: both in one run, so that
 * the ratio means something on a machine that others use too.
 *
 *   node bench/server.mjs [SECONDS | --quick]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { quantile } from "./statistics.mjs";
import { table } from "./table.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const word = process.argv[2] ?? "4";
const seconds = word === "--quick" ? 1 : Number(word);
if (!(seconds > 0)) {
	process.stderr.write(`usage: node bench/server.mjs [SECONDS | --quick], not '${word}'\n`);
	process.exit(2);
}
const WARM_UP = 20;

const policy = {
	system: { memory: { max: "256MiB" }, pids: { max: 64 }, time: { cpu: "2s", wall: "6s" }, cwd: "/tmp" },
	security: { file: { tmpfs: [{ path: "/tmp" }] } },
};

async function start(folder) {
	const file = join(folder, "policy.json");
	writeFileSync(file, JSON.stringify(policy));
	const args = ["serve", "--listen", "127.0.0.1:0", "--policy", file, "--parallelism", "8", "--log-level", "info"];
	const child = spawn(join(root, "vmjail"), args, { stdio: ["ignore", "ignore", "pipe"] });
	let text = "";
	for await (const chunk of child.stderr) {
		text += chunk;
		const port = /"address":"127\.0\.0\.1:(\d+)"/.exec(text)?.[1];
		if (port !== undefined) {
			child.stderr.resume();
			return { child, port: Number(port) };
		}
	}
	throw new Error(`the server did not start: ${text}`);
}

function ask(port, agent, path, body) {
	return new Promise((resolve, reject) => {
		const asked = request(
			{ port, host: "127.0.0.1", path, agent, method: body === undefined ? "GET" : "POST" },
			(response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk) => {
					text += chunk;
				});
				response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
			},
		);
		asked.on("error", reject);
		asked.end(body);
	});
}

/** Requests by so many connections, each sending its next when it has its answer. */
async function measure(port, connections, path, body) {
	const agent = new Agent({ keepAlive: true, maxSockets: connections });
	for (let i = 0; i < WARM_UP; i++) await ask(port, agent, path, body);
	const times = [];
	const began = performance.now();
	const lane = async () => {
		while (performance.now() - began < seconds * 1000) {
			const before = performance.now();
			const text = await ask(port, agent, path, body);
			if (body !== undefined && !text.includes('"Accepted"')) throw new Error(text);
			times.push(performance.now() - before);
		}
	};
	await Promise.all(Array.from({ length: connections }, lane));
	agent.destroy();
	return { perSecond: times.length / ((performance.now() - began) / 1000), times };
}

const folder = mkdtempSync(join(tmpdir(), "bench-server-"));
const { child, port } = await start(folder);
const run = JSON.stringify({ cmd: [{ args: ["/bin/true"] }] });
const echo = JSON.stringify({
	cmd: [{ args: ["/bin/cat"], files: [{ content: "x".repeat(1000) }, { name: "stdout", max: 10_000 }, null] }],
});
const contenders = [
	["HTTP alone (/version)", "/version", undefined],
	["/run /bin/true", "/run", run],
	["/run cat, 1 kB in and out", "/run", echo],
];
const rows = [["", "connections", "per second", "of HTTP alone", "p50 ms", "p99 ms"]];
try {
	for (const connections of [1, 2, 8]) {
		let alone = 1;
		for (const [name, path, body] of contenders) {
			const { perSecond, times } = await measure(port, connections, path, body);
			if (body === undefined) alone = perSecond;
			rows.push([
				name,
				String(connections),
				perSecond.toFixed(0),
				(perSecond / alone).toFixed(2),
				quantile(times, 0.5).toFixed(2),
				quantile(times, 0.99).toFixed(2),
			]);
		}
	}
	process.stdout.write(table(rows));
} finally {
	child.kill("SIGTERM");
	await once(child, "exit");
	rmSync(folder, { recursive: true, force: true });
}
