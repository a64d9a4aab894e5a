/** What OCI has no field for: annotations `dev.vmjail.*`, written and read back. */

import type { Policy } from "../policy/types.ts";
import { parseControls, parseNetwork, parsePrograms, parseWhole } from "./annotation-values.ts";
import { specInvalid } from "./check.ts";
import type { Spec } from "./types.ts";

const PREFIX = "dev.vmjail.";

const KEYS = {
	version: "dev.vmjail.version",
	network: "dev.vmjail.network",
	allow: "dev.vmjail.process.allow",
	cpuMs: "dev.vmjail.time.cpuMs",
	wallMs: "dev.vmjail.time.wallMs",
	outputMaxBytes: "dev.vmjail.output.maxBytes",
	optional: "dev.vmjail.optional",
} as const;

/** Of this layout; a reader refuses any other. */
const VERSION = "1";

/** The part of a policy that travels in annotations. */
export interface Annotations {
	readonly network: Policy["security"]["network"];
	/** Programs that may run; empty: no restriction. As the policy spells them. */
	readonly allow: readonly string[];
	readonly cpuMs?: number;
	readonly wallMs?: number;
	readonly outputMaxBytes?: number;
	readonly optional: Policy["system"]["optional"];
}

/** Annotations for a policy. {@link readAnnotations} gives the same values back. */
export function annotationsOf(policy: Policy): Readonly<Record<string, string>> {
	const { time, output, optional } = policy.system;
	const { network, process: programs } = policy.security;
	return {
		[KEYS.version]: VERSION,
		[KEYS.network]: JSON.stringify(network),
		...(programs.allow.length === 0 ? {} : { [KEYS.allow]: JSON.stringify(programs.allow) }),
		...(time.cpuMs === undefined ? {} : { [KEYS.cpuMs]: String(time.cpuMs) }),
		...(time.wallMs === undefined ? {} : { [KEYS.wallMs]: String(time.wallMs) }),
		...(output.maxBytes === undefined ? {} : { [KEYS.outputMaxBytes]: String(output.maxBytes) }),
		...(optional.length === 0 ? {} : { [KEYS.optional]: JSON.stringify(optional) }),
	};
}

/**
 * The annotations of a spec, which may come from anybody's config.json.
 *
 * A spec that carries none is another program's: its namespaces say whether it has a network.
 *
 * @throws VmjailError SPEC_INVALID for an unknown `dev.vmjail.` key or version (a control that would go unenforced), a
 *   value of the wrong shape, or a network mode that the spec's namespaces contradict.
 */
export function readAnnotations(spec: Pick<Spec, "annotations" | "linux">): Annotations {
	const all = spec.annotations ?? {};
	const own = Object.keys(all).filter((key) => key.startsWith(PREFIX));
	const ownNetwork = spec.linux.namespaces.some((namespace) => namespace.type === "network");
	if (own.length === 0) return foreign(ownNetwork);
	const known: readonly string[] = Object.values(KEYS);
	for (const key of own) {
		if (!known.includes(key)) throw specInvalid(at(key), "is not known to this version of vmjail");
	}
	if (all[KEYS.version] !== VERSION) throw specInvalid(at(KEYS.version), `is not ${JSON.stringify(VERSION)}`);
	const network = parseNetwork(all[KEYS.network] ?? "", at(KEYS.network));
	if ((network.mode === "host") === ownNetwork) {
		const has = ownNetwork ? "a network namespace" : "no network namespace";
		throw specInvalid(at(KEYS.network), `says mode ${JSON.stringify(network.mode)}, and the spec has ${has}`);
	}
	const whole = (key: "cpuMs" | "wallMs" | "outputMaxBytes") => {
		const text = all[KEYS[key]];
		return text === undefined ? {} : { [key]: parseWhole(text, at(KEYS[key])) };
	};
	return {
		network,
		allow: parsePrograms(all[KEYS.allow], at(KEYS.allow)),
		...whole("cpuMs"),
		...whole("wallMs"),
		...whole("outputMaxBytes"),
		optional: parseControls(all[KEYS.optional], at(KEYS.optional)),
	};
}

function foreign(ownNetwork: boolean): Annotations {
	const policy = { listen: [], tcp: [], udp: [], dns: [] };
	return { network: { mode: ownNetwork ? "none" : "host", policy }, allow: [], optional: [] };
}

function at(key: string): string {
	return `annotations[${JSON.stringify(key)}]`;
}
