import { VmjailError } from "../../src/errors.ts";
import { type LoadOptions, loadPolicy } from "../../src/policy/load.ts";
import type { Policy } from "../../src/policy/types.ts";

export const CONTEXT = { cwd: "/home/ada/project", home: "/home/ada", source: "policy.json" } as const;

/** The policy that a text gives, as a file named policy.json. */
export function policyOf(text: string | Uint8Array, options: Partial<LoadOptions> = {}): Policy {
	return loadPolicy({ ...CONTEXT, text, ...options });
}

/** The policy of a document. */
export function policyOfJson(document: unknown, options: Partial<LoadOptions> = {}): Policy {
	return policyOf(JSON.stringify(document), options);
}

/** The error that `run` throws; whatever else it does fails the test. */
export function errorOf(run: () => unknown): VmjailError {
	try {
		run();
	} catch (error) {
		if (error instanceof VmjailError) return error;
		throw error;
	}
	throw new Error("nothing was thrown");
}

/** The lines of a POLICY_INVALID. */
export function problemsOf(document: unknown, options: Partial<LoadOptions> = {}): readonly string[] {
	const error = errorOf(() => policyOfJson(document, options));
	if (error.code !== "POLICY_INVALID") throw error;
	return error.message.split("\n");
}

/** `{ a: { b: value } }` for "a.b". */
export function nested(path: string, value: unknown): unknown {
	return path.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
}
