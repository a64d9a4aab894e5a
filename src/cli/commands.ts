/** vmjail's commands. Each loads what it needs when it runs: starting a program waits for none of the others. */

import type { Command } from "commander";
import { VmjailError } from "../errors.ts";
import { collect, newCommand, policyArguments, withPolicyFlags } from "./arguments.ts";
import { COMMANDS, SHELLS } from "./command-names.ts";
import { policyOf } from "./policy-file.ts";
import { print } from "./print.ts";
import type { RunArguments } from "./run.ts";
import type { FileFlags } from "./run-files.ts";

type Action = (args: readonly string[]) => Promise<number>;

/** The program to run: everything after the flags; flags of its own are not ours. */
function parse(command: Command, args: readonly string[]): readonly string[] {
	command.argument("[program...]").passThroughOptions().allowExcessArguments();
	command.parse([...args], { from: "user" });
	return command.args;
}

function needsProgram(program: readonly string[]): readonly string[] {
	if (program.length > 0) return program;
	throw new VmjailError("USAGE", "no program to run", {
		remedy: "Name one: vmjail -- PROGRAM ARGUMENTS. See `vmjail --help`.",
	});
}

const RUNSC_HELP = "gVisor's runsc (default: VMJAIL_RUNSC, else in PATH)";
const run: Action = async (args) => {
	const command = withPolicyFlags(
		newCommand("vmjail", "Runs a program that nobody trusts, under one policy.")
			.usage("[run] [flags] [--] PROGRAM [ARGUMENTS...]\n       vmjail COMMAND --help")
			.version(VERSION)
			.option("--result <file>", "write the outcome to a file, as JSON")
			.option("--events <file>", "append what the network gateway sees and refuses to a file, as JSON lines")
			.option("--runsc <path>", RUNSC_HELP)
			.option("--debug-log <dir>", "write what gVisor has to say below a folder")
			.option("--copy-in <file:path>", "put a file into the jail; can be given several times", collect, [])
			.option("--copy-out <path:file>", "take a file out of it, where PATH? may be missing; several times", collect, [])
			.option("--copy-out-max <size>", "no larger file comes out (default: 64MiB)")
			.option("--broker <unix:path>", "run it by way of a broker (default: VMJAIL_BROKER)")
			.option("-q, --quiet", "say nothing but errors"),
	).addHelpText("after", helpAfter);
	const program = parse(command, args);
	const { result, events, quiet, runsc, debugLog, broker, copyIn, copyOut, copyOutMax } = command.opts<
		Partial<Record<"result" | "events" | "runsc" | "debugLog" | "broker" | "copyOutMax", string>> & {
			readonly quiet?: boolean;
			readonly copyIn: readonly string[];
			readonly copyOut: readonly string[];
		}
	>();
	if (args.length === 0) command.help({ error: false });
	const at = broker ?? process.env["VMJAIL_BROKER"];
	if (at !== undefined && at !== "") {
		refuseBeside("--broker", { events, runsc, debugLog, copyIn: copyIn[0], copyOut: copyOut[0] });
		const { brokerCommand } = await import("./broker.ts");
		return brokerCommand({
			broker: at,
			policy: policyArguments(command),
			command: needsProgram(program),
			quiet: quiet === true,
			...(result === undefined ? {} : { result }),
		});
	}
	const policy = policyOf(policyArguments(command));
	const needed: RunArguments = {
		policy,
		command: needsProgram(program),
		quiet: quiet === true,
		...(result === undefined ? {} : { result }),
		...(events === undefined ? {} : { events }),
		...(runsc === undefined ? {} : { runsc }),
		...(debugLog === undefined ? {} : { debugLog }),
	};
	const status = await runIt(needed, { copyIn, copyOut, ...(copyOutMax === undefined ? {} : { copyOutMax }) });
	await closeHost();
	return status;
};

/** What does not go together is an error, not something that is left out. */
function refuseBeside(other: string, flags: Readonly<Record<string, string | undefined>>): void {
	const [given] = Object.entries(flags).find(([, value]) => value !== undefined) ?? [];
	if (given === undefined) return;
	const flag = given.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
	throw new VmjailError("USAGE", `--${flag} does not work with ${other}`, {
		remedy: `Leave one of the two out.${other === "--broker" ? " VMJAIL_BROKER= runs without a broker." : ""}`,
	});
}

/** Into and out of a jail that is used once; in the others files are the policy's matter. */
async function runIt(args: RunArguments, files: FileFlags): Promise<number> {
	if (files.copyIn.length + files.copyOut.length === 0) {
		const { runCommand } = await import("./run.ts");
		return runCommand(args);
	}
	refuseBeside("--copy-in and --copy-out", { events: args.events, runsc: args.runsc, debugLog: args.debugLog });
	const { runWithFiles } = await import("./run-files.ts");
	return runWithFiles(args, files);
}

const serve: Action = async (args) => {
	const command = withPolicyFlags(
		newCommand("vmjail serve", COMMANDS.serve)
			.usage("[--listen HOST:PORT | --listen unix:PATH] [flags]")
			.option("--listen <address>", "HOST:PORT or unix:PATH (default: 127.0.0.1:5050)")
			.option("--token-file <file>", "whoever asks must know the token in it; needed beyond this machine")
			.option("--parallelism <n>", "commands at once (default: the processors)")
			.option("--queue <n>", "requests that may wait (default: 1024)")
			.option("--file-prefix <dir...>", "a folder whose files requests may name as src; several can be given")
			.option("--store <dir>", "where stored files lie, without names (default: in memory)")
			.option("--store-max <size>", "of all stored files (default: 512MiB)")
			.option("--max-body <size>", "of a request (default: 256MiB)")
			.option("--socket-mode <mode>", "of a unix socket (default: 0600; a broker's 0666)")
			.option("--log-level <level>", "silent, error, warn, info or debug (default: info)")
			.option("--policy <file>", "the same as --config"),
		["listen"],
	);
	command.parse([...args], { from: "user" });
	if (command.args.length > 0) {
		throw new VmjailError("USAGE", `serve: ${command.args[0]}: there is nothing to run here`, {
			remedy: "Programs come by requests. See `vmjail serve --help`.",
		});
	}
	const { serveCommand } = await import("./serve.ts");
	const { policy, ...flags } = command.opts<{ policy?: string }>();
	const given = policyArguments(command);
	return serveCommand({
		flags,
		policy: policy === undefined ? given : { ...given, config: policy },
		version: VERSION,
	});
};

const plan: Action = async (args) => {
	const command = withPolicyFlags(
		newCommand("vmjail plan", COMMANDS.plan)
			.usage("[flags] [--] PROGRAM [ARGUMENTS...]")
			.option("--json", "print JSON")
			.option("--filter", "print the seccomp filter's instructions, or gVisor's rules, too")
			.option("--runsc <path>", RUNSC_HELP),
	);
	const program = needsProgram(parse(command, args));
	const { json = false, filter = false, runsc } = command.opts<{ json?: boolean; filter?: boolean; runsc?: string }>();
	const policy = policyOf(policyArguments(command));
	const { renderPlan } = await import("./plan.ts");
	const facts = await hostFacts();
	const runtime = runsc === undefined ? {} : { runsc };
	try {
		print(await renderPlan({ policy, facts, command: program, json, filter, runtime }));
	} finally {
		await closeHost();
	}
	return 0;
};

const check: Action = async (args) => {
	const command = withPolicyFlags(
		newCommand("vmjail check", COMMANDS.check)
			.usage("[flags] [[--] PROGRAM [ARGUMENTS...]]")
			.option("--json", "print JSON"),
	);
	const program = parse(command, args);
	const json = command.opts<{ json?: boolean }>().json === true;
	const policy = policyOf(policyArguments(command));
	const { reportCheck } = await import("./check.ts");
	const status = reportCheck({
		policy,
		facts: await hostFacts(),
		command: program.length > 0 ? program : ["true"],
		json,
	});
	await closeHost();
	return status;
};

const why: Action = async (args) => {
	const command = withPolicyFlags(
		newCommand("vmjail why", COMMANDS.why)
			.usage("--tcp HOST:PORT | --udp HOST:PORT [flags]")
			.option("--tcp <host:port>", "a TCP destination")
			.option("--udp <host:port>", "a UDP destination")
			.option("--json", "print JSON"),
	);
	command.parse([...args], { from: "user" });
	const { tcp, udp, json } = command.opts<{ tcp?: string; udp?: string; json?: boolean }>();
	const policy = policyOf(policyArguments(command));
	const { reportWhy } = await import("./network.ts");
	return reportWhy({
		policy,
		json: json === true,
		...(tcp === undefined ? {} : { tcp }),
		...(udp === undefined ? {} : { udp }),
	});
};

const explain: Action = async (args) => {
	const command = withPolicyFlags(
		newCommand("vmjail explain", COMMANDS.explain)
			.usage("[POLICY] [flags]")
			.argument("[policy]", "policy file, as with -c")
			.option("--json", "print JSON"),
	);
	command.parse([...args], { from: "user" });
	const [file] = command.args;
	const given = policyArguments(command);
	const policy = policyOf(file === undefined ? given : { ...given, config: file });
	const { reportExplain } = await import("./network.ts");
	return reportExplain(policy, command.opts<{ json?: boolean }>().json === true);
};

const doctor: Action = async (args) => {
	const command = newCommand("vmjail doctor", COMMANDS.doctor)
		.option("--json", "print JSON")
		.option("--runsc <path>", RUNSC_HELP);
	command.parse([...args], { from: "user" });
	const { json = false, runsc } = command.opts<{ json?: boolean; runsc?: string }>();
	const { runDoctor } = await import("./doctor.ts");
	try {
		return await runDoctor({
			json,
			stdout: { write: print, isTTY: process.stdout.isTTY },
			...(runsc === undefined ? {} : { runsc }),
		});
	} finally {
		await closeHost();
	}
};

const oci: Action = async (args) => {
	const command = withPolicyFlags(
		newCommand("vmjail oci export", COMMANDS.oci).usage("DIR [flags] [--] PROGRAM [ARGUMENTS...]"),
	);
	if (args[0] !== "export" || args[1] === undefined || args[1].startsWith("-")) {
		if (args.includes("--help") || args.includes("-h")) command.help({ error: false });
		throw new VmjailError("USAGE", "oci: export needs a folder", {
			remedy: "vmjail oci export DIR [flags] -- PROGRAM",
		});
	}
	const program = parse(command, args.slice(2));
	const policy = policyOf(policyArguments(command));
	const { runOciExport } = await import("./oci-export.ts");
	const { hostFor } = await import("./host.ts");
	runOciExport({ dir: args[1], policy, facts: hostFor(policy), command: needsProgram(program) });
	return 0;
};

const schema: Action = async (args) => {
	newCommand("vmjail schema", COMMANDS.schema).parse([...args], { from: "user" });
	const { policyJsonSchema } = await import("./schema.ts");
	print(policyJsonSchema());
	return 0;
};

const completion: Action = async (args) => {
	const command = newCommand("vmjail completion", COMMANDS.completion).argument("<shell>", SHELLS.join(", "));
	command.parse([...args], { from: "user" });
	const { completionScript } = await import("./completion.ts");
	print(completionScript(command.args[0] ?? ""));
	return 0;
};

const ACTIONS: Readonly<Record<keyof typeof COMMANDS, Action>> = {
	run,
	plan,
	check,
	why,
	explain,
	doctor,
	oci,
	serve,
	schema,
	completion,
};

async function hostFacts() {
	const { session } = await import("../jail/session.ts");
	return session().facts();
}

async function closeHost() {
	const { closeSession } = await import("../jail/session.ts");
	await closeSession();
}

async function brokerWorker(): Promise<number> {
	const { work } = await import("../server/broker/worker.ts");
	return work();
}

/** Runs the command that the first word names; `run` where it names none. Returns the exit status. */
export function dispatch(args: readonly string[]): Promise<number> {
	const [first = "", ...rest] = args;
	// A broker's own: it makes sense only with the channel that the broker opens.
	if (first === "broker-worker" && process.send !== undefined) return brokerWorker();
	if (Object.hasOwn(ACTIONS, first)) return ACTIONS[first as keyof typeof ACTIONS](rest);
	return run(args);
}

const helpAfter = `
Commands:
${Object.entries(COMMANDS)
	.map(([name, help]) => `  ${name.padEnd(12)}${help}`)
	.join("\n")}

Exit status: the program's own; 124 time limit, 125 vmjail failed, 126 not executable, 127 not found,
137 memory limit, 128 + n where signal n ended the program.

Examples:
  vmjail -- python3 untrusted.py
  vmjail -c security.json -- sh -c 'id; touch /abc'
  vmjail --rw . --mem 512MiB --wall 1m -- make test`;

const VERSION = "0.1.0";
