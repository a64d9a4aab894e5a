/** What the judge's cases are written against: the library, the command line and the server are one of these each. */

/** Bytes that a program finds, or that are kept between two runs. */
export type Content = Buffer | { readonly kept: string };

export interface Limits {
	readonly cpuMs?: number;
	readonly wallMs?: number;
	readonly memoryBytes?: number;
	readonly pids?: number;
	readonly stackBytes?: number;
}

export interface Request {
	readonly command: readonly string[];
	readonly stdin?: Content;
	/** In the place of the policy's. */
	readonly env?: Readonly<Record<string, string>>;
	readonly limits?: Limits;
	/** Of each output. Default: 1 MiB. */
	readonly collectMaxBytes?: number;
	readonly copyIn?: Readonly<Record<string, Content>>;
	/** By path; "path?" may be missing. */
	readonly copyOut?: readonly string[];
	readonly copyOutMaxBytes?: number;
	readonly terminal?: boolean;
	readonly cancel?: AbortSignal;
}

export type Ending =
	| "exited"
	| "signaled"
	| "cpu-time"
	| "wall-time"
	| "memory"
	| "pids"
	| "output"
	| "file-size"
	| "cancelled"
	/** The program was not found, or a file that the request names was not there. */
	| "not-run";

export type FileFault = "missing" | "not-regular" | "too-large" | "other";

export interface Result {
	readonly ending: Ending;
	/** Of a program that exited. */
	readonly exitCode?: number;
	readonly stdout: Buffer;
	readonly stderr: Buffer;
	/** Of `copyOut`. */
	readonly files: Readonly<Record<string, Buffer>>;
	readonly faults: Readonly<Record<string, FileFault>>;
	readonly cpuMs: number;
	readonly wallMs: number;
	readonly memoryBytes: number;
}

export interface Judge {
	readonly name: "library" | "command line" | "server";
	/** Programs that it runs at once. */
	readonly parallelism: number;
	run(request: Request): Promise<Result>;
	/** Two programs at once, each one's output the other's input; `both`: or only the first's the second's. */
	connect(first: Request, second: Request, both: boolean): Promise<readonly [Result, Result]>;
	/** Keeps bytes for later runs; `forget` ends that. */
	keep(bytes: Buffer): Promise<string>;
	forget(kept: string): Promise<void>;
	close(): Promise<void>;
}

export interface Tools {
	/** The helper program (test/judge/programs/judge.c), where a jail sees it. */
	readonly helper: string;
	/** A static program that prints "ready" and ends: 1 KiB of it would do. */
	readonly small: Buffer;
}

export interface Case {
	readonly name: string;
	run(judge: Judge, tools: Tools): Promise<void>;
}
