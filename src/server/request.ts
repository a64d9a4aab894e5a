/** Text or a value → a checked {@link RunRequest}. Pure. */

import * as v from "valibot";
import { HttpProblem } from "./problem.ts";
import { type RunRequest, requestSchema } from "./schema.ts";

/** More than this and the reader is better served by the first ones. */
const MOST_LISTED = 20;

/** `cmd[0].files[1].max`; "request" where the whole of it is meant. */
function pathOf(issue: v.BaseIssue<unknown>): string {
	const text = (issue.path ?? []).reduce((path, { key }) => {
		if (typeof key === "number") return `${path}[${key}]`;
		const shown = String(key);
		if (!/^[\w$-]{1,80}$/.test(shown)) return `${path}[${JSON.stringify(shown.slice(0, 80))}]`;
		return path === "" ? shown : `${path}.${shown}`;
	}, "");
	return text === "" ? "request" : text;
}

function lineOf(issue: v.BaseIssue<unknown>): string {
	if (issue.type === "strict_object" && issue.path?.at(-1)?.origin === "key") {
		const what = issue.expected === "never" ? "there is no such key" : "is missing";
		return `${pathOf(issue)}: ${what}`;
	}
	return `${pathOf(issue)}: ${issue.message}`;
}

/** @throws HttpProblem 400 with a line for each thing that is wrong */
export function checkRequest(value: unknown): RunRequest {
	const result = v.safeParse(requestSchema, value);
	if (result.success) return result.output;
	const lines = result.issues.slice(0, MOST_LISTED).map(lineOf);
	throw new HttpProblem(400, "REQUEST_INVALID", [...new Set(lines)].join("\n"));
}

/** @throws HttpProblem 400 */
export function parseRequest(text: string): RunRequest {
	return checkRequest(parseJson(text));
}

/** @throws HttpProblem 400 */
export function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (cause) {
		throw new HttpProblem(400, "REQUEST_SYNTAX", `request: not JSON: ${(cause as Error).message}`);
	}
}
