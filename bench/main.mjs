/**
 * `npm run bench -- [--quick] [--json] [--runsc]`: start-up time and memory of vmjail beside its peers, all in one run.
 *
 * Machines differ and are busy: the ratios are what counts, the milliseconds only say how much one is here.
 */

import { readFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { IN_JAIL, measureMemory } from "./memory.mjs";
import { benchRunsc } from "./runsc.mjs";
import { setUp } from "./setup.mjs";
import { measureStartup, NAMES } from "./startup.mjs";
import { table } from "./table.mjs";

const KNOWN = ["--quick", "--json", "--runsc"];

function host() {
	const cpu = /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1];
	return {
		kernel: release(),
		node: process.versions.node,
		cpus: availableParallelism(),
		...(cpu === undefined ? {} : { cpu }),
	};
}

/** What start-up is held to. Absent figures give no verdict. */
function targets(rows, memory) {
	const median = (name) => rows.find((row) => row.name === name)?.median;
	const inJail = memory.find(({ name }) => name === IN_JAIL);
	const toFloor = (name) => ({ value: median(name) / median(NAMES.floor), most: 2, unit: "×" });
	return [
		{ name: "library, default policy / floor", ...toFloor(NAMES.library) },
		{ name: "library, one after the other / floor", ...toFloor(NAMES.inRow) },
		{
			name: "./vmjail -- true beyond node -e 0",
			value: median(NAMES.launcher) - median(NAMES.node),
			most: 30,
			unit: "ms",
		},
		{ name: "executor in the jail, PSS", value: (inJail?.pss ?? Number.NaN) / 1024, most: 1, unit: "MiB" },
		{ name: "executor in the jail, RSS", value: (inJail?.rss ?? Number.NaN) / 1024, most: 1, unit: "MiB" },
	].filter(({ value }) => !Number.isNaN(value));
}

function render({ host, startup, memory, targets }) {
	const base = startup.rows.find(({ name }) => name === NAMES.base).median;
	const floor = startup.rows.find(({ name }) => name === NAMES.floor)?.median;
	const ratio = (value, to) => (to === undefined ? "" : (value / to).toFixed(2));
	const times = startup.rows.map(({ name, median, p90, samples }) => [
		name,
		ratio(median, base),
		ratio(p90, base),
		ratio(median, floor),
		median.toFixed(2),
		p90.toFixed(2),
		String(samples),
	]);
	const sizes = memory.map(({ name, processes, pss, rss, peak }) => [name, ...[processes, pss, rss, peak].map(String)]);
	const verdicts = targets.map(({ name, value, most, unit }) => [
		name,
		`${value.toFixed(2)} ${unit}`,
		`≤ ${most} ${unit}`,
		value <= most ? "met" : "missed",
	]);
	return [
		`Linux ${host.kernel}, Node ${host.node}, ${host.cpus} × ${host.cpu ?? "?"}\n`,
		`Start-up of /bin/true: ratios to "${NAMES.base}" (median, p90) and to the floor, then ms.\n`,
		table([["", "ratio", "p90", "/ floor", "median ms", "p90 ms", "n"], ...times]),
		`Memory in KiB while ${"`sleep`"} runs, without ${"`sleep`"} itself; peak is the sum of each process's own greatest RSS.\n`,
		table([["", "processes", "PSS", "RSS", "peak RSS"], ...sizes]),
		"Targets\n",
		table([["", "measured", "target", ""], ...verdicts]),
	].join("\n");
}

async function main(args) {
	const unknown = args.filter((arg) => !KNOWN.includes(arg));
	if (unknown.length > 0) {
		process.stderr.write(`bench: unknown option ${unknown.join(" ")}; known: ${KNOWN.join(" ")}\n`);
		return 2;
	}
	if (args.includes("--runsc")) return benchRunsc(args);
	const context = setUp();
	process.once("exit", context.close);
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(130));
	const startup = await measureStartup(context, args.includes("--quick") ? 20 : 150);
	const memory = await measureMemory(context);
	const result = { host: host(), startup, memory, targets: targets(startup.rows, memory) };
	process.stdout.write(
		args.includes("--json") ? `${JSON.stringify(result, undefined, "\t")}\n` : `\n${render(result)}`,
	);
	return 0;
}

process.exitCode = await main(process.argv.slice(2));
