/**
 * `node bench/exec-guard.mjs [--quick] [--json]`: what the exec allow-list costs. The same two loops (500 times fork and exec of
 * /usr/bin/true; computing) in a jail with the list and in one without, in turns, so that both meet the same machine.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkout, say } from "./setup.mjs";
import { summary } from "./statistics.mjs";
import { table } from "./table.mjs";

const PROGRAM = "/usr/bin/true";
const STARTS = "500";
const LOOPS = ["500 × fork and exec", "computing"];
/** Ratios of least times that the guard is held to. */
const MOST = [1.15, 1.02];

function mustRun(command, args) {
	const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: checkout, encoding: "utf8" });
	if (error) throw error;
	if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr}`);
	return stdout;
}

function build() {
	mustRun("sh", ["scripts/setup.sh"]);
	mkdirSync(join(checkout, "build/bench"), { recursive: true });
	const forks = join(checkout, "build/bench/forks");
	mustRun("cc", ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", forks, "bench/forks.c"]);
	return forks;
}

/** Milliseconds of each loop. */
function measure(forks, list) {
	const flags = ["-q", "--ro", checkout, ...list.flatMap((file) => ["--exec", file])];
	return mustRun("./vmjail", [...flags, "--", forks, PROGRAM, STARTS])
		.trim()
		.split("\n")
		.map(Number);
}

const args = process.argv.slice(2);
const rounds = args.includes("--quick") ? 5 : 25;
const forks = build();
say(`${rounds} rounds of both loops, with the list and without`);
const off = [];
const on = [];
for (let round = 0; round < rounds; round++) {
	// Whoever is first in a round meets another machine than the second: by turns.
	const guarded = () => on.push(measure(forks, [forks, PROGRAM]));
	const open = () => off.push(measure(forks, []));
	for (const run of round % 2 === 0 ? [open, guarded] : [guarded, open]) run();
}
/** Neighbours only ever add time: the least sample is what a loop costs by itself. Beside it, the median of the rounds' ratios. */
const rows = LOOPS.map((name, i) => {
	const [without, withList] = [off, on].map((samples) => Math.min(...samples.map((sample) => sample[i])));
	const paired = summary(on.map((sample, round) => sample[i] / off[round][i])).median;
	return { name, without, with: withList, ratio: withList / without, paired, most: MOST[i] };
});
process.stdout.write(
	args.includes("--json")
		? `${JSON.stringify(rows, undefined, "\t")}\n`
		: table([
				["least ms", "without", "with", "ratio", "of rounds", "target", ""],
				...rows.map((row) => [
					row.name,
					...[row.without, row.with].map((value) => value.toFixed(1)),
					...[row.ratio, row.paired].map((value) => value.toFixed(3)),
					`≤ ${row.most}`,
					row.ratio <= row.most ? "met" : "missed",
				]),
			]),
);
