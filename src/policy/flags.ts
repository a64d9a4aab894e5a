/** Flags of the command line → a layer of the policy document. */

import { type FlagContext, isPreset, NETWORK, POLICY_FLAGS } from "./flag-table.ts";
import type { PresetName } from "./preset-names.ts";
import type { LocatedProblem } from "./problems.ts";
import { show } from "./shown.ts";
import { join, type Origin, type Tree, treeAt, treeOf } from "./tree.ts";

/** Values by flag name, in the order given. */
export type FlagValues = { readonly [name: string]: readonly string[] | undefined };

const RULE_FLAGS = ["allow-dns", "allow-tcp", "allow-udp", "listen"] as const;

export interface FlagLayer {
	readonly tree: Tree;
	/** Named by --preset, in order; not part of the tree, for they come before the file. */
	readonly presets: readonly PresetName[];
	readonly problems: readonly LocatedProblem[];
}

/** Flags → a layer of the document, and what could not be read. Throws nothing. */
export function flagLayer(values: FlagValues, context: FlagContext): FlagLayer {
	const problems: LocatedProblem[] = [];
	let tree: Tree = treeOf({}, originOf("flags"));
	for (const flag of POLICY_FLAGS) {
		const given = valuesOf(values, flag.name);
		if (!flag.repeatable && given.length > 1)
			problems.push(problemOf(flag.name, `given ${given.length} times, with ${given.map(show).join(" and ")}`));
		for (const value of given) {
			const read = value.includes("\0") ? { problem: `a NUL character in ${show(value)}` } : flag.read(value, context);
			if ("problem" in read) problems.push(problemOf(flag.name, read.problem));
			else if (flag.name !== "preset") tree = join(tree, treeAt(flag.path, read.value, originOf(`--${flag.name}`)));
		}
	}
	for (const name of Object.keys(values)) {
		if (!POLICY_FLAGS.some((flag) => flag.name === name)) problems.push(problemOf(name, "not a flag of the policy"));
	}
	return { tree: withImpliedMode(tree, values), presets: valuesOf(values, "preset").filter(isPreset), problems };
}

/** Whoever allows a destination wants it reached: a rule without --net turns the rules on. */
function withImpliedMode(tree: Tree, values: FlagValues): Tree {
	const rule = RULE_FLAGS.find((name) => valuesOf(values, name).length > 0);
	if (rule === undefined || valuesOf(values, "net").length > 0) return tree;
	return join(tree, treeAt([...NETWORK, "mode"], "hostwithpolicy", originOf(`--${rule}`)));
}

function valuesOf(values: FlagValues, name: string): readonly string[] {
	return Object.hasOwn(values, name) ? (values[name] ?? []) : [];
}

function originOf(label: string): Origin {
	return { where: () => label, flag: true };
}

function problemOf(name: string, message: string): LocatedProblem {
	return { path: [], origin: originOf(`--${name}`), message };
}
