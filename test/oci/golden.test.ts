import { describe, expect, it } from "vitest";
import { specToJson } from "../../src/oci/json.ts";
import { specOf } from "../../src/oci/spec.ts";
import type { Policy } from "../../src/policy/types.ts";
import { network, policyOf } from "../helpers/policy.ts";
import { factsFor, file, folder, type HostParts, ROOT_USER } from "./fixtures.ts";

const DEVICE = { path: "/dev/fuse", real: "/dev/fuse", kind: "char", device: { major: 10, minor: 229 } } as const;

const CASES: readonly (readonly [name: string, policy: Policy, host: HostParts])[] = [
	["plain-user", policyOf(), { caller: { cwd: "/home/ann/work" }, paths: [folder("/home/ann/work")] }],
	[
		"default-like-root",
		policyOf({
			system: {
				memory: { maxBytes: 1 << 30, swapBytes: 0 },
				pids: { max: 256 },
				env: { pass: ["LANG", "PATH"], set: { HOME: "/tmp" } },
				optional: ["memory", "pids"],
			},
			file: {
				maskedPaths: ["/home", "/root"],
				readablePaths: ["/home/ann/work"],
				tmpfs: [{ path: "/tmp", sizeBytes: 256 << 20 }],
			},
		}),
		{
			caller: { ...ROOT_USER, cwd: "/home/ann/work", env: { LANG: "C.UTF-8", PATH: "/bin", SECRET: "x" } },
			paths: ["/home", "/root", "/home/ann/work", "/tmp"].map(folder),
		},
	],
	[
		"everything",
		policyOf({
			system: {
				root: { path: "/", readonly: false },
				memory: { maxBytes: 64 << 20, swapBytes: 1 << 20 },
				cpu: { cores: 1.5, pin: "0-1" },
				pids: { max: 64 },
				io: { readBytesPerSecond: 1000, writeBytesPerSecond: 2000 },
				time: { cpuMs: 10_000, wallMs: 60_000 },
				output: { maxBytes: 1 << 20 },
				rlimits: { nofile: 64, fsize: Number.POSITIVE_INFINITY },
				devices: ["/dev/fuse"],
				capabilities: ["CAP_NET_BIND_SERVICE"],
				user: { uid: 65534, gid: 65534 },
				hostname: "box",
				cwd: "/srv/data",
				env: { pass: ["ABSENT"], set: { PATH: "/opt/bin", A: "1" } },
				optional: ["io"],
			},
			network: {
				mode: "hostwithpolicy",
				policy: {
					listen: [{ hostAddress: "127.0.0.1", hostPort: 8080, jailPort: 80 }],
					tcp: [{ host: "1.1.1.1", ports: { from: 0, to: 65535 }, text: "1.1.1.1:" }],
					udp: [{ host: "*", ports: { from: 53, to: 53 }, text: "*:53" }],
					dns: [{ name: "npm.org", subdomains: true, ports: { from: 0, to: 65535 }, text: "*.npm.org:*" }],
				},
			},
			file: {
				writablePaths: ["/srv", "/srv/ro/rw", "/var/log/app.log"],
				readablePaths: ["/srv/ro"],
				maskedPaths: ["/srv/data/secret", "/var/log/gone"],
				tmpfs: [{ path: "/srv/data/tmp", sizeBytes: 4096 }],
			},
			allow: ["/usr/bin/ls"],
			mac: { apparmor: "vmjail" },
		}),
		{
			caller: ROOT_USER,
			paths: [
				...["/srv", "/srv/ro", "/srv/ro/rw", "/srv/data", "/srv/data/tmp", "/srv/data/secret"].map(folder),
				file("/var/log/app.log"),
				DEVICE,
			],
		},
	],
	[
		"host-network",
		policyOf({ network: network("host") }),
		{ paths: [{ ...file("/etc/resolv.conf"), real: "/run/systemd/resolve/stub-resolv.conf" }] },
	],
	[
		"other-root",
		policyOf({
			system: { root: { path: "/srv/image", readonly: true } },
			file: { writablePaths: ["/work"], maskedPaths: ["/etc/secret"] },
		}),
		{
			caller: { cwd: "/home/ann" },
			paths: [
				...["/work", "/srv/image", "/srv/image/work", "/srv/image/proc", "/srv/image/dev", "/srv/image/sys"].map(
					folder,
				),
				file("/srv/image/etc/secret"),
			],
		},
	],
];

describe("specs of fixed policies on fixed hosts", () => {
	it.each(CASES)("%s", async (name, policy, host) => {
		const spec = specOf({ policy, facts: factsFor(policy, host), command: ["sh", "-c", "id"] });
		// The seccomp profiles have tests and golden files of their own.
		const { seccomp, ...linux } = spec.linux;
		expect(seccomp).toBeDefined();
		await expect(specToJson({ ...spec, linux })).toMatchFileSnapshot(`golden/${name}.json`);
	});
});
