/** The command line's flags, from the policy's own table. */

import { Command, Option } from "commander";
import { POLICY_FLAGS } from "../policy/flag-table.ts";
import type { FlagValues } from "../policy/flags.ts";
import { isTerminal } from "./is-terminal.ts";
import { print } from "./print.ts";

const GROUPS = {
	policy: "Policy:",
	files: "Files:",
	network: "Network:",
	limits: "Limits:",
	process: "Program:",
} as const;

export const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** What every command that reads a policy accepts. */
export interface PolicyArguments {
	readonly config?: string;
	readonly flags: FlagValues;
}

/** Adds -c and all policy flags, but for those whose names the command has for something else. */
export function withPolicyFlags(command: Command, except: readonly string[] = []): Command {
	command.optionsGroup(GROUPS.policy);
	command.option("-c, --config <file>", 'policy file, "-" for standard input (default: the preset "default")');
	for (const flag of POLICY_FLAGS) {
		if (except.includes(flag.name)) continue;
		const choices = flag.choices === undefined ? "" : ` (${flag.choices.join(", ")})`;
		const option = new Option(`--${flag.name} <${flag.metavar}>`, `${flag.help}${choices}`);
		command.addOption(option.argParser(collect).helpGroup(GROUPS[flag.group]));
	}
	return command;
}

/** The policy flags that were given, by name. */
export function policyArguments(command: Command): PolicyArguments {
	const given = command.opts<Readonly<Record<string, unknown>>>();
	const flags = Object.fromEntries(
		POLICY_FLAGS.flatMap(({ name }) => {
			const key = name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
			const values = given[key];
			return Array.isArray(values) ? [[name, values as readonly string[]]] : [];
		}),
	);
	const { config } = given;
	return { flags, ...(typeof config === "string" ? { config } : {}) };
}

/** A command that throws instead of ending the process, and whose usage errors are left to the caller. */
export function newCommand(name: string, description: string): Command {
	return new Command(name)
		.description(description)
		.exitOverride()
		.configureOutput({ outputError: () => {}, writeOut: print })
		.configureHelp({ helpWidth: isTerminal(1) ? Math.min(process.stdout.columns, 110) : 100 })
		.showHelpAfterError(false);
}
