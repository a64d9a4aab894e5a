/** What is wrong with a policy: collected, ordered, and thrown as one error. */

import { VmjailError } from "../errors.ts";
import { show } from "./shown.ts";
import type { JsonPath, Origin } from "./tree.ts";

/** More than this and the reader is better served by the first ones. */
const MOST_LISTED = 100;

export interface Problem {
	readonly path: JsonPath;
	readonly message: string;
	/** Where it was written; absent: where the value at `path` was. */
	readonly origin?: Origin;
}

/** `security.network.policy.tcp[0]`; odd keys in quotes. */
export function pathText(path: JsonPath): string {
	return path.reduce<string>((text, key) => {
		if (typeof key === "number") return `${text}[${key}]`;
		if (!/^[\w$-]{1,80}$/.test(key)) return `${text}[${show(key)}]`;
		return text === "" ? key : `${text}.${key}`;
	}, "");
}

export type LocatedProblem = Problem & { readonly origin: Origin };

/** One line: `policy.json:14:7 security.network.mode: expected …`, or `--net: expected …`. */
function line({ origin, path, message }: LocatedProblem): string {
	return origin.flag || path.length === 0
		? `${origin.where()}: ${message}`
		: `${origin.where()} ${pathText(path)}: ${message}`;
}

/** Throws POLICY_INVALID with every problem on a line of its own. */
export function refuse(problems: readonly LocatedProblem[]): never {
	const all = distinct(problems);
	const lines = all.slice(0, MOST_LISTED).map(line);
	if (all.length > MOST_LISTED) lines.push(`… and ${all.length - MOST_LISTED} more`);
	throw new VmjailError("POLICY_INVALID", lines.join("\n"), {
		remedy:
			all.length === 1
				? "Correct this value; nothing was started."
				: `Correct these ${all.length} values; nothing was started.`,
	});
}

/** The same words about the same place once: a value is looked at alone and again among all layers. */
function distinct(problems: readonly LocatedProblem[]): readonly LocatedProblem[] {
	const said = new Map<Origin, Set<string>>();
	return problems.filter(({ origin, message }) => {
		const messages = said.get(origin) ?? new Set();
		said.set(origin, messages);
		return !messages.has(message) && messages.add(message);
	});
}
