/** The measurements, each of one contender. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { say } from "../setup.mjs";
import { PORT } from "./lab.mjs";

/** Some peers never come to an end of some of it. */
const PATIENCE_MS = 60_000;

function start({ prefix, host, quiet }, [mode, ...args]) {
	const [program, ...rest] = [...prefix, mode, host, PORT, ...args];
	return spawn(program, rest, { stdio: ["pipe", "pipe", quiet ? "ignore" : "inherit"] });
}

/** What the load says at its end. */
async function told(contender, args) {
	const child = start(contender, args);
	let text = "";
	child.stdout.on("data", (chunk) => {
		text += chunk;
	});
	const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
	const [status] = await once(child, "close");
	clearTimeout(patience);
	if (status !== 0) throw new Error(`${contender.name}: load ${args.join(" ")} failed`);
	return JSON.parse(text);
}

/** One round of everything; what fails has no figure. */
export async function measureOnce(contender, { bytes, connections, exchanges }) {
	const attempt = (...args) =>
		told(contender, args.map(String)).catch((error) => {
			say(error.message);
			return {};
		});
	const down = await attempt("down", bytes);
	const up = await attempt("up", bytes);
	const { perSecond } = await attempt("connects", connections, 8);
	const { connectUs, answerUs, answerP90Us } = await attempt("latency", exchanges);
	return { down: down.bytesPerSecond, up: up.bytesPerSecond, perSecond, connectUs, answerUs, answerP90Us };
}

/** Resident memory in KiB of the process that relays. */
function memoryOf({ relay }, pid) {
	if (relay === undefined) return undefined;
	return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${relay(pid)}/status`, "utf8"))?.[1]);
}

/** Opens connections that stay, uses each once more at the end. */
export async function measureIdle(contender, count) {
	const child = start(contender, ["idle", String(count)]);
	const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	const first = await lines.next();
	if (first.done) clearTimeout(patience);
	if (first.done) throw new Error(`${contender.name}: ${count} connections could not be opened`);
	const { seconds } = JSON.parse(first.value);
	const kib = memoryOf(contender, child.pid);
	child.stdin.end();
	const { alive } = JSON.parse((await lines.next()).value ?? '{"alive":0}');
	await once(child, "close");
	clearTimeout(patience);
	return { seconds, alive, kib };
}

/** Memory of the relay while very many connections come and go. */
export async function measureMany(contender, count) {
	const child = start(contender, ["connects", String(count), "8"]);
	const samples = [];
	let text = "";
	child.stdout.on("data", (chunk) => {
		text += chunk;
	});
	const timer = setInterval(() => samples.push(memoryOf(contender, child.pid)), 1000);
	const [status] = await once(child, "close");
	clearInterval(timer);
	if (status !== 0) throw new Error(`${contender.name}: ${count} connections failed`);
	const known = samples.filter((kib) => Number.isFinite(kib));
	const at = (part) => known[Math.min(known.length - 1, Math.floor(known.length * part))];
	return { ...JSON.parse(text), kibEarly: at(0.1), kibHalf: at(0.5), kibLate: at(0.98), kibMost: Math.max(...known) };
}
