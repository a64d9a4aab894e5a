/** (Policy, HostFacts) → OCI Spec: the narrow waist that every runtime is driven through. */

import { VmjailError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { annotationsOf } from "./annotations.ts";
import { baseMounts, basePaths } from "./base-mounts.ts";
import { cwdOf, cwdPath } from "./cwd.ts";
import { mappingsOf } from "./identity.ts";
import { layersOf } from "./layers.ts";
import { MASKED, maskedPathsOf, mountsOf, WRITE_PROTECTED } from "./mounts.ts";
import { below } from "./paths.ts";
import { processOf } from "./process.ts";
import { resourcesOf } from "./resources.ts";
import { seccompOf } from "./seccomp-of.ts";
import type { Linux, Spec } from "./types.ts";

const OCI_VERSION = "1.2.0";

export interface SpecInput {
	readonly policy: Policy;
	/** With a fact for each of {@link pathsOf}. */
	readonly facts: HostFacts;
	/** Program and arguments, at least one. */
	readonly command: readonly string[];
	/** Is the program's standard input a terminal of its own? Default: no. */
	readonly terminal?: boolean;
}

/**
 * The spec that gives this policy its meaning on this host. Valid against the OCI runtime specification 1.2, whether or
 * not this version of vmjail can enforce all of it (see unavailable()).
 *
 * @throws VmjailError PATH_INVALID (a path is missing, of the wrong kind, or reached through a link that somebody else
 *   may have planted), HOST_UNSUPPORTED (user or io limit that this host or caller cannot give), POLICY_INVALID
 *   (lists that contradict each other once their links are resolved), USAGE (no command).
 */
export function specOf({ policy, facts, command, terminal = false }: SpecInput): Spec {
	if (command.length === 0) {
		throw new VmjailError("USAGE", "there is no command to run", { remedy: "Name a program: vmjail -- PROGRAM." });
	}
	const layers = layersOf(policy, facts);
	const base = baseMounts(policy, facts);
	const cwd = cwdOf(policy, facts, base, layers);
	return {
		ociVersion: OCI_VERSION,
		process: processOf({ policy, facts, command, terminal, cwd }),
		root: { path: policy.system.root.path, readonly: policy.system.root.readonly },
		hostname: policy.system.hostname,
		mounts: mountsOf(base, layers),
		annotations: annotationsOf(policy),
		linux: linuxOf(policy, facts, maskedPathsOf(layers)),
	};
}

/**
 * Every path that {@link specOf} needs a fact for, and those that every jail masks or write-protects (a planner asks
 * which of them exist), each once.
 */
export function pathsOf(policy: Policy, facts: Pick<HostFacts, "caller" | "kernelMounts">): readonly string[] {
	const { writablePaths, readablePaths, maskedPaths, tmpfs } = policy.security.file;
	const inRoot = [...maskedPaths, ...tmpfs.map((mount) => mount.path), ...writablePaths, ...readablePaths];
	const root = policy.system.root.path;
	return [
		...new Set([
			...inRoot.map((path) => below(root, path)),
			...writablePaths,
			...readablePaths,
			...basePaths(policy),
			cwdPath(policy, facts),
			...(facts.kernelMounts ?? []),
			...MASKED,
			...WRITE_PROTECTED,
		]),
	];
}

function linuxOf(policy: Policy, facts: HostFacts, maskedPaths: readonly string[]): Linux {
	const resources = resourcesOf(policy, facts);
	const types = ["user", "mount", "pid", "ipc", "uts", "cgroup"] as const;
	const network = policy.security.network.mode === "host" ? [] : (["network"] as const);
	return {
		namespaces: [...types, ...network].map((type) => ({ type })),
		uidMappings: mappingsOf(facts, "uids"),
		gidMappings: mappingsOf(facts, "gids"),
		...(resources === undefined ? {} : { resources }),
		seccomp: seccompOf(policy, facts.arch),
		maskedPaths,
		readonlyPaths: WRITE_PROTECTED,
	};
}
