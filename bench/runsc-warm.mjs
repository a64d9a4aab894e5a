/**
 * `node bench/runsc-warm.mjs [--quick] [--json]`: /bin/true under gVisor in a sandbox of its own, in one that is used again,
 * and by a fork and exec inside; in turns, so that all meet the same machine. For each build that scripts/get-runsc.sh fetched.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkout, library, say } from "./setup.mjs";
import { summary } from "./statistics.mjs";
import { table } from "./table.mjs";

const PROGRAM = "/bin/true";
/** Milliseconds of one command in a warm sandbox, on a machine with nothing else to do. */
const TARGET_MS = 8;
const INSIDE = 10;

function build() {
	const mustRun = (command, args) => {
		const { status, stderr } = spawnSync(command, args, { cwd: checkout, encoding: "utf8" });
		if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr}`);
	};
	mustRun("sh", ["scripts/setup.sh"]);
	mustRun("sh", ["scripts/get-runsc.sh"]);
	mkdirSync(join(checkout, "build/bench"), { recursive: true });
	const forks = join(checkout, "build/bench/forks-static");
	mustRun("cc", ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-static", "-Wall", "-Wextra", "-o", forks, "bench/forks.c"]);
	return forks;
}

const args = process.argv.slice(2);
const rounds = args.includes("--quick") ? 3 : 15;
const QUIET = { stdin: "ignore", stdout: "ignore", stderr: "ignore" };

async function timed(action) {
	const begin = performance.now();
	const outcome = await action();
	if (outcome.kind !== "exited" || outcome.exitCode !== 0) throw new Error(JSON.stringify(outcome));
	return performance.now() - begin;
}

/** Samples in milliseconds. A warm command's are those of one after the other, the sandbox renewed in between. */
async function measure({ Jail, parsePolicy, run }, runsc, forks) {
	const policy = parsePolicy(
		JSON.stringify({
			system: { runtime: "runsc", optional: ["memory", "swap", "cpu", "pids"] },
			security: { file: { readablePaths: [checkout], tmpfs: [{ path: "/tmp", size: "16MiB" }] } },
		}),
	);
	const samples = { cold: [], warm: [], inside: [] };
	const jail = await Jail.open(policy, { runsc });
	for (let round = 0; round < rounds; round++) {
		samples.cold.push(await timed(() => run([PROGRAM], { policy, runsc, ...QUIET })));
		for (let i = 0; i < INSIDE; i++) samples.warm.push(await timed(() => jail.exec([PROGRAM], QUIET)));
		const { stdout } = await jail.exec([forks, PROGRAM, String(INSIDE), "no-computing"], {
			...QUIET,
			stdout: "collect",
		});
		samples.inside.push(Number(stdout.toString().split("\n")[0]) / INSIDE);
	}
	await jail.close();
	return samples;
}

const forks = build();
const vmjail = await library();
const builds = ["runsc", "runsc-head"]
	.map((name) => join(checkout, "build/peers", name, "runsc"))
	.filter((path) => existsSync(path));
const results = [];
for (const runsc of builds) {
	say(`${rounds} rounds with ${runsc}`);
	const samples = await measure(vmjail, runsc, forks);
	const least = (name) => Math.min(...samples[name]);
	const rows = ["cold", "warm", "inside"].map((name) => ({ name, least: least(name), ...summary(samples[name]) }));
	results.push({
		runsc,
		rows,
		coldToWarm: least("cold") / least("warm"),
		warmToInside: least("warm") / least("inside"),
	});
}

const NAMES = {
	cold: "a sandbox of its own",
	warm: "in one that is used again",
	inside: "fork, exec and wait inside",
};
if (args.includes("--json")) process.stdout.write(`${JSON.stringify(results, undefined, "\t")}\n`);
else
	for (const { runsc, rows, coldToWarm, warmToInside } of results) {
		const shown = rows.map(({ name, least, median, p90 }) => [
			NAMES[name],
			...[least, median, p90].map((value) => value.toFixed(1)),
			name === "warm" ? (least <= TARGET_MS ? `≤ ${TARGET_MS} ms: met` : `≤ ${TARGET_MS} ms: missed`) : "",
		]);
		process.stdout.write(`${runsc}\n${table([["/bin/true, ms", "least", "median", "p90", ""], ...shown])}`);
		process.stdout.write(`least: warm is ${coldToWarm.toFixed(1)} times faster than cold, `);
		process.stdout.write(`and takes ${warmToInside.toFixed(1)} times a fork and exec inside\n\n`);
	}
process.exit(0);
