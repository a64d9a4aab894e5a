/** `vmjail completion SHELL`: a completion script made from the same table as the flags. */

import { VmjailError } from "../errors.ts";
import { POLICY_FLAGS, type PolicyFlag } from "../policy/flag-table.ts";
import { COMMANDS, SHELLS } from "./command-names.ts";

const GENERAL = [
	{ name: "config", help: "policy file", path: true, takesValue: true },
	{ name: "result", help: "write the outcome to a file", path: true, takesValue: true },
	{ name: "quiet", help: "say nothing but errors", path: false, takesValue: false },
	{ name: "help", help: "show help", path: false, takesValue: false },
	{ name: "version", help: "show the version", path: false, takesValue: false },
] as const;

function bashCases(flags: readonly PolicyFlag[]): string {
	const paths = [
		...flags.filter((flag) => flag.completes === "path").map((flag) => `--${flag.name}`),
		"-c",
		"--config",
		"--result",
	];
	const chosen = flags.filter((flag) => flag.choices !== undefined);
	return [
		`    ${paths.join("|")}) COMPREPLY=($(compgen -f -- "$word")); return ;;`,
		...chosen.map(
			(flag) => `    --${flag.name}) COMPREPLY=($(compgen -W "${flag.choices?.join(" ")}" -- "$word")); return ;;`,
		),
	].join("\n");
}

function bash(): string {
	const words = [...POLICY_FLAGS, ...GENERAL].map((flag) => `--${flag.name}`).join(" ");
	return `# vmjail completion for bash: eval "$(vmjail completion bash)"
_vmjail() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  case $before in
${bashCases(POLICY_FLAGS)}
    --) COMPREPLY=($(compgen -c -- "$word")); return ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "-c -- ${words}" -- "$word"))
  elif ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${Object.keys(COMMANDS).join(" ")}" -- "$word") $(compgen -c -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _vmjail vmjail
`;
}

const quoted = (text: string): string => text.replaceAll("'", "'\\''");

function zsh(): string {
	const ofFlag = (flag: PolicyFlag) => {
		const value =
			flag.choices === undefined ? (flag.completes === "path" ? "_files" : "") : `(${flag.choices.join(" ")})`;
		const help = quoted(flag.help.replaceAll(/[[\]:]/g, " "));
		return `  '${flag.repeatable ? "*" : ""}--${flag.name}[${help}]:${flag.metavar.replaceAll(/[[\]:]/g, " ")}:${value}'`;
	};
	const general = GENERAL.map(
		({ name, help, path, takesValue }) => `  '--${name}[${help}]${takesValue ? `:file:${path ? "_files" : ""}` : ""}'`,
	);
	const commands = Object.entries(COMMANDS).map(([name, help]) => `'${name}:${quoted(help)}'`);
	return `#compdef vmjail
# vmjail completion for zsh: put this where fpath finds it, as _vmjail
_vmjail_first() {
  local -a commands=(${commands.join(" ")})
  _describe command commands
  _command_names -e
}
_arguments -S \\
${[...POLICY_FLAGS.map(ofFlag), ...general].join(" \\\n")} \\
  '-c[policy file]:file:_files' \\
  '1:command:_vmjail_first' \\
  '*::argument:_normal'
`;
}

function fish(): string {
	const commands = Object.entries(COMMANDS).map(
		([name, help]) => `complete -c vmjail -n __fish_is_first_arg -a ${name} -d '${quoted(help)}'`,
	);
	const flags = POLICY_FLAGS.map((flag) => {
		const value =
			flag.choices === undefined ? (flag.completes === "path" ? "-rF" : "-x") : `-xa '${flag.choices.join(" ")}'`;
		return `complete -c vmjail -l ${flag.name} ${value} -d '${quoted(flag.help)}'`;
	});
	const general = GENERAL.map(
		({ name, help, takesValue }) => `complete -c vmjail -l ${name} ${takesValue ? "-rF " : ""}-d '${help}'`,
	);
	return `# vmjail completion for fish: vmjail completion fish > ~/.config/fish/completions/vmjail.fish
${[...commands, ...flags, ...general, "complete -c vmjail -s c -rF -d 'policy file'"].join("\n")}
`;
}

/** @throws VmjailError USAGE for another shell */
export function completionScript(shell: string): string {
	switch (shell) {
		case "bash":
			return bash();
		case "zsh":
			return zsh();
		case "fish":
			return fish();
		default:
			throw new VmjailError("USAGE", `no completion for ${JSON.stringify(shell)}`, {
				remedy: `Shells: ${SHELLS.join(", ")}.`,
			});
	}
}
