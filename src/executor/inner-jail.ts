/** A jail whose pid 1 is vmjail's and which another runtime makes: the socket to speak to it by. */

import { randomBytes } from "node:crypto";
import { openSync } from "node:fs";
import { loadAddon } from "./addon.ts";
import type { EncodedProgram } from "./encode.ts";
import { JailProcess } from "./jail-process.ts";
import { nativePath } from "./package-files.ts";
import { TOKEN_SIZE } from "./wire.ts";

export interface InnerJail {
	readonly process: JailProcess;
	/** For the runtime: pid 1's end of the socket, and its program (`vmjail-executor inner FD`). To be closed by the caller. */
	readonly descriptors: { readonly control: number; readonly executor: number };
}

/**
 * What pid 1 is to do first is sent at once; it waits in the socket for the runtime to have started. The caller must call
 * `process.ended` when the runtime is gone: until then nothing that was asked is given up.
 *
 * @throws VmjailError EXECUTOR_FAILED where the executor is not built
 */
export function openInnerJail(plan: EncodedProgram): InnerJail {
	const addon = loadAddon();
	const executor = openSync(nativePath("vmjail-executor"), "r");
	const [here, control] = addon.socketpair();
	const process = new JailProcess(addon, here, { jail: 1, token: randomBytes(TOKEN_SIZE) }, 1);
	process.launch(plan);
	return { process, descriptors: { control, executor } };
}
