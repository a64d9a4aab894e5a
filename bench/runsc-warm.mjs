/**
 * `node bench/runsc-warm.mjs [--quick] [--json]`: /bin/true under gVisor in a sandbox of its own, in one that is used again,
 * by a fork and exec inside, and by the same in a bare `runsc run` of the same bundle, without any measure of vmjail's: what gVisor
 * itself takes; and a shell that starts many. In turns, so that all meet the same machine. For each build that scripts/get-runsc.sh fetched.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildVmjail, checkout, compile, mustRun } from "./build.mjs";
import { library, say } from "./setup.mjs";
import { summary } from "./statistics.mjs";
import { table } from "./table.mjs";

const PROGRAM = "/bin/true";
/** Milliseconds of one command in a warm sandbox, on a machine with nothing else to do. */
const TARGET_MS = 8;
const INSIDE = 10;

function build() {
	buildVmjail();
	mustRun("sh", ["scripts/get-runsc.sh"]);
	return compile("forks-static", ["forks.c"]);
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

const NAMES = {
	cold: "a sandbox of its own",
	warm: "in one that is used again",
	pinned: "the same with one processor (cpu.pin)",
	inside: "fork, exec and wait inside",
	bare: "the same in bare runsc run",
	pipeline: "a shell with 16 processes, used again",
};

/** What a start gains must not be lost by programs of many processes. */
const PIPELINE = "for i in 1 2 3 4 5; do echo $i | cat | cat >/dev/null; done; seq 100000 | sort -rn | tail -n 1";

const policyWith = (cpu) =>
	JSON.stringify({
		system: { runtime: "runsc", optional: ["memory", "swap", "cpu", "pids"], cpu },
		security: { file: { readablePaths: [checkout], tmpfs: [{ path: "/tmp", size: "16MiB" }] } },
	});
const POLICY = policyWith({});
/** gVisor then takes the machine for one with one processor, and does not spin on it. */
const PINNED = policyWith({ pin: "0" });

/** The bundle of the policy, with the program that forks in place of pid 1. */
function bundleOf(forks, folder) {
	const bundle = join(folder, "bundle");
	writeFileSync(join(folder, "policy.json"), POLICY);
	const command = ["-c", join(folder, "policy.json"), "--", forks, PROGRAM, String(INSIDE), "no-computing"];
	mustRun(join(checkout, "vmjail"), ["oci", "export", bundle, ...command]);
	return bundle;
}

/** Milliseconds of a fork, exec and wait in a sandbox that vmjail has no part in. */
function bare(runsc, folder, bundle) {
	const id = `bench-${process.pid}-${Math.random().toString(36).slice(2)}`;
	const flags = [`--root=${join(folder, "state")}`, "--network=none", "--ignore-cgroups"];
	return Number(mustRun(runsc, [...flags, "run", `--bundle=${bundle}`, id]).split("\n")[0]) / INSIDE;
}

/** Samples in milliseconds. A warm command's are those of one after the other, the sandbox renewed in between. */
async function measure({ Jail, parsePolicy, run }, runsc, forks, folder) {
	const policy = parsePolicy(POLICY);
	const bundle = bundleOf(forks, folder);
	const samples = { cold: [], warm: [], pinned: [], inside: [], bare: [], pipeline: [] };
	const jail = await Jail.open(policy, { runsc });
	const pinned = await Jail.open(parsePolicy(PINNED), { runsc });
	for (let round = 0; round < rounds; round++) {
		samples.cold.push(await timed(() => run([PROGRAM], { policy, runsc, ...QUIET })));
		for (const [name, one] of [
			["warm", jail],
			["pinned", pinned],
		]) {
			for (let i = 0; i < INSIDE; i++) samples[name].push(await timed(() => one.exec([PROGRAM], QUIET)));
		}
		const { stdout } = await jail.exec([forks, PROGRAM, String(INSIDE), "no-computing"], {
			...QUIET,
			stdout: "collect",
		});
		samples.inside.push(Number(stdout.toString().split("\n")[0]) / INSIDE);
		samples.bare.push(bare(runsc, folder, bundle));
		samples.pipeline.push(await timed(() => jail.exec(["/bin/sh", "-c", PIPELINE], QUIET)));
	}
	await jail.close();
	await pinned.close();
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
	const folder = mkdtempSync(join(tmpdir(), "vmjail-bench-"));
	try {
		const samples = await measure(vmjail, runsc, forks, folder);
		const least = (name) => Math.min(...samples[name]);
		const median = (name) => summary(samples[name]).median;
		const ratios = (of) => ({
			coldToWarm: of("cold") / of("warm"),
			warmToInside: of("warm") / of("inside"),
			warmToBare: of("warm") / of("bare"),
		});
		const rows = Object.keys(NAMES).map((name) => ({ name, least: least(name), ...summary(samples[name]) }));
		results.push({ runsc, rows, least: ratios(least), median: ratios(median) });
	} finally {
		// Current builds leave an empty network namespace mounted.
		spawnSync("umount", [join(folder, "state/null-netns")], { stdio: "ignore" });
		rmSync(folder, { recursive: true, force: true });
	}
}

if (args.includes("--json")) process.stdout.write(`${JSON.stringify(results, undefined, "\t")}\n`);
else
	for (const { runsc, rows, ...all } of results) {
		const shown = rows.map(({ name, least, median, p90 }) => [
			NAMES[name],
			...[least, median, p90].map((value) => value.toFixed(1)),
			name === "warm" || name === "pinned" ? `median ≤ ${TARGET_MS} ms: ${median <= TARGET_MS ? "met" : "missed"}` : "",
		]);
		process.stdout.write(`${runsc}\n${table([["/bin/true, ms", "least", "median", "p90", ""], ...shown])}`);
		for (const of of ["least", "median"]) {
			const { coldToWarm, warmToInside, warmToBare } = all[of];
			process.stdout.write(`${of}: warm is ${coldToWarm.toFixed(1)} times faster than cold, and takes `);
			process.stdout.write(
				`${warmToInside.toFixed(2)} times a fork and exec inside, ${warmToBare.toFixed(2)} times a bare one\n`,
			);
		}
		process.stdout.write("\n");
	}
process.exit(0);
