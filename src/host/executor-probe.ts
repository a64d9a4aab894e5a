/** What only system calls can tell: `vmjail-executor probe` prints it as one line of JSON. */

import { VmjailError } from "../errors.ts";

export interface ExecutorProbe {
	/** 0: none. See landlock(7). */
	readonly landlockAbi: number;
	/** Actions that this kernel's seccomp knows: "errno", "user_notif". Empty: no seccomp filters. */
	readonly seccompActions: readonly string[];
	/** Could a user namespace be made and a file system be mounted in it? If not: which step failed, and how. */
	readonly userNamespace: { readonly ok: boolean; readonly step?: string; readonly errno?: string };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null;
}

function namespaceOf(value: unknown): ExecutorProbe["userNamespace"] | undefined {
	if (!isObject(value) || typeof value["ok"] !== "boolean") return undefined;
	const { ok, step, errno } = value;
	return {
		ok,
		...(typeof step === "string" ? { step } : {}),
		...(typeof errno === "string" ? { errno } : {}),
	};
}

/**
 * Reads one line of the executor's probe.
 *
 * @throws VmjailError EXECUTOR_FAILED where it is not what the executor prints
 */
export function parseExecutorProbe(line: string): ExecutorProbe {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch (cause) {
		throw unreadable(cause);
	}
	if (!isObject(value)) throw unreadable();
	const { landlockAbi, seccompActions } = value;
	const userNamespace = namespaceOf(value["userNamespace"]);
	const actions = Array.isArray(seccompActions) ? seccompActions : undefined;
	if (
		typeof landlockAbi !== "number" ||
		!Number.isInteger(landlockAbi) ||
		landlockAbi < 0 ||
		userNamespace === undefined ||
		!actions?.every((action): action is string => typeof action === "string")
	) {
		throw unreadable();
	}
	return { landlockAbi, seccompActions: actions, userNamespace };
}

function unreadable(cause?: unknown): VmjailError {
	return new VmjailError("EXECUTOR_FAILED", "the executor's probe printed something that is not a probe's result", {
		remedy: "Build the executor again: npm run build.",
		cause,
	});
}

/** The Landlock ABI in a line of the executor's probe: 0 where the kernel has none. */
export function landlockAbiFrom(line: string): number {
	return parseExecutorProbe(line).landlockAbi;
}
