/**
 * `node bench/exec-guard.mjs [--quick] [--json]`: what the exec allow-list costs. The same two loops (500 times fork and exec of
 * /usr/bin/true; computing) in a jail with the list and in one without, in turns, so that both meet the same machine. Besides
 * the time that passes, the processor time of the whole jail, pid 1 included: neighbours do not lengthen that.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildVmjail, checkout, compile, mustRun } from "./build.mjs";
import { say } from "./setup.mjs";
import { summary } from "./statistics.mjs";
import { table } from "./table.mjs";

const PROGRAM = "/usr/bin/true";
const STARTS = "500";
const LOOPS = ["500 × fork and exec", "computing"];
/** Ratios of least times that the guard is held to. */
const MOST = [1.15, 1.02];

const LOOP_ARGS = [[STARTS, "no-computing"], ["0"]];

/** Milliseconds that a loop takes, and of processor time that its whole jail does. */
function measure(forks, list, loop, result) {
	const flags = ["-q", "--ro", checkout, "--result", result, ...list.flatMap((file) => ["--exec", file])];
	const lines = mustRun("./vmjail", [...flags, "--", forks, PROGRAM, ...LOOP_ARGS[loop]])
		.trim()
		.split("\n");
	const { cpuUserMs, cpuSystemMs } = JSON.parse(readFileSync(result, "utf8"));
	return { wall: Number(lines[loop]), cpu: cpuUserMs + cpuSystemMs };
}

const args = process.argv.slice(2);
const rounds = args.includes("--quick") ? 5 : 25;
buildVmjail();
const forks = compile("forks", ["forks.c"], []);
const folder = mkdtempSync(join(tmpdir(), "vmjail-bench-"));
say(`${rounds} rounds of both loops, with the list and without`);
const samples = LOOPS.map(() => ({ off: [], on: [] }));
try {
	for (let round = 0; round < rounds; round++) {
		for (const [loop, { off, on }] of samples.entries()) {
			const run = (list, into) => into.push(measure(forks, list, loop, join(folder, "result.json")));
			// Whoever is first in a round meets another machine than the second: by turns.
			const both = [() => run([], off), () => run([forks, PROGRAM], on)];
			for (const one of round % 2 === 0 ? both : both.toReversed()) one();
		}
	}
} finally {
	rmSync(folder, { recursive: true, force: true });
}
/** Neighbours only ever add time: the least sample is what a loop costs by itself. Beside it, medians of the rounds' ratios. */
const rows = LOOPS.map((name, loop) => {
	const { off, on } = samples[loop];
	const [without, withList] = [off, on].map((all) => Math.min(...all.map(({ wall }) => wall)));
	const paired = (what) => summary(on.map((sample, round) => sample[what] / off[round][what])).median;
	const [wall, cpu] = [paired("wall"), paired("cpu")];
	return { name, without, with: withList, ratio: withList / without, paired: wall, cpu, most: MOST[loop] };
});
process.stdout.write(
	args.includes("--json")
		? `${JSON.stringify(rows, undefined, "\t")}\n`
		: table([
				["least ms", "without", "with", "ratio", "of rounds", "of processor time", "target", ""],
				...rows.map((row) => [
					row.name,
					...[row.without, row.with].map((value) => value.toFixed(1)),
					...[row.ratio, row.paired, row.cpu].map((value) => value.toFixed(3)),
					`≤ ${row.most}`,
					row.ratio <= row.most ? "met" : "missed",
				]),
			]),
);
