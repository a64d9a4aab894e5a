/** Every code that a {@link VmjailError} can carry. Stable: programs may match on it. Documented in `docs/errors.md`. */
export type ErrorCode =
	| "POLICY_SYNTAX" // not JSON (or not UTF-8, empty, truncated, too large)
	| "POLICY_INVALID" // JSON, but not a policy: unknown key, wrong type, contradiction
	| "POLICY_UNREADABLE" // the policy file cannot be read
	| "SPEC_INVALID" // an OCI config.json breaks the runtime specification, or carries hostile annotations
	| "USAGE" // the command line is wrong
	| "NOT_AVAILABLE" // the policy asks for what this version cannot enforce yet
	| "HOST_UNSUPPORTED" // the policy asks for what this host cannot enforce
	| "PATH_INVALID" // a path of the policy is missing, of the wrong kind, or escapes through a link
	| "COMMAND_NOT_FOUND" // the program is not in the jail: exit status 127
	| "COMMAND_NOT_EXECUTABLE" // the program is there and may not be executed: exit status 126
	| "LAUNCH_FAILED" // a step of the plan failed
	| "EXECUTOR_FAILED" // the executor is missing, died or broke the protocol
	| "JAIL_CLOSED"; // the jail has ended

/**
 * A fault of the sandbox or of its input, never of the jailed program (that is an Outcome).
 * `remedy` is one sentence that a person can act on.
 */
export class VmjailError extends Error {
	readonly code: ErrorCode;
	readonly remedy: string | undefined;

	constructor(code: ErrorCode, message: string, options: { readonly remedy?: string; readonly cause?: unknown } = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.name = "VmjailError";
		this.code = code;
		this.remedy = options.remedy;
	}
}
