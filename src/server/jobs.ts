/** A checked request → what is to be run: each command with its streams, files and limits. Pure. */

import type { ExecLimits } from "../jail/limits.ts";
import type { Policy } from "../policy/types.ts";
import { limitsOf } from "./limits.ts";
import { HttpProblem } from "./problem.ts";
import type { CommandRequest, ContentEntry, PipeRequest, RunRequest, StreamEntry } from "./schema.ts";

/** Bytes that a program gets. */
export type Content =
	| { readonly kind: "bytes"; readonly bytes: Uint8Array }
	| { readonly kind: "source"; readonly path: string; readonly where: string }
	| { readonly kind: "stored"; readonly id: string; readonly where: string };

/** The end of a pipe, by its number in the request. */
interface PipeEnd {
	readonly kind: "pipe";
	readonly pipe: number;
}

export type StdinJob = Content | PipeEnd | { readonly kind: "ignore" };
export type OutputJob =
	| PipeEnd
	| { readonly kind: "ignore" }
	| { readonly kind: "collect"; readonly name: string; readonly max: number };

export type CopyInJob =
	| { readonly path: string; readonly content: Content }
	| { readonly path: string; readonly symlink: string };

export interface Job {
	readonly args: readonly string[];
	/** Absent: the policy's environment. */
	readonly env?: Readonly<Record<string, string>>;
	readonly limits: ExecLimits;
	readonly tty: boolean;
	readonly stdin: StdinJob;
	readonly stdout: OutputJob;
	readonly stderr: OutputJob;
	readonly copyIn: readonly CopyInJob[];
	readonly copyOut: readonly {
		readonly path: string;
		readonly maxBytes: number;
		readonly optional: boolean;
		readonly truncate: boolean;
	}[];
	/** Of what comes out, these go to the store, and the answer has their ids. */
	readonly cached: ReadonlySet<string>;
}

/** Between two commands; `copy` where what passes is also to be in the answer, under the writer's files. */
export interface Pipe {
	readonly from: number;
	readonly to: number;
	readonly proxy: boolean;
	readonly copy?: { readonly name: string; readonly max: number };
}

export interface Jobs {
	readonly jobs: readonly Job[];
	readonly pipes: readonly Pipe[];
}

export interface JobDefaults {
	readonly policy: Policy;
	/** For files that come out, where the request names no maximum. */
	readonly copyOutMaxBytes: number;
	/** For a proxy's copy, where the request names no maximum. */
	readonly pipeCopyMaxBytes: number;
}

const STDIN = 0;
const STREAMS = 3;

function bad(message: string): never {
	throw new HttpProblem(400, "REQUEST_INVALID", message);
}

type FileEntry = StreamEntry | null;

/** What is not of base64's alphabet has been refused by the schema. */
function decode(text: string, encoding: string | undefined): Uint8Array {
	if (encoding !== "base64") return new TextEncoder().encode(text);
	return Buffer.from(text, "base64");
}

function contentOf(entry: ContentEntry, where: string): Content {
	if ("src" in entry) return { kind: "source", path: entry.src, where: `${where}.src` };
	if ("fileId" in entry) return { kind: "stored", id: entry.fileId, where: `${where}.fileId` };
	return { kind: "bytes", bytes: decode(entry.content, entry.encoding) };
}

function refuseStream(entry: StreamEntry, where: string): void {
	if (!("streamIn" in entry || "streamOut" in entry)) return;
	const key = "streamIn" in entry ? "streamIn" : "streamOut";
	bad(`${where}.${key}: streams are not given by this server: send the input as content, collect the output by name`);
}

function stdinOf(entry: FileEntry | undefined, where: string): StdinJob {
	if (entry === undefined || entry === null) return { kind: "ignore" };
	refuseStream(entry, where);
	if ("src" in entry || "content" in entry || "fileId" in entry) return contentOf(entry, where);
	return bad(`${where}: expected null, src, content or fileId for standard input, got a file to be collected`);
}

function outputOf(entry: FileEntry | undefined, where: string): OutputJob {
	if (entry === undefined || entry === null) return { kind: "ignore" };
	refuseStream(entry, where);
	if ("name" in entry) return { kind: "collect", name: entry.name, max: entry.max };
	return bad(`${where}: expected null or { name, max } for an output, got a file to be read`);
}

function envOf(env: readonly string[]): Readonly<Record<string, string>> {
	return Object.fromEntries(
		env.map((pair) => {
			const at = pair.indexOf("=");
			return [pair.slice(0, at), pair.slice(at + 1)];
		}),
	);
}

/** "file?" is one that may be missing. */
function copyOutOf(command: CommandRequest, collected: ReadonlySet<string>, maxBytes: number): Job["copyOut"] {
	const all = [...(command.copyOut ?? []), ...(command.copyOutCached ?? [])];
	const wanted = new Map(all.map((entry) => [entry.replace(/\?$/, ""), entry.endsWith("?")]));
	return [...wanted].flatMap(([path, optional]) =>
		collected.has(path) ? [] : [{ path, maxBytes, optional, truncate: command.copyOutTruncate === true }],
	);
}

function jobOf(command: CommandRequest, index: number, defaults: JobDefaults): Job {
	const where = `cmd[${index}]`;
	const { files = [] } = command;
	if (files.length > STREAMS) {
		bad(`${where}.files: ${files.length} descriptors: a program in a jail starts with 0, 1 and 2 only`);
	}
	const stdout = outputOf(files[1], `${where}.files[1]`);
	const stderr = outputOf(files[2], `${where}.files[2]`);
	const collected = [stdout, stderr].flatMap((one) => (one.kind === "collect" ? [one.name] : []));
	if (collected.length === 2 && collected[0] === collected[1]) {
		bad(`${where}.files[2].name: "${collected[0]}" is the name of standard output already`);
	}
	if (command.tty === true && stderr.kind === "collect") {
		bad(`${where}.files[2]: a terminal has one output: collect files[1], and leave files[2] null`);
	}
	return {
		args: command.args,
		...(command.env === undefined ? {} : { env: envOf(command.env) }),
		limits: limitsOf(command, defaults.policy, where),
		tty: command.tty === true,
		stdin: stdinOf(files[STDIN], `${where}.files[0]`),
		stdout,
		stderr,
		copyIn: Object.entries(command.copyIn ?? {}).map(([path, entry]): CopyInJob => {
			if ("symlink" in entry) return { path, symlink: entry.symlink };
			return { path, content: contentOf(entry, `${where}.copyIn[${JSON.stringify(path)}]`) };
		}),
		copyOut: copyOutOf(command, new Set(collected), command.copyOutMax || defaults.copyOutMaxBytes),
		cached: new Set((command.copyOutCached ?? []).map((entry) => entry.replace(/\?$/, ""))),
	};
}

function checkEnd(jobs: readonly Job[], end: PipeRequest["in"], where: string, isWriter: boolean): void {
	if (jobs[end.index] === undefined) bad(`${where}.index: there is no command ${end.index}`);
	const allowed = isWriter ? [1, 2] : [STDIN];
	if (!allowed.includes(end.fd)) {
		bad(`${where}.fd: expected ${allowed.join(" or ")}, got ${end.fd}: programs have no other descriptors`);
	}
}

type Connected = Pick<Job, "stdin" | "stdout" | "stderr">;

function connect(job: Job, end: PipeEnd, key: keyof Connected, where: string): Job {
	if (job.tty) bad(`${where}: a command with a terminal cannot be connected by a pipe`);
	if (job[key].kind !== "ignore") bad(`${where}: ${key} of this command is given already`);
	return { ...job, [key]: end };
}

/** @throws HttpProblem 400, with the place in the request */
export function jobsOf(request: RunRequest, defaults: JobDefaults): Jobs {
	const jobs = request.cmd.map((command, index) => jobOf(command, index, defaults));
	const pipes = (request.pipeMapping ?? []).map((pipe, number): Pipe => {
		const where = `pipeMapping[${number}]`;
		checkEnd(jobs, pipe.in, `${where}.in`, true);
		checkEnd(jobs, pipe.out, `${where}.out`, false);
		const end: PipeEnd = { kind: "pipe", pipe: number };
		const [from, to] = [pipe.in.index, pipe.out.index];
		jobs[from] = connect(jobs[from] as Job, end, pipe.in.fd === 1 ? "stdout" : "stderr", `${where}.in`);
		jobs[to] = connect(jobs[to] as Job, end, "stdin", `${where}.out`);
		const name = pipe.name || undefined;
		if (name !== undefined && pipe.proxy !== true) bad(`${where}.name: a copy is taken only with "proxy": true`);
		const copy = name === undefined ? undefined : { name, max: pipe.max || defaults.pipeCopyMaxBytes };
		return { from, to, proxy: pipe.proxy === true, ...(copy === undefined ? {} : { copy }) };
	});
	return { jobs, pipes };
}
