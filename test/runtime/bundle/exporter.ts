/** Run as a program of its own: exports a bundle as whoever runs it, from the mount namespace that it runs in. */

import { readFileSync } from "node:fs";
import { probePaths } from "../../../src/host/paths.ts";
import type { HostFacts } from "../../../src/host/types.ts";
import { pathsOf, specOf } from "../../../src/oci/spec.ts";
import type { Policy } from "../../../src/policy/types.ts";
import { exportBundle } from "../../../src/runtime/bundle/export.ts";

export interface ExportRequest {
	readonly policy: Policy;
	readonly command: readonly string[];
	readonly dir: string;
	/** OCI linux.cgroupsPath. */
	readonly cgroupsPath: string;
}

const request = JSON.parse(readFileSync(0, "utf8")) as ExportRequest;
const uid = process.geteuid?.() ?? 0;
const caller = {
	uid,
	gid: process.getegid?.() ?? 0,
	groups: [],
	privileged: uid === 0,
	cwd: process.cwd(),
	env: {},
};
const all = [{ from: 0, count: 4294967295 }];
const facts: HostFacts = {
	arch: process.arch === "arm64" ? "aarch64" : "x86_64",
	kernel: { release: "", major: 0, minor: 0 },
	caller,
	idMap: { uids: all, gids: all },
	landlockAbi: 0,
	mac: { apparmor: false, selinux: false },
	cpus: 1,
	cgroup: { v1: [], blockDevices: [] },
	paths: probePaths(pathsOf(request.policy, { caller })),
};
const spec = specOf({ policy: request.policy, facts, command: request.command });
exportBundle({ spec: { ...spec, linux: { ...spec.linux, cgroupsPath: request.cgroupsPath } }, dir: request.dir });
