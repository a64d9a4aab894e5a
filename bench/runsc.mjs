/**
 * `node bench/runsc.mjs [--quick] [--json]`, or `npm run bench -- --runsc`: a cold start of gVisor by vmjail beside `runsc run` by
 * hand with the same bundle, in turns. What is measured is vmjail's own part; gVisor's is in both.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildVmjail, checkout, compile, mustRun } from "./build.mjs";
import { library, say, TIMER } from "./setup.mjs";
import { shuffled, summary } from "./statistics.mjs";
import { table } from "./table.mjs";
import { Timer } from "./timer.mjs";

const PROGRAM = "/bin/true";
const POLICY = JSON.stringify({ extends: "default", system: { runtime: "runsc", rollback: "" } });
/** The library beside the bare command, at the median of the rounds' ratios. */
const MOST = 1.1;
/** After each sample: its remains (the kernel's removal of namespaces, gVisor's last processes) are nobody else's affair. */
const PAUSE_MS = 20;
/** Runs of the library before anything counts: its process is a warm one. */
const WARM = 30;

const NAMES = {
	bare: "runsc run, the bundle of vmjail's policy",
	hardened: "the same, with the flags that vmjail sets",
	filtered: "the same, with the policy's filter compiled by gVisor",
	library: "vmjail library, warm process",
	cli: "./vmjail",
};

/** VMJAIL_RUNSC, else what scripts/get-runsc.sh has fetched. */
function builds() {
	const named = process.env.VMJAIL_RUNSC;
	const fetched = ["runsc", "runsc-head"].map((name) => join(checkout, "build/peers", name, "runsc"));
	return named ? [named] : fetched.filter((path) => existsSync(path));
}

/** A bundle's own folder and state for each run: runsc remembers its containers there. */
function bareCommand(runsc, folder, bundle, flags) {
	const id = `bench-${process.pid}-${Math.random().toString(36).slice(2)}`;
	return [runsc, `--root=${join(folder, "state")}`, ...flags, "run", `--bundle=${bundle}`, id];
}

/** Without these it would make control groups, which waits 100 ms for their end, and a network, which the policy has not. */
const LEAST = ["--network=none", "--ignore-cgroups"];
/** What docs/runsc.md says why of. */
const MEASURES = [
	...["--directfs=false", "--overlay2=none", "--file-access=shared"],
	...["--host-settings=ignore", "--gofer-network-namespace=new"],
];

function measuresOf(runsc) {
	const known = new Set([...mustRun(runsc, ["flags"]).matchAll(/^ {2}-(\S+)/gm)].map((match) => match[1]));
	return MEASURES.filter((flag) => known.has(flag.slice(2).split("=")[0]));
}

/**
 * The profile in gVisor's words: as people write it, it is too long for builds of 2024. vmjail has it translated where a program
 * keeps a capability.
 */
function translatedSeccomp(folder, runsc) {
	const policy = join(folder, "capable.json");
	const system = { runtime: "runsc", capabilities: ["CAP_CHOWN"] };
	writeFileSync(policy, JSON.stringify({ extends: "default", system }));
	const flags = ["plan", "--json", "--filter", "--runsc", runsc, "-c", policy, "--", PROGRAM];
	return JSON.parse(mustRun(join(checkout, "vmjail"), flags)).config.linux.seccomp;
}

/** The same bundle with that profile. */
function withSeccomp(bundle, seccomp) {
	const copy = mkdtempSync(`${bundle}-`);
	const spec = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8"));
	const root = { ...spec.root, path: join(bundle, "rootfs") };
	writeFileSync(join(copy, "config.json"), JSON.stringify({ ...spec, root, linux: { ...spec.linux, seccomp } }));
	return copy;
}

async function contenders(timer, folder, runsc) {
	const bundle = join(folder, "bundle");
	if (!existsSync(bundle)) {
		const flags = ["oci", "export", bundle, "--config", join(folder, "policy.json"), "--", PROGRAM];
		mustRun(join(checkout, "vmjail"), flags);
	}
	const { loadPolicy, run } = await library();
	const policy = loadPolicy({ text: POLICY, source: "policy.json", cwd: checkout });
	const spawn = (command) => async () => (await timer.measure(["spawn", ...command()])).wallMs;
	const cli = [join(checkout, "vmjail"), "-q", "--runsc", runsc, "-c", join(folder, "policy.json")];
	const filtered = withSeccomp(bundle, translatedSeccomp(folder, runsc));
	const measures = [...LEAST, ...measuresOf(runsc)];
	return {
		[NAMES.bare]: spawn(() => bareCommand(runsc, folder, bundle, LEAST)),
		[NAMES.hardened]: spawn(() => bareCommand(runsc, folder, bundle, measures)),
		[NAMES.filtered]: spawn(() => bareCommand(runsc, folder, filtered, [...measures, "--oci-seccomp"])),
		[NAMES.library]: async () => {
			const begin = performance.now();
			const outcome = await run([PROGRAM], { policy, runsc, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
			const wallMs = performance.now() - begin;
			if (outcome.exitCode !== 0 || outcome.runtime !== "runsc") throw new Error(JSON.stringify(outcome));
			return wallMs;
		},
		[NAMES.cli]: spawn(() => [...cli, "--", PROGRAM]),
	};
}

async function measureBuild(timer, folder, runsc, rounds) {
	const all = await contenders(timer, folder, runsc);
	const names = Object.keys(all);
	for (let i = 0; i < 3; i++) for (const name of names) await all[name]();
	for (let i = 0; i < WARM; i++) await all[NAMES.library]();
	const samples = Object.fromEntries(names.map((name) => [name, []]));
	for (let round = 0; round < rounds; round++) {
		for (const name of shuffled(names)) {
			samples[name].push(await all[name]());
			await sleep(PAUSE_MS);
		}
	}
	const rows = names.map((name) => {
		const to = (other) => summary(samples[name].map((ms, round) => ms / samples[other][round])).median;
		const ratios = { ratio: to(NAMES.bare), own: to(NAMES.hardened), whole: to(NAMES.filtered) };
		return { name, least: Math.min(...samples[name]), ...summary(samples[name]), ...ratios };
	});
	const version = /^runsc version (\S+)/m.exec(mustRun(runsc, ["--version"]))?.[1];
	return { runsc: `${runsc.replace(`${checkout}/`, "")}, ${version}`, rows };
}

/** @returns {Promise<{runsc: string, rows: {name: string, least: number, median: number, p90: number, ratio: number}[]}[]>} */
async function measure(rounds) {
	buildVmjail();
	const binary = compile("timer", TIMER);
	const folder = mkdtempSync(join(tmpdir(), "vmjail-bench-"));
	writeFileSync(join(folder, "policy.json"), POLICY);
	const timer = new Timer(folder, binary);
	try {
		const results = [];
		for (const runsc of builds()) {
			say(`${rounds} rounds with ${runsc}`);
			results.push(await measureBuild(timer, folder, runsc, rounds));
		}
		return results;
	} finally {
		await timer.close();
		// Current builds leave an empty network namespace mounted there.
		spawnSync("umount", [join(folder, "state/null-netns")], { stdio: "ignore" });
		rmSync(folder, { recursive: true, force: true });
	}
}

function render({ runsc, rows }) {
	const library = rows.find(({ name }) => name === NAMES.library);
	const lines = rows.map((row) => [
		row.name,
		...[row.ratio, row.own, row.whole].map((ratio) => ratio.toFixed(3)),
		...[row.least, row.median, row.p90].map((ms) => ms.toFixed(1)),
	]);
	const verdict = `${library.ratio.toFixed(3)}, target ≤ ${MOST}: ${library.ratio <= MOST ? "met" : "missed"}`;
	const heads = ["", "to bare", "to flags", "to filter", "least ms", "median ms", "p90 ms"];
	return `${runsc}\n\n${table([heads, ...lines])}\nThe library beside bare runsc: ${verdict}.\n`;
}

/** Prints what was measured. Returns the exit status. */
export async function benchRunsc(args) {
	if (builds().length === 0) {
		say("no runsc: sh scripts/get-runsc.sh, or name one with VMJAIL_RUNSC");
		return 1;
	}
	const results = await measure(args.includes("--quick") ? 8 : 40);
	process.stdout.write(
		args.includes("--json") ? `${JSON.stringify(results, undefined, "\t")}\n` : results.map(render).join("\n"),
	);
	return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await benchRunsc(process.argv.slice(2));
