/** What a client did wrong, or what the server cannot do for it now: an HTTP status and a sentence. */

import type { VmjailError } from "../errors.ts";

export type ProblemStatus = 400 | 401 | 403 | 404 | 413 | 415 | 429 | 500 | 503;

export class HttpProblem extends Error {
	readonly status: ProblemStatus;
	/** Stable, for programs. */
	readonly code: string;
	/** Seconds after which it is worth another try. */
	readonly retryAfter: number | undefined;

	constructor(status: ProblemStatus, code: string, message: string, retryAfter?: number) {
		super(message);
		this.name = "HttpProblem";
		this.status = status;
		this.code = code;
		this.retryAfter = retryAfter;
	}
}

/** A fault of the sandbox or of the policy in the words of {@link VmjailError}. */
export function problemOf({ code, message, remedy }: VmjailError): HttpProblem {
	const status = code.startsWith("POLICY_") || code === "USAGE" || code === "PATH_INVALID" ? 400 : 500;
	return new HttpProblem(status, code, remedy === undefined ? message : `${message}\n${remedy}`);
}

/** The body of an error answer. */
export function bodyOf({ code, message }: HttpProblem): { readonly error: string; readonly code: string } {
	return { error: message, code };
}
