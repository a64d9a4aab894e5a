/** The section `system`: what the jail is made of. */

import * as v from "valibot";
import {
	choice,
	duration,
	flag,
	integer,
	list,
	parsedBy,
	path,
	said,
	section,
	size,
	text,
	textOrNumber,
} from "./fields.ts";
import { chain, type Parsed } from "./parsed.ts";
import { parsePath } from "./paths.ts";
import { show } from "./shown.ts";
import { ACCELS, CONTROLS, DEFAULT_PASS, RLIMITS, ROLLBACKS, RUNTIMES } from "./tables.ts";
import type { RlimitName } from "./types.ts";
import {
	checkCores,
	checkDevice,
	parseCapability,
	parseCpuList,
	parseEnvName,
	parseHostname,
	parseRlimit,
} from "./values.ts";

const MIB = 2 ** 20;
/** PID_MAX_LIMIT of a 64-bit kernel. */
const MOST_PIDS = 4194304;
/** 2^32 − 1 tells setresuid(2) "leave it as it is". */
const HIGHEST_ID = 4294967294;

const memory = section(
	{
		max: v.optional(
			size(
				"Most memory of all processes together, page cache and tmpfs included.",
				MIB,
				'no program starts in less than 1 MiB; write "64MiB" for mebibytes',
				["1GiB", 1073741824],
			),
		),
		swap: v.optional(size("Swap beyond `max`.", 0, ""), 0),
	},
	"Memory. Without `max`: no limit.",
);

const cpu = section(
	{
		number: v.optional(
			v.pipe(
				v.number(said("a number of cores such as 2 or 0.5")),
				v.description("Cores' worth of CPU time; fractions are allowed."),
				v.examples([4, 0.5]),
				parsedBy(checkCores),
			),
		),
		pin: v.optional(
			text("The CPUs that may be used, as cpuset(7) lists them.", 'a list of CPUs such as "0-1,3"', parseCpuList, [
				"0-1,3",
			]),
		),
	},
	"CPU. Without `number`: no limit.",
);

const rate = (description: string) => v.optional(size(description, 1, "leave the key out for no limit", ["50MiB"]));

function rlimit(name: RlimitName) {
	const unit = RLIMITS[name];
	const examples = { bytes: ["64MiB"], count: [256], seconds: ["10s", 10], microseconds: ["250ms", 250000] }[unit];
	return v.optional(
		textOrNumber(
			`RLIMIT_${name.toUpperCase()}, in ${unit === "count" ? "its own unit" : unit}.`,
			'a number, a text with a unit, or "unlimited"',
			parseRlimit(name),
			examples,
		),
	);
}

function rlimitEntries() {
	const names = Object.keys(RLIMITS) as RlimitName[];
	return Object.fromEntries(names.map((name) => [name, rlimit(name)])) as {
		[K in RlimitName]: ReturnType<typeof rlimit>;
	};
}

const id = (description: string) =>
	v.pipe(
		v.number(said("a numeric id")),
		v.description(description),
		parsedBy((value: number): Parsed<number> => {
			if (value === HIGHEST_ID + 1) return { problem: `${value} is −1 to the kernel: "leave it as it is"` };
			if (Number.isInteger(value) && value >= 0 && value <= HIGHEST_ID) return { value: value + 0 };
			return { problem: `expected a numeric id from 0 to ${HIGHEST_ID}, got ${show(value)}` };
		}),
	);

const envName = text("Name of an environment variable.", "the name of an environment variable", parseEnvName);

const env = section(
	{
		pass: v.optional(list(envName, "Variables passed on from the caller's environment."), [...DEFAULT_PASS]),
		set: v.optional(
			v.pipe(
				v.record(envName, v.string(said("a text in quotes")), said("an object in braces")),
				v.description("Variables with their values; they win over passed ones."),
				v.examples([{ LANG: "C.UTF-8" }]),
			),
			{},
		),
	},
	"Environment of the program. Nothing else of the caller's environment is seen. PATH has a default where it is neither passed nor set.",
);

export const system = section(
	{
		runtime: v.optional(
			choice(
				RUNTIMES,
				"What runs the jail: runlc (namespaces, for speed), runsc (gVisor, a kernel of its own), runc, crun; auto is runsc where it works, else runlc.",
			),
			"runlc",
		),
		rollback: v.optional(
			choice(
				ROLLBACKS,
				'Runtime to fall back to where the chosen one cannot run on this host; "" is none: the start fails.',
			),
			"",
		),
		accel: v.optional(choice(ACCELS, "gVisor's platform; only runsc looks at it."), "systrap"),
		root: v.optional(
			section(
				{
					path: v.optional(path('Folder of the host that is the jail\'s "/".', parsePath, ["/"]), "/"),
					readonly: v.optional(flag("Nothing can be written but `writablePaths` and tmpfs."), true),
				},
				"Root file system.",
			),
			{},
		),
		memory: v.optional(memory, {}),
		cpu: v.optional(cpu, {}),
		pids: v.optional(
			section(
				{ max: v.optional(integer("Most processes and threads at any time.", 1, MOST_PIDS)) },
				"Processes. Without `max`: no limit.",
			),
			{},
		),
		io: v.optional(
			section(
				{ readBps: rate("Bytes read per second."), writeBps: rate("Bytes written per second.") },
				"Throughput of each block device.",
			),
			{},
		),
		time: v.optional(
			section(
				{
					cpu: v.optional(duration("CPU time of all processes together, user and system.")),
					wall: v.optional(duration("Time from start to end.", ["1m"])),
				},
				"Time limits. Each has a unit: ms, s, m, h.",
			),
			{},
		),
		output: v.optional(
			section(
				{
					max: v.optional(
						size("Most bytes on standard output and standard error together.", 1, "leave the key out for no limit"),
					),
				},
				"Output.",
			),
			{},
		),
		rlimits: v.optional(section(rlimitEntries(), "Limits of each process (setrlimit(2)), soft and hard."), {}),
		devices: v.optional(
			list(
				path("A device.", (input) => chain(parsePath(input), checkDevice), ["/dev/kvm"]),
				"Devices beside the minimal /dev (null, zero, full, random, urandom, tty, ptmx, pts, shm).",
			),
			[],
		),
		capabilities: v.optional(
			list(
				text("A capability, with or without CAP_.", "the name of a capability", parseCapability, [
					"CAP_NET_BIND_SERVICE",
				]),
				"Capabilities inside the jail (capabilities(7)). Normally none.",
			),
			[],
		),
		user: v.optional(
			section({ uid: id("User id."), gid: id("Group id.") }, "Who the program runs as; both ids. Absent: the caller."),
		),
		hostname: v.optional(text("Name of the host inside.", "a host name", parseHostname), "jail"),
		cwd: v.optional(
			path("Working directory inside. Absent: the caller's where the jail shows it, else /.", parsePath, ["/work"]),
		),
		env: v.optional(env, {}),
		optional: v.optional(
			list(
				choice(CONTROLS, "A control."),
				"Controls that may be missing on this host. Others that are missing are an error.",
			),
			[],
		),
	},
	"Runtime, resources, identity.",
);
