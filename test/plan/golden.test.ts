import { describe, expect, it } from "vitest";
import type { Policy } from "../../src/policy/types.ts";
import { network, policyOf } from "../helpers/policy.ts";
import { file, folder, linked, ROOT_USER } from "../oci/fixtures.ts";
import { type PlannedParts, planned } from "./fixtures.ts";
import { render } from "./render.ts";

const CASES: readonly (readonly [name: string, policy: Policy, host: PlannedParts])[] = [
	["ordinary-user", policyOf(), {}],
	["root", policyOf(), { caller: ROOT_USER }],
	["no-landlock", policyOf({}), { landlockAbi: 0 }],
	["newest-landlock", policyOf({}), { landlockAbi: 6 }],
	["host-network", policyOf({ network: network("host") }), {}],
	[
		"capabilities",
		policyOf({ system: { capabilities: ["CAP_NET_BIND_SERVICE", "CAP_SYS_NICE"] } }),
		{ caller: ROOT_USER },
	],
	[
		"files",
		policyOf({
			file: {
				writablePaths: ["/srv/out", "/srv/hidden/open", "/var/log/app.log"],
				readablePaths: ["/srv/hidden/shown"],
				maskedPaths: ["/srv/hidden", "/etc/secret", "/mnt"],
				tmpfs: [{ path: "/scratch", sizeBytes: 1 << 20 }],
			},
		}),
		{
			paths: [
				...["/srv/out", "/srv/hidden", "/srv/hidden/open", "/srv/hidden/shown", "/scratch"].map(folder),
				...["/var/log/app.log", "/etc/secret"].map(file),
				linked("/mnt", "/media"),
			],
		},
	],
	[
		"allow-list",
		policyOf({ file: { writablePaths: ["/out", "/opt"] }, allow: ["/bin/sh", "/opt/tool"] }),
		{
			paths: ["/out", "/opt"].map(folder),
			programs: [
				{ path: "/bin/sh", real: "/usr/bin/dash", interpreters: [], loaders: ["/lib/ld.so"] },
				{ path: "/opt/tool", real: "/opt/tool", interpreters: ["/usr/bin/python3"], loaders: ["/lib/ld.so"] },
			],
		},
	],
	[
		"terminal-and-limits",
		policyOf({ system: { rlimits: { nofile: 64, fsize: Number.POSITIVE_INFINITY } } }),
		{
			command: ["sh", "-c", "id"],
			workload: {
				terminal: { size: { rows: 24, columns: 80 }, streams: ["stdin", "stdout"] },
				cpuLimitMs: 1500,
				wallLimitMs: 3000,
			},
		},
	],
];

describe("plans of fixed policies on fixed hosts", () => {
	it.each(CASES)("%s", async (name, policy, host) => {
		await expect(render(planned(policy, host))).toMatchFileSnapshot(`golden/${name}.txt`);
	});
});
