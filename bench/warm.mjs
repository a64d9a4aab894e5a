/**
 * `node bench/warm.mjs [--quick] [--json] [--soak RUNS]`: warm starts of /bin/true in jails that are used again, beside fork
 * and exec and bubblewrap, in turns in one run; what an idle jail holds; and, on request, whether anything grows.
 *
 * Neighbours on the machine only ever add time, so besides all samples the best round of each contender is told.
 */

import { readdirSync, readFileSync } from "node:fs";
import { buildVmjail, compile, mustRun } from "./build.mjs";
import { peerCommands } from "./peers.mjs";
import { library, say, which } from "./setup.mjs";
import { shuffled } from "./statistics.mjs";
import { table } from "./table.mjs";

const PROGRAM = "/bin/true";
const QUIET = { stdin: "ignore", stdout: "ignore", stderr: "ignore" };
const TARGETS = { perSecond: 1000, p50Ms: 1 };

/** Milliseconds of each start by C processes. */
function native(rate, workers, command) {
	return (ms) =>
		mustRun(rate, [String(ms), String(workers), ...command])
			.trim()
			.split("\n")
			.map((line) => Number(line) / 1000);
}

/** Milliseconds of each program, as many at one time as `atOnce`. */
function inJails(exec, atOnce) {
	return async (ms) => {
		const until = performance.now() + ms;
		const samples = [];
		const work = async () => {
			for (let begin = performance.now(); begin < until; begin = performance.now()) {
				const { kind, exitCode } = await exec([PROGRAM], QUIET);
				if (kind !== "exited" || exitCode !== 0) throw new Error(`${PROGRAM}: ${kind}`);
				samples.push(performance.now() - begin);
			}
		};
		await Promise.all(Array.from({ length: atOnce }, work));
		return samples;
	};
}

function quantile(sorted, part) {
	return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

function figures(rounds, ms) {
	const one = (samples) => {
		const sorted = [...samples].sort((a, b) => a - b);
		return { perSecond: (samples.length * 1000) / ms, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
	};
	const each = rounds.map(one);
	const all = one(rounds.flat());
	return {
		perSecond: all.perSecond / rounds.length,
		p50: all.p50,
		p99: all.p99,
		best: {
			perSecond: Math.max(...each.map(({ perSecond }) => perSecond)),
			p50: Math.min(...each.map(({ p50 }) => p50)),
			p99: Math.min(...each.map(({ p99 }) => p99)),
		},
	};
}

function pssKib(pid) {
	return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
}

function childrenOf(pid) {
	return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
}

/** What the kernel counts: of groups in each hierarchy, those on their way out included. */
function groups() {
	const lines = readFileSync("/proc/cgroups", "utf8").split("\n").slice(1).filter(Boolean);
	const counts = lines.map((line) => line.split("\t")).map(([name, , count]) => [name, Number(count)]);
	return Object.fromEntries(counts.filter(([name]) => ["memory", "pids", "cpuacct"].includes(name)));
}

function executors() {
	return childrenOf(process.pid).filter((pid) =>
		readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("vmjail-executor"),
	);
}

/** Memory of idle jails: their pid 1 with the process that waits for the next program, and what each adds to Node. */
async function idle(Jail, policy) {
	const count = 16;
	const node = () => {
		globalThis.gc?.();
		return process.memoryUsage().rss / 1024;
	};
	const first = await Jail.open(policy);
	await first.exec([PROGRAM], QUIET);
	const before = node();
	const jails = await Promise.all(Array.from({ length: count }, () => Jail.open(policy)));
	for (const jail of jails) await jail.exec([PROGRAM], QUIET);
	await new Promise((resolve) => setTimeout(resolve, 100));
	const pids = executors().flatMap(childrenOf);
	const sumOf = (list) => list.reduce((sum, pid) => sum + pssKib(pid), 0) / pids.length;
	const [pss, waiting] = [sumOf(pids), sumOf(pids.flatMap(childrenOf))];
	const added = (node() - before) / count;
	await Promise.all([first, ...jails].map((jail) => jail.close()));
	return { pid1PssKib: pss, waitingPssKib: waiting, nodeKib: added };
}

async function soak(pool, runs) {
	let done = 0;
	const report = () => ({
		done,
		rssMib: Math.round(process.memoryUsage().rss / 2 ** 20),
		executorKib: executors().reduce((sum, pid) => sum + pssKib(pid), 0),
		pid1Kib: executors()
			.flatMap(childrenOf)
			.reduce((sum, pid) => sum + pssKib(pid), 0),
		descriptors: readdirSync("/proc/self/fd").length,
		executorDescriptors: executors().reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0),
		pid1Descriptors: executors()
			.flatMap(childrenOf)
			.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0),
		groups: groups(),
	});
	const reports = [];
	const failures = [];
	const step = Math.max(1, Math.floor(runs / 10));
	const one = async () => {
		while (done < runs) {
			done++;
			const at = done;
			try {
				await pool.exec([PROGRAM], QUIET);
			} catch (error) {
				failures.push(error.message);
				say(error.message);
			}
			if (at % step === 0) {
				globalThis.gc?.();
				reports.push(report());
				say(JSON.stringify(reports.at(-1)));
			}
		}
	};
	await Promise.all([one(), one()]);
	if (failures.length > 0) process.exitCode = 1;
	return { reports, failures };
}

async function main(args) {
	const soakAt = args.indexOf("--soak");
	const runs = soakAt < 0 ? 0 : Number(args[soakAt + 1]);
	const unknown = args.filter((arg, i) => !["--quick", "--json", "--soak"].includes(arg) && i !== soakAt + 1);
	if (unknown.length > 0 || !Number.isSafeInteger(runs)) {
		process.stderr.write("usage: node bench/warm.mjs [--quick] [--json] [--soak RUNS]\n");
		return 2;
	}
	buildVmjail();
	const rate = compile("rate", ["rate.c"]);
	const { Jail, Pool, parsePolicy } = await library();
	const policyWith = (network) =>
		parsePolicy(
			JSON.stringify({
				system: { memory: { max: "256MiB" }, pids: { max: 64 } },
				security: { file: { tmpfs: [{ path: "/tmp", size: "64MiB" }] }, network },
			}),
		);
	const policy = policyWith({ mode: "none" });
	const [jail, two, eight] = [await Jail.open(policy), new Pool(policy, { size: 2 }), new Pool(policy, { size: 8 })];
	const ruled = await Jail.open(policyWith({ mode: "hostwithpolicy", policy: { dns: ["example.com:443"] } }));
	const bwrap = peerCommands({ tools: { bwrap: which("bwrap") }, folder: "" }, "", [PROGRAM])[0]?.argv;
	const contenders = [
		{ name: "fork + exec, one at a time", run: native(rate, 1, [PROGRAM]) },
		{ name: "fork + exec, two", run: native(rate, 2, [PROGRAM]) },
		...(bwrap === undefined
			? []
			: [
					{ name: "bwrap, one at a time", run: native(rate, 1, bwrap) },
					{ name: "bwrap, two", run: native(rate, 2, bwrap) },
				]),
		{ name: "Jail, one at a time", run: inJails((c, o) => jail.exec(c, o), 1) },
		{ name: "Jail with network rules", run: inJails((c, o) => ruled.exec(c, o), 1) },
		{ name: "Pool of 2, one at a time", run: inJails((c, o) => two.exec(c, o), 1) },
		{ name: "Pool of 2, two at a time", run: inJails((c, o) => two.exec(c, o), 2) },
		{ name: "Pool of 8, eight at a time", run: inJails((c, o) => eight.exec(c, o), 8) },
	];
	if (bwrap === undefined) say("bwrap is not installed: left out");
	await Promise.all([two.open(), eight.open()]);
	for (const { run } of contenders) await run(200);
	const [rounds, ms] = args.includes("--quick") ? [3, 400] : [12, 1000];
	const samples = new Map(contenders.map(({ name }) => [name, []]));
	say(`${rounds} rounds of ${ms} ms for each contender`);
	for (let round = 0; round < rounds; round++) {
		for (const { name, run } of shuffled(contenders)) samples.get(name).push(await run(ms));
	}
	const rows = contenders.map(({ name }) => ({ name, ...figures(samples.get(name), ms) }));
	const memory = await idle(Jail, policy);
	const soaked = runs === 0 ? undefined : await soak(two, runs);
	await Promise.all([jail, ruled, two, eight].map((one) => one.close()));
	const verdicts = rows.filter(({ name }) => name.startsWith("Pool of 2")).flatMap(verdictsOf);
	process.stdout.write(
		args.includes("--json")
			? `${JSON.stringify({ rows, memory, verdicts, soaked }, undefined, "\t")}\n`
			: render(rows, memory, verdicts),
	);
	return 0;
}

/** The target is told for a pool that is asked for one program at a time, and for one that is busy all the time. */
function verdictsOf({ name, best }) {
	const { perSecond, p50 } = best;
	return [
		{
			name: `${name}: per second`,
			value: perSecond,
			target: `≥ ${TARGETS.perSecond}`,
			met: perSecond >= TARGETS.perSecond,
		},
		{ name: `${name}: p50 ms`, value: p50, target: `≤ ${TARGETS.p50Ms}`, met: p50 <= TARGETS.p50Ms },
	];
}

function render(rows, memory, verdicts) {
	const base = rows[0];
	const number = (value) => value.toFixed(2);
	const lines = rows.map(({ name, perSecond, p50, p99, best }) => [
		name,
		perSecond.toFixed(0),
		number(p50),
		number(p99),
		best.perSecond.toFixed(0),
		number(best.p50),
		number(best.p99),
		number(best.p50 / base.best.p50),
	]);
	return [
		table([["", "per s", "p50 ms", "p99 ms", "best: per s", "p50", "p99", "p50 / fork"], ...lines]),
		`An idle jail: ${memory.pid1PssKib.toFixed(0)} KiB (PSS of its pid 1), ${memory.waitingPssKib.toFixed(0)} KiB (of the process that waits), and about ${memory.nodeKib.toFixed(0)} KiB in Node.\n`,
		table([
			["best round", "measured", "target", ""],
			...verdicts.map(({ name, value, target, met }) => [name, number(value), target, met ? "met" : "missed"]),
		]),
	].join("\n");
}

process.exitCode = (await main(process.argv.slice(2))) || process.exitCode;
