/** Start-up: how long /bin/true takes from the request to the moment when nothing of it is left. */

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { checkout } from "./build.mjs";
import { peerCommands } from "./peers.mjs";
import { library, say } from "./setup.mjs";
import { shuffled, summary } from "./statistics.mjs";
import { Timer } from "./timer.mjs";

const PROGRAM = ["/bin/true"];

export const NAMES = {
	base: "fork + exec",
	floor: "floor: namespaces, mounts, exec",
	cgroupFloor: "floor, with cgroups",
	library: "vmjail library, warm process, default",
	minimal: "vmjail library, warm process, policy {}",
	inRow: "the same, one run right after the other",
	node: "node -e 0",
	cli: "node dist/cli.cjs -- true",
	launcher: "./vmjail -- true",
};

/** As many jails as V8 takes to compile what it will keep: a warm process is one that has served for a while. */
const WARM = 100;

/**
 * Before each sample, in ms: what the one before has left to be done (vmjail's next jail; the kernel's removal of network
 * namespaces, anybody's) is not to be in the way of the next, whoever that is. How vmjail does without that pause is a
 * contender of its own.
 */
const SETTLE_MS = 10;

/** Runs in a row for one sample of that. */
const IN_ROW = 5;

/** What is run unmeasured of the others: files read from disk, addresses resolved. */
const COLD = 3;

/** In this process. */
async function libraryContenders() {
	const { loadPolicy, parsePolicy, run } = await library();
	const context = { cwd: process.cwd(), ...(process.env.HOME === undefined ? {} : { home: process.env.HOME }) };
	const streams = { stdin: "ignore", stdout: "ignore", stderr: "ignore" };
	const timed =
		(policy, count = 1) =>
		async () => {
			const begin = performance.now();
			for (let i = 0; i < count; i++) {
				const outcome = await run(PROGRAM, { policy, ...streams });
				if (outcome.kind !== "exited" || outcome.exitCode !== 0) throw new Error(JSON.stringify(outcome));
			}
			return { wallMs: (performance.now() - begin) / count };
		};
	const preset = loadPolicy({ preset: "default", ...context });
	return [
		{ name: NAMES.library, warmUp: WARM, sample: timed(preset) },
		{ name: NAMES.inRow, warmUp: WARM, sample: timed(preset, IN_ROW) },
		{ name: NAMES.minimal, warmUp: WARM, sample: timed(parsePolicy("{}", { source: "minimal", ...context })) },
	];
}

function floorContenders(timer, parents) {
	const groups = () =>
		parents.map((parent) => join(parent, `vmjail-bench-${process.pid}-${randomBytes(4).toString("hex")}`));
	const floor = (folders) => timer.measure(["floor", folders.length, ...folders, ...PROGRAM]);
	return [
		{ name: NAMES.floor, sample: () => floor([]) },
		...(parents.length === 0 ? [] : [{ name: NAMES.cgroupFloor, sample: () => floor(groups()) }]),
	];
}

function commandContenders(context, timer, crunTimer) {
	const spawn = (name, argv, by = timer) => ({ name, sample: () => by.measure(["spawn", ...argv]) });
	const peers = peerCommands(context, context.bundles.true, PROGRAM);
	return {
		base: spawn(NAMES.base, PROGRAM),
		peers: peers.map(({ name, tool, argv }) => spawn(name, argv, tool === "crun" ? crunTimer : timer)),
		commandLine: [
			spawn(NAMES.node, [process.execPath, "-e", "0"]),
			spawn(NAMES.cli, [process.execPath, join(checkout, "dist/cli.cjs"), "--", ...PROGRAM]),
			spawn(NAMES.launcher, [join(checkout, "vmjail"), "--", ...PROGRAM]),
		],
	};
}

/** Runs each unmeasured; those that do not run here are named with their reason and left out. */
async function warmUp(contenders) {
	const able = [];
	const unable = [];
	for (const contender of contenders) {
		try {
			for (let i = 0; i < (contender.warmUp ?? COLD); i++) await contender.sample();
			able.push(contender);
		} catch (error) {
			const [reason] = String(error.message).split("\n");
			say(`${contender.name} does not run here: ${reason}`);
			unable.push({ name: contender.name, reason });
		}
	}
	return { able, unable };
}

/**
 * Measures all contenders round by round, in a new order each round, so that what else the machine does meets all.
 *
 * @returns {Promise<{rows: {name: string, samples: number, median: number, p90: number}[], unable: {name: string,
 *   reason: string}[]}>} times in ms
 */
export async function measureStartup(context, rounds) {
	const timer = new Timer(context.folder, context.timer);
	const crunTimer = new Timer(context.folder, context.timer, context.crunWrapper);
	try {
		const { base, peers, commandLine } = commandContenders(context, timer, crunTimer);
		const floors = floorContenders(timer, context.groups);
		const all = [base, ...floors, ...(await libraryContenders()), ...peers, ...commandLine];
		const { able, unable } = await warmUp(all);
		const samples = new Map(able.map((contender) => [contender, []]));
		say(`${rounds} rounds of ${able.length} contenders`);
		for (let round = 0; round < rounds; round++) {
			for (const contender of shuffled(able)) {
				await setTimeout(SETTLE_MS);
				const { wallMs } = await contender.sample();
				samples.get(contender).push(wallMs);
			}
		}
		return { rows: able.map((contender) => ({ name: contender.name, ...summary(samples.get(contender)) })), unable };
	} finally {
		await timer.close();
		await crunTimer.close();
	}
}
