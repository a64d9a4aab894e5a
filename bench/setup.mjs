/** Before measuring: builds, finds the peers, lays out their bundles; and what takes all that away again. */

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { buildVmjail, checkout, compile } from "./build.mjs";

/** The sources of the program that times starts. */
export const TIMER = ["timer.c", "floor.c"];

export function say(text) {
	process.stderr.write(`bench: ${text}\n`);
}

/** Where the shell would find a program. */
export function which(name) {
	return process.env.PATH.split(delimiter)
		.map((folder) => join(folder, name))
		.find((path) => {
			try {
				accessSync(path, constants.X_OK);
				return true;
			} catch {
				return false;
			}
		});
}

/** vmjail itself, and with root's rights the peers' Debian packages. */
function build() {
	say("building vmjail, and looking for bwrap, crun, runc and firejail (scripts/setup.sh --for-tests)");
	buildVmjail("--for-tests");
	say("compiling bench/*.c into build/bench");
	return compile("timer", TIMER);
}

/** Mounted cgroup2 beside cgroup v1: old crun refuses such hosts, so its timer gets a mount namespace without it. */
function crunWrapper() {
	const types = new Map(
		readFileSync("/proc/self/mountinfo", "utf8")
			.split("\n")
			.filter(Boolean)
			.map((line) => line.split(" "))
			.map((fields) => [fields[4], fields[fields.indexOf("-") + 1]]),
	);
	const v2 = [...types].filter(([, type]) => type === "cgroup2").map(([path]) => path);
	if (![...types.values()].includes("cgroup") || process.geteuid() !== 0) return [];
	return ["unshare", "-m", "sh", "-c", `${v2.map((path) => `umount '${path}'`).join("; ")}; exec "$0"`];
}

/** The bundle of vmjail's default policy for a command. */
function exportBundle(folder, command) {
	const args = [join(checkout, "dist/cli.cjs"), "oci", "export", folder, "--", ...command];
	const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: checkout });
	if (status !== 0) throw new Error(`vmjail oci export failed: ${stderr}`);
	return folder;
}

/** The groups that vmjail's own plan makes here, so that the floor makes as many in the same places. */
function groupsOfPlan() {
	const args = [join(checkout, "dist/cli.cjs"), "plan", "--", "/bin/true"];
	const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: checkout });
	return [...stdout.matchAll(/# make the group (.*)\/vmjail-[^/\n]*$/gm)].map(([, parent]) => parent);
}

/**
 * Builds everything and returns what the measurements need.
 *
 * @returns {{timer: string, crunWrapper: string[], folder: string, bundles: {true: string, sleep: string},
 *   groups: string[], tools: Record<string, string | undefined>, sleepSeconds: number, close: () => void}}
 */
export function setUp() {
	const timer = build();
	const folder = mkdtempSync(join(tmpdir(), "vmjail-bench-"));
	const close = () => rmSync(folder, { recursive: true, force: true });
	try {
		const sleepSeconds = 2;
		const names = ["bwrap", "crun", "runc", "firejail", "unshare"];
		const tools = Object.fromEntries(names.map((name) => [name, which(name)]));
		for (const name of names) if (tools[name] === undefined) say(`${name} is not installed: left out`);
		return {
			timer,
			folder,
			tools,
			sleepSeconds,
			crunWrapper: tools.crun === undefined ? [] : crunWrapper(),
			bundles: {
				true: exportBundle(join(folder, "true"), ["/bin/true"]),
				sleep: exportBundle(join(folder, "sleep"), ["/bin/sleep", String(sleepSeconds)]),
			},
			groups: groupsOfPlan(),
			close,
		};
	} catch (error) {
		close();
		throw error;
	}
}

/** Imports the library as its users do. */
export function library() {
	const { exports } = createRequire(import.meta.url)(join(checkout, "package.json"));
	const entry = join(checkout, exports["."].default);
	if (!existsSync(entry)) throw new Error(`${entry} is not built`);
	return import(entry);
}
