/** A supervisor made of util-linux: unshare(1), setpriv(1), mount(8). */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { VmjailError } from "../../errors.ts";
import type { StageStep } from "../stage/types.ts";
import type { Job, Supervised } from "./types.ts";

/** Waits for leave to go on: until then this process is alone and can be put into a control group. */
const GATE = 'read -r _ <&3 || exit 125; exec 3<&-; exec "$@"';

/**
 * Carries out a stage, then becomes the program. Arguments: the report, steps in the words of stageArguments(), "--",
 * the program. A place that cannot be looked at cannot be reached from the jail either: it is not restricted.
 */
const STAGE = `
report=$1; shift
did() { "$@" 2>>"$report" || { echo "failed: $*" >>"$report"; exit 125; }; }
while [ "$1" != -- ]; do
	case $1 in
	bind) did mount -n --rbind "$2" "$3"; shift 3 ;;
	tmpfs) did mount -n -t tmpfs -o size=64k,mode=755 vmjail "$2"; shift 2 ;;
	folder) [ -d "$2" ] || did mkdir "$2"; shift 2 ;;
	file) [ -e "$2" ] || did touch "$2"; shift 2 ;;
	restrict) ! [ -e "$3" ] || did mount -n -o "remount,bind,$2" "$3"; shift 3 ;;
	*) echo "unknown step: $1" >>"$report"; exit 125 ;;
	esac
done
shift
exec "$@"`;

const MOUNT_NAMESPACE = [
	"unshare",
	"--mount",
	"--propagation=private",
	"--pid",
	"--fork",
	"--kill-child",
	"--mount-proc",
];

/** Where the tools are, whatever the caller's PATH says. */
const TOOLS = "/usr/sbin:/usr/bin:/sbin:/bin";

const INSIDE_TIMEOUT_MS = 10_000;

/** {@link Supervisor}. @throws VmjailError LAUNCH_FAILED where the tools are missing or the cgroup refuses the process. */
export async function superviseByUtilLinux(job: Job): Promise<Supervised> {
	const { stdin, stdout, stderr } = job.stdio;
	const [file = "", ...args] = commandLine(job);
	const child = spawn(file, args, {
		env: { ...job.env, PATH: TOOLS },
		cwd: "/",
		stdio: [stdin, stdout, stderr, "pipe", ...(job.pass ?? [])],
	});
	const ended = new Promise<Awaited<Supervised["ended"]>>((resolve) => {
		child.once("exit", (exitCode, signal) => resolve({ exitCode, signal }));
	});
	const pid = await pidOf(child);
	const gate = child.stdio[3];
	if (gate === null || gate === undefined || !("write" in gate)) throw new Error("the gate is a pipe");
	// The program may be gone by then; its exit status says so.
	gate.on("error", () => undefined);
	try {
		await job.cgroup?.attach(pid);
	} catch (cause) {
		child.kill("SIGKILL");
		await ended;
		throw new VmjailError("LAUNCH_FAILED", "put the runtime into its control group", { cause });
	}
	gate.end("\n");
	return { pid, ended, kill: (signal) => kill(pid, signal, child), inside: (argv) => inside(pid, job, argv) };
}

/** The whole chain as an argument vector. Every link replaces itself with the next, but for one fork by unshare. */
export function commandLine(job: Job): readonly string[] {
	const ids = job.asIds;
	// A change of user namespace clears the death signal (credentials change), so that comes first.
	const user =
		ids === undefined ? [] : ["unshare", "--user", `--map-user=${ids.uid}`, `--map-group=${ids.gid}`, "--keep-caps"];
	const steps = job.stage?.steps.flatMap(stageArguments) ?? [];
	return [
		...(job.terminal === true ? ["setsid", "--ctty"] : []),
		...["/bin/sh", "-c", GATE, "vmjail-gate"],
		...user,
		...["setpriv", "--pdeathsig", "KILL"],
		...MOUNT_NAMESPACE,
		...["/bin/sh", "-c", STAGE, "vmjail-stage", job.report, ...steps, "--"],
		...job.argv,
	];
}

function stageArguments(step: StageStep): readonly string[] {
	switch (step.op) {
		case "bind":
			return ["bind", step.from, step.at];
		case "tmpfs":
		case "folder":
		case "file":
			return [step.op, step.at];
		case "restrict":
			// An empty list of options would be none at all: "exec" is the default.
			return ["restrict", step.flags.length === 0 ? "exec" : step.flags.join(","), step.at];
		default:
			return step satisfies never;
	}
}

function pidOf(child: ChildProcess): Promise<number> {
	if (child.pid !== undefined) return Promise.resolve(child.pid);
	return new Promise((_, reject) => {
		child.once("error", (cause) =>
			reject(new VmjailError("LAUNCH_FAILED", "start /bin/sh", { cause, remedy: "Install util-linux and a shell." })),
		);
	});
}

/** The one child of unshare is the program, pid 1 of its namespace: its end is the end of all. */
function kill(pid: number, signal: number, child: ChildProcess): boolean {
	if (child.exitCode !== null || child.signalCode !== null) return false;
	const program = onlyChild(pid);
	try {
		// Before unshare has forked there is no program yet: then the signal ends the start.
		process.kill(program ?? pid, signal);
		return true;
	} catch {
		return false;
	}
}

/** Joins the namespaces of the program; the user namespace first, so that its rights cover the others. */
async function inside(pid: number, job: Job, argv: readonly string[]): Promise<void> {
	const program = onlyChild(pid);
	if (program === undefined) throw new VmjailError("JAIL_CLOSED", "the jail has ended");
	const user = job.asIds === undefined ? [] : ["--user", "--preserve-credentials"];
	const args = [`--target=${program}`, ...user, "--mount", "--pid", "--", ...argv];
	await promisify(execFile)("nsenter", args, { env: { PATH: TOOLS }, timeout: INSIDE_TIMEOUT_MS });
}

function onlyChild(pid: number): number | undefined {
	try {
		const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
		return first === undefined || first === "" ? undefined : Number(first);
	} catch {
		return undefined;
	}
}
