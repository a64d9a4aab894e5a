/** From -c and flags to a policy. */

import { closeSync, openSync, readSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import { workingFolder } from "../host/working-folder.ts";
import { loadPolicy } from "../policy/load.ts";
import type { Policy } from "../policy/types.ts";
import type { PolicyArguments } from "./arguments.ts";

/** The parser refuses more than 1 MiB; a little beyond that is enough to see it, whatever the file is. */
const MOST_BYTES = 1024 * 1024 + 1;

/**
 * The file's bytes; "-" is standard input.
 *
 * @throws VmjailError POLICY_UNREADABLE
 */
export function readPolicyFile(file: string): Buffer {
	const chunks: Buffer[] = [];
	let size = 0;
	try {
		const descriptor = file === "-" ? 0 : openSync(file, "r");
		try {
			while (size < MOST_BYTES) {
				const chunk = Buffer.alloc(64 * 1024);
				const read = readSync(descriptor, chunk);
				if (read === 0) break;
				size += read;
				chunks.push(chunk.subarray(0, read));
			}
		} finally {
			if (file !== "-") closeSync(descriptor);
		}
	} catch (cause) {
		const reason = cause instanceof Error ? cause.message.replace(/^(\w+): .*$/s, "$1") : "unknown";
		throw new VmjailError(
			"POLICY_UNREADABLE",
			`${file === "-" ? "standard input" : file}: cannot read the policy: ${reason}`,
			{
				remedy: "Name a file that exists and that you may read.",
				cause,
			},
		);
	}
	return Buffer.concat(chunks);
}

/** @throws VmjailError POLICY_* */
export function policyOf({ config, flags }: PolicyArguments): Policy {
	const home = process.env["HOME"];
	return loadPolicy({
		cwd: workingFolder(),
		flags,
		...(home?.startsWith("/") ? { home } : {}),
		...(config === undefined
			? {}
			: { text: readPolicyFile(config), source: config === "-" ? "standard input" : config }),
	});
}
