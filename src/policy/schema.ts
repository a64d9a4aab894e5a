/** The policy file: its shape, its words, and the normalisation of each value. The JSON Schema and the reference are made from it. */

import * as v from "valibot";
import { choice, list, path, said, section, size, text, textOrNumber } from "./fields.ts";
import { parseMaskedPath, parsePath, parseWritablePath } from "./paths.ts";
import { PRESET_NAMES } from "./preset-names.ts";
import { parseAllowed } from "./programs.ts";
import { parseAddressRule, parseNameRule, parsePublishedPort } from "./rules.ts";
import { seccomp } from "./schema-seccomp.ts";
import { system } from "./schema-system.ts";
import { show } from "./shown.ts";
import { NETWORK_MODES } from "./tables.ts";
import { parseMacLabel } from "./values.ts";

const DEFAULT_TMPFS = "64MiB";

const addressRule = (example: string) => text("A rule.", 'a rule such as "1.1.1.1:443"', parseAddressRule, [example]);
const anyPort = 'The port may be a range, or empty or "*" for any.';

const rules = section(
	{
		listen: v.optional(
			list(
				textOrNumber("A port.", 'a port such as 80 or "8080->80"', parsePublishedPort, [
					80,
					"8080->80",
					"0.0.0.0:8080->80",
				]),
				"Ports of the jail published on the host, on 127.0.0.1 unless an address is given; the host's port is left of the arrow.",
			),
			[],
		),
		tcp: v.optional(
			list(addressRule("1.1.1.1:"), `Destinations by address: IPv4, [IPv6], a block or "*". ${anyPort}`),
			[],
		),
		udp: v.optional(
			list(addressRule("*:53"), `The same for UDP. Port 53 to "*" also lets every name be resolved.`),
			[],
		),
		dns: v.optional(
			list(
				text("A rule.", 'a rule such as "npm.org:443"', parseNameRule, ["*.npm.org:*", "python.org:443"]),
				`Destinations by name, over TCP; "*.name" is the name itself and all below it. ${anyPort}`,
			),
			[],
		),
		rate: v.optional(
			size(
				"Most bytes per second, of all connections and datagrams of the jail together, both directions added up.",
				1,
				"leave the key out for no limit",
				["10MiB"],
			),
		),
	},
	'What may be reached. Looked at only where the mode is "hostwithpolicy".',
);

const network = section(
	{
		mode: v.optional(
			choice(
				NETWORK_MODES,
				"none: no network but the jail's own loopback. host: the host's network, unrestricted. hostwithpolicy: only what `policy` lists.",
			),
			"none",
		),
		policy: v.optional(rules, {}),
	},
	"Network.",
);

const tmpfs = section(
	{
		path: path("Where it is mounted.", parseWritablePath, ["/scratch"]),
		size: v.optional(
			size(
				"Most bytes it holds; they count as memory.",
				4096,
				'a tmpfs holds at least one page; write "64MiB" for mebibytes',
			),
			DEFAULT_TMPFS,
		),
	},
	"An empty file system in memory.",
);

const file = section(
	{
		writablePaths: v.optional(
			list(path("A path.", parseWritablePath, ["/tmp"]), "Files and folders of the host that are writable."),
			[],
		),
		readablePaths: v.optional(
			list(path("A path.", parsePath), "Files and folders of the host shown read-only over masks and tmpfs."),
			[],
		),
		maskedPaths: v.optional(
			list(
				path("A path.", parseMaskedPath, ["/mnt"]),
				"Files and folders that are not visible: an empty file or an empty folder in their place.",
			),
			[],
		),
		tmpfs: v.optional(list(tmpfs, "File systems in memory, empty at the start and gone at the end."), []),
	},
	"Files. A path may be in one of the lists only; of nested paths the innermost decides.",
);

const syscalls = v.lazy((input) => {
	if (typeof input === "object" && input !== null && !Array.isArray(input)) return seccomp;
	return v.picklist(["default", "strict"], `expected "default", "strict" or a seccomp object, got ${show(input)}`);
});

const security = section(
	{
		network: v.optional(network, {}),
		file: v.optional(file, {}),
		process: v.optional(
			section(
				{
					allow: v.optional(
						list(
							path("An executable. With @sha256: and its digest, only with that content.", parseAllowed, [
								"/usr/bin/ls",
							]),
							"The only executables that may run, by the file they resolve to. Empty: no restriction.",
						),
						[],
					),
				},
				"Processes.",
			),
			{},
		),
		syscalls: v.optional(
			v.pipe(
				syscalls,
				v.description(
					'System call filter: "default", "strict", or an object as in the OCI runtime specification\'s linux.seccomp. What vmjail always refuses stays refused.',
				),
			),
			"default",
		),
		mac: v.optional(
			section(
				{
					apparmor: v.optional(text("AppArmor profile.", "the name of a profile", parseMacLabel)),
					selinux: v.optional(text("SELinux label.", "a label", parseMacLabel)),
				},
				"Mandatory access control.",
			),
			{},
		),
	},
	"What the program may do.",
);

const preset = choice(PRESET_NAMES, "Name of a preset.");
const presets = v.lazy((input) =>
	typeof input === "string" ? preset : v.array(preset, said("the name of a preset, or a list of them")),
);

/** The whole file. Every key is optional; an unknown one is refused. */
export const policySchema = section(
	{
		$schema: v.optional(
			v.pipe(v.string(said("a text in quotes")), v.description("For editors; vmjail does not look at it.")),
		),
		extends: v.optional(
			v.pipe(
				presets,
				v.description(
					"Presets to start from, merged in order, before this file: objects merge, lists append, other values are replaced.",
				),
			),
		),
		system: v.optional(system, {}),
		security: v.optional(security, {}),
	},
	"vmjail policy",
);

export type PolicyInput = v.InferInput<typeof policySchema>;
export type PolicyOutput = v.InferOutput<typeof policySchema>;
