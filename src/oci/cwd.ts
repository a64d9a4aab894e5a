/** The working directory: it must exist and be visible in the jail. */

import { VmjailError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { existing } from "./host-path.ts";
import type { Layer } from "./layers.ts";
import { below, isBelow, isWithin } from "./paths.ts";
import type { Mount } from "./types.ts";

/** The host's path that {@link cwdOf} looks at. */
export function cwdPath(policy: Policy, facts: Pick<HostFacts, "caller">): string {
	return onHost(policy, policy.system.cwd ?? callerCwd(policy, facts));
}

/** A view shows the host's own path; everything else lies in the root. */
function onHost(policy: Policy, path: string): string {
	const { readablePaths, writablePaths } = policy.security.file;
	const viewed = [...readablePaths, ...writablePaths].some((view) => isWithin(path, view));
	return viewed ? path : below(policy.system.root.path, path);
}

/**
 * The policy's working directory, or the caller's where the jail shows it, else "/".
 *
 * @throws VmjailError PATH_INVALID where the policy names one that the jail does not show.
 */
export function cwdOf(policy: Policy, facts: HostFacts, base: readonly Mount[], layers: readonly Layer[]): string {
	const asked = policy.system.cwd;
	const path = asked ?? callerCwd(policy, facts);
	const cover = coverOf(path, base, layers);
	if (cover.empty && isMade(path, cover.path, base, layers)) return path;
	if (!cover.empty) {
		const found = lookUp(policy, facts, path, asked !== undefined);
		// Behind a link the folder may be hidden although its spelling is not.
		if (found !== undefined && !coverOf(found, base, layers).empty) return found;
	}
	if (asked === undefined) return "/";
	throw new VmjailError("PATH_INVALID", `system.cwd: ${path} is hidden in the jail by what lies on ${cover.path}`, {
		remedy: `Show it (security.file.readablePaths or writablePaths), or choose another working directory.`,
	});
}

/** Under a root of its own the caller's folder means nothing. */
function callerCwd(policy: Policy, facts: Pick<HostFacts, "caller">): string {
	return policy.system.root.path === "/" ? facts.caller.cwd : "/";
}

function lookUp(policy: Policy, facts: HostFacts, path: string, must: boolean): string | undefined {
	const place = onHost(policy, path);
	if (!must && facts.paths[place]?.kind !== "directory") return undefined;
	const { real, kind } = existing(facts, place, "system.cwd");
	if (kind !== "directory") {
		throw new VmjailError("PATH_INVALID", `system.cwd: ${path} is not a folder`, { remedy: "Name a folder." });
	}
	return policy.system.root.path === "/" ? real : path;
}

/** The deepest mount at or above the path; "empty" where it shows nothing of the host. */
function coverOf(
	path: string,
	base: readonly Mount[],
	layers: readonly Layer[],
): { readonly path: string; readonly empty: boolean } {
	const covers = [
		...base.map((mount) => ({ path: mount.destination, empty: mount.type !== "bind" || mount.destination === "/sys" })),
		...layers.map((layer) => ({ path: layer.path, empty: layer.kind === "mask" || layer.kind === "tmpfs" })),
	];
	return covers
		.filter((cover) => isWithin(path, cover.path))
		.reduce((deepest, cover) => (cover.path.length >= deepest.path.length ? cover : deepest), {
			path: "/",
			empty: false,
		});
}

/** In an otherwise empty folder: a tmpfs itself, and every folder on the way to a deeper mount point. */
function isMade(path: string, cover: string, base: readonly Mount[], layers: readonly Layer[]): boolean {
	const own = layers.find((layer) => layer.path === cover);
	if (own?.kind === "tmpfs" && path === cover) return true;
	if (own === undefined) return path === cover && base.some((mount) => mount.destination === path) && path !== "/run";
	return layers.some((layer) => isBelow(layer.path, path));
}
