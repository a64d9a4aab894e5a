/** Exports bundles and runs them under the crun and runc of the distribution. Everything it makes lies in one folder. */

import { spawnSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmdirSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { parseMountinfo } from "../../../src/host/mountinfo.ts";
import type { Policy } from "../../../src/policy/types.ts";
import { removeFolder } from "../../helpers/folder.ts";
import type { ExportRequest } from "./exporter.ts";

export type Runtime = "crun" | "runc";

export interface Ran {
	readonly status: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

export interface RunInput {
	readonly runtime: Runtime;
	readonly policy: Policy;
	/** A script for sh(1). */
	readonly script: string;
	/** Not root but this user. */
	readonly uid?: number;
	/** Shell commands in a mount namespace of the run's own, before the export. */
	readonly before?: string;
	/** After the export, before the run. */
	readonly change?: (bundle: string) => void;
}

const mounts = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
const v1 = mounts.filter(({ type }) => type === "cgroup").map(({ mountPoint }) => mountPoint);
const v2 = mounts.filter(({ type }) => type === "cgroup2").map(({ mountPoint }) => mountPoint);

/** Why these tests cannot run here, or undefined. */
export function missing(): string | undefined {
	if (process.geteuid?.() !== 0) return "exported bundles are run as root: run the tests as root";
	for (const tool of ["crun", "runc", "unshare", "setpriv"]) {
		if (!(process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, tool)))) {
			return `${tool} is missing: apt-get install crun runc util-linux`;
		}
	}
	return undefined;
}

/** The caller's own group in the hierarchy of the memory controller, else in the unified one: "/a/b". */
function ownGroup(): string {
	const lines = readFileSync("/proc/self/cgroup", "utf8").split("\n");
	const line = lines.find((text) => text.split(":")[1] === "memory") ?? lines.find((text) => text.startsWith("0::"));
	return line?.slice(line.indexOf(":", line.indexOf(":") + 1) + 1) ?? "/";
}

export class Harness {
	/** The run's own folder; any user may enter it. */
	readonly folder = mkdtempSync(join(tmpdir(), "vmjail-bundle-"));
	/** Below the caller's own group; a runtime makes it in every hierarchy, with the groups on the way. */
	readonly #group = join(ownGroup(), `vmjail-bundle-${process.pid}`);
	readonly #groupsBefore = new Set(this.#groupFolders().filter((path) => existsSync(path)));
	readonly #exporter = join(this.folder, "exporter.mjs");
	#runs = 0;

	constructor() {
		chmodSync(this.folder, 0o755);
		buildSync({
			entryPoints: [join(import.meta.dirname, "exporter.ts")],
			outfile: this.#exporter,
			bundle: true,
			platform: "node",
			format: "esm",
			logLevel: "warning",
		});
	}

	/** Exports the policy to a fresh bundle and runs it. */
	run({
		runtime,
		policy,
		script,
		uid = 0,
		before = "true",
		change = () => {},
	}: RunInput): Ran & { readonly bundle: string } {
		const id = `vmjail-bundle-${process.pid}-${++this.#runs}`;
		const home = join(this.folder, `run-${this.#runs}`);
		const bundle = join(home, "bundle");
		const state = join(home, "state");
		for (const path of [home, bundle, state]) {
			mkdirSync(path);
			chownSync(path, uid, uid);
		}
		const request: ExportRequest = { policy, command: ["sh", "-c", script], dir: bundle, cgroupsPath: this.#group };
		const input = JSON.stringify(request);
		const exported = inMountNamespace(before, uid, [process.execPath, this.#exporter], input);
		if (exported.status !== 0) throw new Error(`export failed: ${exported.stderr}`);
		change(bundle);
		// crun 1.8 refuses to start where a cgroup2 with controllers is mounted beside cgroup v1.
		const hide = v1.length > 0 && runtime === "crun" ? v2.map((path) => `umount ${path}`) : [];
		const manager = runtime === "crun" ? [uid === 0 ? "--cgroup-manager=cgroupfs" : "--cgroup-manager=disabled"] : [];
		const argv = [runtime, "--root", state, ...manager, "run", "-b", bundle, id];
		const ran = inMountNamespace([before, ...hide].join(" && "), uid, argv, "");
		return { ...ran, bundle };
	}

	/** What the runtimes left: container states and control groups. Then removes the folder and the groups on the way. */
	close(): readonly string[] {
		const states = Array.from({ length: this.#runs }, (_, i) => join(this.folder, `run-${i + 1}`, "state"));
		const left = states.flatMap((state) => readdirSync(state).map((name) => join(state, name)));
		const groups = this.#groupFolders().filter((path) => existsSync(path) && !this.#groupsBefore.has(path));
		for (const path of groups) rmdirSync(path);
		removeFolder(this.folder);
		return [...left, ...groups.filter((path) => path.endsWith(this.#group))];
	}

	/** In every hierarchy the runs' group and the groups on the way to it, the deepest first. */
	#groupFolders(): readonly string[] {
		const names = this.#group.split("/").filter((name) => name !== "");
		const paths = names.map((_, i) => names.slice(0, i + 1).join("/")).toReversed();
		return [...v1, ...v2].flatMap((root) => paths.map((path) => join(root, path)));
	}
}

function inMountNamespace(before: string, uid: number, argv: readonly string[], input: string): Ran {
	const user = uid === 0 ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
	const script = `${before} && exec "$@"`;
	const command = ["--mount", "--propagation", "private", "sh", "-c", script, "sh", ...user, ...argv];
	const { status, stdout, stderr } = spawnSync("unshare", command, {
		input,
		encoding: "utf8",
		timeout: 30_000,
		cwd: "/",
	});
	return { status, stdout, stderr };
}
