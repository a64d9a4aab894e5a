/** Start-up: how long /bin/true takes from the request to the moment when nothing of it is left. */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { checkout } from "./build.mjs";
import { peerCommands } from "./peers.mjs";
import { say } from "./setup.mjs";
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

/** A process of its own for each policy; see library.mjs. */
class Library {
	#process;
	#lines;

	constructor(preset) {
		const script = join(checkout, "bench/library.mjs");
		this.#process = spawn(process.execPath, [script, preset, ...PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
		this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
	}

	async sample(count) {
		this.#process.stdin.write(`${count}\n`);
		const { value, done } = await this.#lines.next();
		if (done) throw new Error("the library's process ended");
		return { wallMs: Number(value) };
	}

	async close() {
		this.#process.stdin.end();
		if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, "exit");
	}
}

function libraryContenders(preset, minimal) {
	return [
		{ name: NAMES.library, warmUp: WARM, sample: () => preset.sample(1) },
		{ name: NAMES.inRow, warmUp: WARM / IN_ROW, sample: () => preset.sample(IN_ROW) },
		{ name: NAMES.minimal, warmUp: WARM, sample: () => minimal.sample(1) },
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
	const [preset, minimal] = [new Library("default"), new Library("-")];
	try {
		const { base, peers, commandLine } = commandContenders(context, timer, crunTimer);
		const floors = floorContenders(timer, context.groups);
		const all = [base, ...floors, ...libraryContenders(preset, minimal), ...peers, ...commandLine];
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
		await preset.close();
		await minimal.close();
		await timer.close();
		await crunTimer.close();
	}
}
