import type { HostFacts, PathFact, PathLink } from "../../src/host/types.ts";
import { pathsOf } from "../../src/oci/spec.ts";
import type { Policy } from "../../src/policy/types.ts";

const CALLER = { uid: 1000, gid: 1000, groups: [1000], privileged: false, cwd: "/", env: {} };

/** An ordinary user's machine: nothing special. */
const HOST: Omit<HostFacts, "paths"> = {
	arch: "x86_64",
	kernel: { release: "6.1.0", major: 6, minor: 1 },
	caller: CALLER,
	idMap: { uids: [{ from: 0, count: 4294967295 }], gids: [{ from: 0, count: 4294967295 }] },
	landlockAbi: 2,
	mac: { apparmor: false, selinux: false },
	cpus: 2,
	cgroup: { v1: [], blockDevices: [{ major: 254, minor: 0, name: "vda" }] },
};

export function folder(path: string): PathFact {
	return { path, real: path, kind: "directory" };
}

export function file(path: string): PathFact {
	return { path, real: path, kind: "file" };
}

/** A folder behind one link at `path` itself, planted by nobody unless the link says otherwise. */
export function linked(path: string, real: string, link: Partial<PathLink> = {}): PathFact {
	const links = [{ path, target: real, ownerUid: 0, directoryWritableByOthers: false, ...link }];
	return { path, real, kind: "directory", links };
}

export interface HostParts {
	readonly caller?: Partial<HostFacts["caller"]>;
	readonly idMap?: HostFacts["idMap"];
	readonly blockDevices?: HostFacts["cgroup"]["blockDevices"];
	readonly paths?: readonly PathFact[];
}

/** Facts for a policy: of all paths that specOf asks about, those not given do not exist. */
export function factsFor(policy: Policy, parts: HostParts = {}): HostFacts {
	const caller = { ...CALLER, ...parts.caller };
	const asked = pathsOf(policy, { caller }).map((path): PathFact => ({ path, kind: "missing" }));
	return {
		...HOST,
		caller,
		idMap: parts.idMap ?? HOST.idMap,
		cgroup: { ...HOST.cgroup, blockDevices: parts.blockDevices ?? HOST.cgroup.blockDevices },
		paths: Object.fromEntries([...asked, ...(parts.paths ?? [])].map((fact) => [fact.path, fact])),
	};
}

export const ROOT_USER = { uid: 0, gid: 0, groups: [0], privileged: true } as const;
