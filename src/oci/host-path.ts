/** From a path that a policy names to the path that is mounted: links resolved, kind known, trust checked. */

import { VmjailError } from "../errors.ts";
import type { HostFacts, PathFact, PathLink } from "../host/types.ts";
import { isClean } from "./paths.ts";

/** A path of the policy after the host has been asked about it. */
export interface HostPath {
	/** Free of links. */
	readonly real: string;
	readonly kind: PathFact["kind"];
}

/** A fact that {@link pathsOf} did not ask for is a fault of vmjail itself, so it is told apart from a missing path. */
export function factOf(facts: HostFacts, path: string, where: string): PathFact {
	const fact = facts.paths[path];
	if (fact === undefined) {
		throw new VmjailError("PATH_INVALID", `${where}: the host was not asked about ${path}`, {
			remedy: "Probe the host with every path that pathsOf(policy) names.",
		});
	}
	return fact;
}

/**
 * The link-free path behind `path`, which must exist.
 *
 * Links are followed only where nobody but root and the caller could have planted them: the link must belong to root
 * or to the caller, and the folder that holds it must not be open to others. Otherwise whoever owns `/tmp/work` could
 * point it at /etc and have the jail write there.
 *
 * @throws VmjailError PATH_INVALID
 */
export function existing(facts: HostFacts, path: string, where: string): HostPath {
	if (!isClean(path)) {
		throw new VmjailError("PATH_INVALID", `${where}: ${JSON.stringify(path)} is not a clean absolute path`, {
			remedy: 'Write it from "/" on, without ".", ".." or doubled slashes.',
		});
	}
	const fact = factOf(facts, path, where);
	if (fact.kind === "unreadable") {
		throw new VmjailError("PATH_INVALID", `${where}: ${path} cannot be looked up: permission denied`, {
			remedy: "Name a path that the caller may reach, or run vmjail as a user who may.",
		});
	}
	if (fact.kind === "missing" || fact.real === undefined) {
		throw new VmjailError("PATH_INVALID", `${where}: ${path} does not exist`, {
			remedy: `Create it on the host (mkdir -p ${path}), or take it out of the policy.`,
		});
	}
	refusePlantedLinks(fact, facts.caller.uid, where);
	return { real: fact.real, kind: fact.kind };
}

function refusePlantedLinks(fact: PathFact, callerUid: number, where: string): void {
	const links = fact.links ?? [];
	// A path that resolves elsewhere through links nobody described cannot be judged.
	if (links.length === 0 && fact.real !== fact.path) {
		throw new VmjailError("PATH_INVALID", `${where}: ${fact.path} leads to ${fact.real} through unknown links`, {
			remedy: `Name ${fact.real} itself.`,
		});
	}
	for (const link of links) {
		const reason = distrust(link, callerUid);
		if (reason === undefined) continue;
		throw new VmjailError(
			"PATH_INVALID",
			`${where}: ${fact.path} passes through the symbolic link ${link.path} -> ${link.target}, ${reason}`,
			{ remedy: `If ${fact.real} is meant, name it itself; else remove the link.` },
		);
	}
}

function distrust(link: PathLink, callerUid: number): string | undefined {
	if (link.ownerUid !== 0 && link.ownerUid !== callerUid) return `which belongs to another user (uid ${link.ownerUid})`;
	if (link.directoryWritableByOthers) return "which lies in a folder that other users can write to";
	return undefined;
}

/**
 * The facts, and one more for each path that a policy's path leads to: a spec names the real paths (what is masked,
 * what is bound), and whoever reads the spec looks those up.
 */
export function withRealPaths(facts: HostFacts): HostFacts {
	const real = Object.values(facts.paths).flatMap((fact): readonly (readonly [string, PathFact])[] => {
		if (fact.real === undefined || fact.real === fact.path) return [];
		const { links: _links, ...rest } = fact;
		return [[fact.real, { ...rest, path: fact.real }]];
	});
	return { ...facts, paths: { ...Object.fromEntries(real), ...facts.paths } };
}
