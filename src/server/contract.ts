import type { RunResult } from "../jail/jail.ts";
import type { Input, Output, Streams } from "../jail/stdio.ts";
import type { Limits } from "./limits.ts";

export interface ExecOptions extends Streams {
	readonly stdin?: Input;
	readonly stdout?: Output;
	readonly stderr?: Output;
	readonly cwd?: string;
	readonly env?: Readonly<Record<string, string>>;
	readonly limits?: Limits;
	readonly collectMaxBytes?: { readonly stdout?: number; readonly stderr?: number };
	readonly copyIn?: readonly (
		| {
				readonly path: string;
				readonly content: Uint8Array | string | { readonly descriptor: number };
				readonly mode?: number;
		  }
		| { readonly path: string; readonly symlink: string }
	)[];
	readonly copyOut?: readonly {
		readonly path: string;
		readonly maxBytes: number;
		readonly optional?: boolean;
		readonly truncate?: boolean;
	}[];
	readonly signal?: AbortSignal;
}
export interface FileFault {
	readonly path: string;
	readonly kind: string;
	readonly message: string;
}
export type ExecResult = RunResult & {
	readonly files: ReadonlyMap<string, Buffer>;
	readonly fileErrors: readonly FileFault[];
};

import { run } from "../jail/jail.ts";
import type { Policy } from "../policy/types.ts";

export class Pool {
	readonly #policy: Policy;
	constructor(policy: Policy, _options: { readonly size: number }) {
		this.#policy = policy;
	}
	async exec(command: readonly string[], options: ExecOptions): Promise<ExecResult> {
		const { stdin, stdout, stderr, signal } = options;
		const result = await run(command, {
			policy: this.#policy,
			...(stdin === undefined ? {} : { stdin }),
			...(stdout === undefined ? {} : { stdout }),
			...(stderr === undefined ? {} : { stderr }),
			...(signal === undefined ? {} : { signal }),
		});
		return { ...result, files: new Map(), fileErrors: [] };
	}
	close(): Promise<void> {
		return Promise.resolve();
	}
}
