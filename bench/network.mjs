/**
 * `npm run bench:network -- [--quick] [--million] [--json]`: vmjail's network beside slirp4netns, pasta and no sandbox, in one
 * run, in network namespaces of its own: nothing leaves them. Needs root. Ratios are what counts: client, relay and server share
 * the machine's processors.
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { checkout } from "./build.mjs";
import { contenders, DIRECT, LOOPBACK, mostFiles, SLIRP, VMJAIL, VMJAIL_NAME } from "./network/contenders.mjs";
import { startLab } from "./network/lab.mjs";
import { measureIdle, measureMany, measureOnce } from "./network/measure.mjs";
import { say } from "./setup.mjs";
import { shuffled, summary } from "./statistics.mjs";
import { table } from "./table.mjs";

const KNOWN = ["--quick", "--million", "--json"];
const SIZES = {
	quick: { rounds: 1, bytes: 300e6, connections: 4000, exchanges: 300, starts: 10 },
	whole: { rounds: 5, bytes: 1e9, connections: 10_000, exchanges: 1000, starts: 40 },
};

/** Each connection is two descriptors of the relay's. */
function mostIdle() {
	return Math.min(10_000, Math.floor((mostFiles() - 200) / 2));
}

async function measureRounds(list, size) {
	const samples = new Map(list.map(({ name }) => [name, []]));
	for (let round = 1; round <= size.rounds; round++) {
		say(`round ${round} of ${size.rounds}`);
		for (const contender of shuffled(list)) samples.get(contender.name).push(await measureOnce(contender, size));
	}
	const median = (each, key) => {
		const known = each.map((one) => one[key]).filter((value) => value !== undefined);
		return known.length === 0 ? Number.NaN : summary(known).median;
	};
	return [...samples].map(([name, each]) => ({
		name,
		...Object.fromEntries(Object.keys(each[0]).map((key) => [key, median(each, key)])),
	}));
}

async function measureIdleOf(list, count) {
	const rows = [];
	for (const contender of list) {
		say(`${count} idle connections: ${contender.name}`);
		try {
			rows.push({ name: contender.name, ...(await measureIdle(contender, count)) });
		} catch (error) {
			rows.push({ name: contender.name, failed: error.message });
		}
	}
	return rows;
}

function measureStart(rounds) {
	say("starts");
	const { stdout } = spawnSync(process.execPath, [join(checkout, "bench/network/start.mjs"), String(rounds)], {
		encoding: "utf8",
	});
	return JSON.parse(stdout);
}

function targets({ rows, million }) {
	const of = (name) => rows.find((row) => row.name === name);
	const [vmjail, slirp, loopback, direct] = [VMJAIL, SLIRP, LOOPBACK, DIRECT].map(of);
	const growth = million === undefined ? undefined : million.kibLate / million.kibHalf;
	return [
		["connections per second", vmjail.perSecond, ">=", 4000, ""],
		["the same by name", of(VMJAIL_NAME).perSecond, ">=", 4000, ""],
		["added to an exchange, median", (vmjail.answerUs - direct.answerUs) / 1000, "<=", 0.5, "ms"],
		["download / loopback", vmjail.down / loopback.down, ">=", 0.4, "×"],
		["upload / loopback", vmjail.up / loopback.up, ">=", 0.4, "×"],
		...(slirp === undefined
			? []
			: [
					["download / slirp4netns", vmjail.down / slirp.down, ">=", 1, "×"],
					["upload / slirp4netns", vmjail.up / slirp.up, ">=", 1, "×"],
				]),
		...(growth === undefined ? [] : [["memory, end / half of a million connections", growth, "<=", 1.1, "×"]]),
	].map(([name, value, sign, bound, unit]) => ({
		name,
		value,
		target: `${sign} ${bound} ${unit}`.trim(),
		met: sign === ">=" ? value >= bound : value <= bound,
	}));
}

const whole = (value) => (Number.isFinite(value) ? value.toFixed(0) : "");
const perMega = (value) => whole(value / 1e6);

function render({ rows, idle, idleCount, start, million, verdicts }) {
	const direct = rows.find(({ name }) => name === DIRECT);
	const lines = rows.map(({ name, down, up, perSecond, connectUs, answerUs, answerP90Us }) => [
		name,
		perMega(down),
		perMega(up),
		whole(perSecond),
		whole(connectUs),
		whole(answerUs),
		whole(answerP90Us),
		(perSecond / direct.perSecond).toFixed(2),
	]);
	const idleLines = idle.map(({ name, failed, seconds, alive, kib }) =>
		failed === undefined
			? [name, seconds.toFixed(2), String(alive), kib === undefined ? "" : (kib / 1024).toFixed(0)]
			: [name, "failed", "", ""],
	);
	return [
		table([["", "down MB/s", "up MB/s", "connects/s", "connect µs", "answer µs", "p90", "/ no sandbox"], ...lines]),
		`${idleCount} connections that stay\n`,
		table([["", "opened in s", "alive", "relay's RSS MiB"], ...idleLines]),
		`Start of a jail in a warm library, ms: ${start.without.median.toFixed(1)} without network rules, ${start.with.median.toFixed(1)} with.\n`,
		...(million === undefined
			? []
			: [
					`A million connections: ${whole(million.perSecond)} a second; RSS ${(million.kibEarly / 1024).toFixed(0)} MiB at a tenth, ${(million.kibHalf / 1024).toFixed(0)} at half, ${(million.kibLate / 1024).toFixed(0)} at the end, ${(million.kibMost / 1024).toFixed(0)} at most.\n`,
				]),
		table([
			["", "measured", "target", ""],
			...verdicts.map(({ name, value, target, met }) => [name, value.toFixed(2), target, met ? "met" : "missed"]),
		]),
	].join("\n");
}

async function main(args) {
	const unknown = args.filter((arg) => !KNOWN.includes(arg));
	if (unknown.length > 0) {
		process.stderr.write(`bench: unknown option ${unknown.join(" ")}; known: ${KNOWN.join(" ")}\n`);
		return 2;
	}
	const size = args.includes("--quick") ? SIZES.quick : SIZES.whole;
	spawnSync("sh", ["scripts/setup.sh"], { cwd: checkout, stdio: ["ignore", 2, 2] });
	const lab = await startLab();
	process.once("exit", lab.close);
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(130));
	const list = await contenders(lab);
	const rows = await measureRounds(list, size);
	const idleCount = mostIdle();
	const idle = await measureIdleOf(list, idleCount);
	const start = measureStart(size.starts);
	let million;
	if (args.includes("--million")) {
		say("a million connections");
		million = await measureMany(
			list.find(({ name }) => name === VMJAIL),
			1_000_000,
		);
	}
	const result = { rows, idle, idleCount, start, ...(million === undefined ? {} : { million }) };
	const verdicts = targets(result);
	process.stdout.write(
		args.includes("--json")
			? `${JSON.stringify({ ...result, targets: verdicts }, undefined, "\t")}\n`
			: `\n${render({ ...result, verdicts })}`,
	);
	return 0;
}

process.exitCode = await main(process.argv.slice(2));
process.exit();
