/** The way in: presets, file and flags → {@link Policy}. */

import * as v from "valibot";
import { contradictions } from "./contradictions.ts";
import type { FlagContext } from "./flag-table.ts";
import { type FlagValues, flagLayer } from "./flags.ts";
import { parseJson } from "./json.ts";
import { keyProblems } from "./keys.ts";
import { normalise } from "./normalise.ts";
import { PRESET_NAMES, type PresetName } from "./preset-names.ts";
import { PRESETS, type PresetContext } from "./presets.ts";
import { type LocatedProblem, type Problem, refuse } from "./problems.ts";
import { policySchema } from "./schema.ts";
import { show } from "./shown.ts";
import { DEFAULT_PASS } from "./tables.ts";
import { find, type Json, merge, originOf, plain, type Tree, treeAt, treeOf } from "./tree.ts";
import type { Policy } from "./types.ts";

export interface LoadOptions extends FlagContext {
	/** The policy file's content. */
	readonly text?: string | Uint8Array;
	/** Its name, for messages. */
	readonly source?: string;
	/** Presets to start from, before the file's own `extends`. Neither text nor preset: "default". */
	readonly preset?: PresetName | readonly PresetName[];
	readonly flags?: FlagValues;
}

/**
 * The policy that presets, file and flags give together; each overrides the one before: presets named by option or
 * flag, presets that the file extends, the file, flags. Objects merge, lists append, other values are replaced.
 *
 * Throws POLICY_SYNTAX where the text is not JSON, and POLICY_INVALID with one line for every problem otherwise:
 * `policy.json:14:7 security.network.mode: expected …`. Fails closed: nothing that is wrong is skipped, not even in a
 * value that a later layer replaces.
 */
export function loadPolicy(options: LoadOptions): Policy {
	const file = options.text === undefined ? undefined : parseJson(options.text, options.source ?? "policy");
	const flags = flagLayer(options.flags ?? {}, options);
	const named = [...[options.preset ?? []].flat(), ...flags.presets, ...(file === undefined ? [] : presetsOf(file))];
	const presets: readonly PresetName[] = named.length === 0 && file === undefined ? ["default"] : named;

	const layers = [...presets.map((name) => presetLayer(name, options)), ...(file === undefined ? [] : [file])];
	// Alone, the file is the document; else it is looked at by itself too, for a layer may hide what is wrong in another.
	const isLayered = presets.length > 0 || Object.keys(options.flags ?? {}).length > 0;
	const base = withDefaultPass(layers.reduce((below, over) => merge(below, over)));
	const document = isLayered ? merge(base, flags.tree) : base;

	const result = v.safeParse(policySchema, plain(document));
	const problems = [
		...flags.problems,
		...(file === undefined || !isLayered ? [] : shapeProblems(file, v.safeParse(policySchema, plain(file)).issues)),
		...shapeProblems(document, result.issues),
		...contradictions(result.output).map((problem) => located(document, problem)),
	];
	if (!result.success || problems.length > 0) return refuse(problems);
	return normalise(result.output);
}

/** A policy file alone: {@link loadPolicy} without presets of its caller's and without flags. */
export function parsePolicy(text: string | Uint8Array, options: FlagContext & { readonly source: string }): Policy {
	return loadPolicy({ ...options, text });
}

function presetLayer(name: PresetName, context: PresetContext): Tree {
	const origin = { where: () => `preset ${name}`, flag: false };
	return treeOf(PRESETS[name].policy(context) as Json, origin);
}

/** The presets that a file extends; unknown names are reported with its other problems. */
function presetsOf(file: Tree): readonly PresetName[] {
	const extended = find(file, ["extends"]);
	if (extended === undefined) return [];
	const names = extended.kind === "array" ? extended.items : [extended];
	return names.map(plain).filter((name): name is PresetName => PRESET_NAMES.some((known) => known === name));
}

/** What is passed on by default must be there before `--pass-env` adds to it. */
function withDefaultPass(document: Tree): Tree {
	const path = ["system", "env", "pass"];
	if (find(document, path) !== undefined) return document;
	return merge(treeAt(path, DEFAULT_PASS, document.origin), document);
}

type Issues = readonly v.BaseIssue<unknown>[] | undefined;

function shapeProblems(tree: Tree, issues: Issues = []): readonly LocatedProblem[] {
	return [...keyProblems(tree, policySchema), ...issues.flatMap(problemOf)].map((problem) => located(tree, problem));
}

/** Unknown keys are left out: valibot names the first one only, {@link keyProblems} every one. */
function problemOf(issue: v.BaseIssue<unknown>): readonly Problem[] {
	const path = (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));
	const last = issue.path?.at(-1);
	if (issue.type === "strict_object" && last?.origin === "key") {
		// A list in an object's place has been reported as such.
		if (issue.expected === "never" || Array.isArray(last.input)) return [];
		return [{ path: path.slice(0, -1), message: `the key ${show(last.key)} is missing` }];
	}
	return [{ path, message: issue.message }];
}

function located(tree: Tree, problem: Problem): LocatedProblem {
	return { ...problem, origin: problem.origin ?? originOf(tree, problem.path) };
}
