/** Memory: what the processes around a jail hold while its program sleeps. The program itself does not count. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checkout } from "./build.mjs";
import { peerCommands } from "./peers.mjs";
import { say } from "./setup.mjs";

const PROGRAM = "sleep";
const EXECUTOR = "vmjail-executor";

/** All processes: `{pid, parent, name}`; proc_pid_stat(5). */
function processes() {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.flatMap((name) => {
			try {
				const stat = readFileSync(`/proc/${name}/stat`, "utf8");
				const end = stat.lastIndexOf(")");
				return [
					{
						pid: Number(name),
						parent: Number(stat.slice(end + 4).split(" ")[0]),
						name: stat.slice(stat.indexOf("(") + 1, end),
					},
				];
			} catch {
				return []; // gone meanwhile
			}
		});
}

function treeOf(root) {
	const all = processes();
	const tree = all.filter(({ pid }) => pid === root);
	for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid));
	return tree;
}

const kilobytes = (text, field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN);

/** Proportional and resident set size now, and the greatest resident set size so far, in KiB. */
function memoryOf({ pid, name }) {
	const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return { name, pss: kilobytes(rollup, "Pss"), rss: kilobytes(rollup, "Rss"), peak: kilobytes(status, "VmHWM") };
}

/** The processes around a sleeping program; undefined where the program does not come up. */
async function aroundProgram(root) {
	for (let tries = 0; tries < 150; tries++) {
		const tree = treeOf(root);
		if (tree.some(({ name }) => name === PROGRAM)) {
			await sleep(100); // whoever started it goes to sleep too
			return treeOf(root)
				.filter(({ name }) => name !== PROGRAM)
				.map(memoryOf);
		}
		await sleep(10);
	}
	return undefined;
}

function sum(name, list) {
	const total = (key) => list.reduce((all, one) => all + one[key], 0);
	return { name, processes: list.length, pss: total("pss"), rss: total("rss"), peak: total("peak") };
}

/** Starts it, looks, and waits for its own end: nothing has to be killed or cleaned up. */
async function look(argv) {
	const [command, ...args] = argv;
	const child = spawn(command, args, { stdio: "ignore" });
	const ended = once(child, "exit");
	try {
		return await aroundProgram(child.pid);
	} finally {
		await ended;
	}
}

/**
 * Sizes in KiB, one row for vmjail's executor in the jail (its pid 1), then whole process trees.
 *
 * @returns {Promise<{name: string, processes: number, pss: number, rss: number, peak: number}[]>}
 */
export async function measureMemory(context) {
	const program = [`/bin/${PROGRAM}`, String(context.sleepSeconds)];
	const vmjail = [process.execPath, join(checkout, "dist/cli.cjs"), "--", ...program];
	const peers = peerCommands(context, context.bundles.sleep, program).filter(({ tool }) => tool !== "unshare");
	const wrapped = ({ tool, argv }) =>
		tool === "crun" && context.crunWrapper.length > 0 ? inWrapper(context, argv) : argv;
	const rows = [];
	say(`looking at the memory of ${peers.length + 1} jails, ${context.sleepSeconds} s each`);
	for (const { name, argv } of [
		{ name: "vmjail", argv: vmjail },
		...peers.map((peer) => ({ ...peer, argv: wrapped(peer) })),
	]) {
		const around = await look(argv);
		if (around === undefined) {
			say(`${name}: the program did not come up; no figure for its memory`);
			continue;
		}
		if (name === "vmjail") rows.push(...vmjailParts(around));
		rows.push(sum(`${name}, all processes`, around));
	}
	return rows;
}

/** The wrapper ends in `exec "$0"`; here with arguments. */
function inWrapper({ crunWrapper }, argv) {
	return [...crunWrapper.slice(0, -1), `${crunWrapper.at(-1)} "$@"`, ...argv];
}

export const IN_JAIL = "vmjail's executor in the jail (pid 1)";

/** The zygote comes before the pid 1 that it made. */
function vmjailParts(around) {
	const [zygote, pid1] = around.filter(({ name }) => name === EXECUTOR);
	return [
		...(pid1 === undefined ? [] : [sum(IN_JAIL, [pid1])]),
		...(zygote === undefined ? [] : [sum("vmjail's executor outside (zygote)", [zygote])]),
	];
}
