/** Whatever is read as a policy gives a policy or one of two errors: never a crash, never a policy by accident. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VmjailError } from "../../src/errors.ts";
import { POLICY_FLAGS } from "../../src/policy/flag-table.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import type { Policy } from "../../src/policy/types.ts";
import { CONTEXT, policyOf, policyOfJson } from "./helpers.ts";

const VALID = `{
	// a policy that uses much
	"extends": ["default"],
	"system": {
		"runtime": "runlc", "rollback": "", "accel": "ptrace", "root": { "path": "/", "readonly": true },
		"memory": { "max": 1073741824, "swap": "0B" }, "cpu": { "number": 4, "pin": "0-1" }, "pids": { "max": 256 },
		"io": { "readBps": "50MiB" }, "time": { "cpu": "10s", "wall": "60s" }, "output": { "max": "64MiB" },
		"rlimits": { "nofile": 1024, "fsize": "256MiB", "core": 0 }, "devices": ["/dev/null"], "capabilities": ["CAP_KILL"],
		"user": { "uid": 1000, "gid": 1000 }, "hostname": "jail", "cwd": "/work",
		"env": { "pass": ["LANG"], "set": { "A": "1" } }, "optional": ["memory"],
	},
	"security": {
		"network": { "mode": "hostwithpolicy", "policy": { "listen": [80], "tcp": ["1.1.1.1:"], "udp": ["*:53"], "dns": ["*.npm.org:*"] } },
		"file": { "writablePaths": ["/srv/a"], "maskedPaths": ["/mnt"], "tmpfs": [{ "path": "/scratch", "size": "64MiB" }] },
		"process": { "allow": ["/usr/bin/ls"] },
		"syscalls": { "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["bpf"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 18446744073709551615, "op": "SCMP_CMP_EQ" }] }] },
		"mac": { "apparmor": "profile" },
	},
}`;

/** The policy, or undefined where it was refused as it should be. */
function tried(load: () => Policy): Policy | undefined {
	try {
		return load();
	} catch (error) {
		if (!(error instanceof VmjailError)) throw error;
		expect(["POLICY_SYNTAX", "POLICY_INVALID"]).toContain(error.code);
		expect(error.message).not.toBe("");
		expect(error.remedy).toBeTruthy();
		return undefined;
	}
}

/** `policy` as a document: what normalisation gave, written so that a file can say it. */
function written({ system, security }: Policy): object {
	const { maxBytes, swapBytes } = system.memory;
	const { policy: rules } = security.network;
	const bytes = (size: number | undefined) => (size === undefined ? {} : { max: size });
	const duration = (ms: number | undefined) => (ms === undefined ? undefined : `${ms}ms`);
	return {
		system: {
			...system,
			memory: { ...bytes(maxBytes), swap: swapBytes },
			cpu: { number: system.cpu.cores, pin: system.cpu.pin },
			io: { readBps: system.io.readBytesPerSecond, writeBps: system.io.writeBytesPerSecond },
			time: { cpu: duration(system.time.cpuMs), wall: duration(system.time.wallMs) },
			output: bytes(system.output.maxBytes),
			rlimits: Object.fromEntries(
				Object.entries(system.rlimits).map(([name, value]) => [
					name,
					value === Number.POSITIVE_INFINITY ? "unlimited" : value,
				]),
			),
		},
		security: {
			...security,
			network: {
				mode: security.network.mode,
				policy: {
					listen: rules.listen.map(
						({ hostAddress, hostPort, jailPort }) =>
							`${hostAddress.includes(":") ? `[${hostAddress}]` : hostAddress}:${hostPort}->${jailPort}`,
					),
					tcp: rules.tcp.map(({ text }) => text),
					udp: rules.udp.map(({ text }) => text),
					dns: rules.dns.map(({ text }) => text),
				},
			},
			file: { ...security.file, tmpfs: security.file.tmpfs.map(({ path, sizeBytes }) => ({ path, size: sizeBytes })) },
		},
	};
}

/** JSON with bigints in full digits. */
function json(value: unknown): string {
	const marked = JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? `@@${inner}@@` : inner));
	return marked.replace(/"@@(\d+)@@"/g, "$1");
}

const HOSTILE_KEYS = [
	"__proto__",
	"constructor",
	"prototype",
	"toString",
	"hasOwnProperty",
	"valueOf",
	"",
	"0",
	"length",
	"\u0000",
	"\ud800",
	"system",
	"security",
	"extends",
	"file",
	"network",
	"memory",
	"max",
	"env",
	"set",
	"tmpfs",
	"syscalls",
];
const hostileValue = fc.letrec((tie) => ({
	value: fc.oneof(
		{ depthSize: "small", withCrossShrink: true },
		fc.constantFrom<unknown>(
			null,
			true,
			-0,
			-1,
			1e300,
			2 ** 53,
			"",
			"\0",
			"~",
			"/",
			"../..",
			"*",
			"[",
			"::",
			"0",
			"default",
			"agent",
			"1GiB",
		),
		fc.string({ unit: "binary", maxLength: 8 }),
		fc.array(tie("value"), { maxLength: 4 }),
		fc
			.array(fc.tuple(fc.constantFrom(...HOSTILE_KEYS), tie("value")), { maxLength: 5 })
			.map((entries) => Object.fromEntries(entries)),
	),
})).value;

describe("fuzz", () => {
	it("random bytes", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
				tried(() => policyOf(bytes));
			}),
			{ numRuns: 2000 },
		);
	});

	it("random text of JSON's own characters", () => {
		const text = fc.array(
			fc.constantFrom(
				"{",
				"}",
				"[",
				"]",
				":",
				",",
				'"',
				"\\",
				"//",
				"/*",
				"*/",
				"\n",
				" ",
				"system",
				'"system"',
				'"a"',
				"1",
				"-",
				"e9",
				".",
				"true",
				"null",
				"\ufeff",
			),
			{ maxLength: 40 },
		);
		fc.assert(
			fc.property(text, (parts) => {
				tried(() => policyOf(parts.join("")));
			}),
			{ numRuns: 3000 },
		);
	});

	it("a valid policy with a part cut out, doubled or overwritten", () => {
		const at = fc.nat(VALID.length);
		const with_ = fc.oneof(
			fc.constant(""),
			fc.string({ unit: "binary", maxLength: 6 }),
			fc.tuple(at, fc.nat(60)).map(([from, length]) => VALID.slice(from, from + length)),
		);
		fc.assert(
			fc.property(at, fc.nat(40), with_, (from, length, replacement) => {
				tried(() => policyOf(VALID.slice(0, from) + replacement + VALID.slice(from + length)));
			}),
			{ numRuns: 1500 },
		);
	});

	it("a valid policy cut short is always refused", () => {
		for (let length = 0; length < VALID.length; length++)
			expect(tried(() => policyOf(VALID.slice(0, length)))).toBeUndefined();
		expect(tried(() => policyOf(VALID))).toBeDefined();
	});

	it("hostile keys and values anywhere", () => {
		fc.assert(
			fc.property(
				hostileValue,
				fc.constantFrom(
					"",
					"system",
					"security",
					"security.file",
					"system.env.set",
					"security.syscalls",
					"system.rlimits",
				),
				(value, place) => {
					const document =
						place === "" ? value : place.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
					const text = JSON.stringify(document);
					tried(() => policyOf(text));
					expect(Object.prototype).not.toHaveProperty("max");
				},
			),
			{ numRuns: 3000 },
		);
	});

	it("flags with anything in them", () => {
		const names = fc.constantFrom(...POLICY_FLAGS.map(({ name }) => name), "__proto__", "toString");
		const value = fc.oneof(
			fc.string({ unit: "binary", maxLength: 12 }),
			fc.constantFrom("1", "/x", "/x:1MiB", "a=b", "1:1", "*:53", "npm.org:*", "64MiB", "10s", "none", "agent"),
		);
		fc.assert(
			fc.property(fc.array(fc.tuple(names, fc.array(value, { maxLength: 3 })), { maxLength: 5 }), (entries) => {
				tried(() => loadPolicy({ ...CONTEXT, flags: Object.fromEntries(entries) }));
			}),
			{ numRuns: 2000 },
		);
	});
});

describe("a normalised policy, written down and read again, is the same", () => {
	it("for one that uses much", () => {
		const policy = policyOf(VALID);
		expect(policyOf(json(written(policy)))).toEqual(policy);
	});

	it("for made-up ones", () => {
		const path = fc
			.array(
				fc.stringMatching(/^[a-z.]{1,6}$/).filter((part) => !/^\.+$/.test(part)),
				{ minLength: 1, maxLength: 3 },
			)
			.map((parts) => `/p/${parts.join("/")}`);
		const port = fc.integer({ min: 1, max: 65535 });
		const document = fc.record({
			system: fc.record(
				{
					memory: fc.record({
						max: fc.oneof(fc.integer({ min: 2 ** 20 }), fc.constantFrom("1.5GiB", "700MB")),
						swap: fc.nat(),
					}),
					cpu: fc.record({
						number: fc.double({ min: 0.01, max: 64, noNaN: true }),
						pin: fc.constantFrom("0", "1,0", "5-7,6-9"),
					}),
					time: fc.record({ cpu: fc.integer({ min: 1, max: 9999 }).map((s) => `${s}s`) }),
					rlimits: fc.record({ nofile: fc.nat(), stack: fc.constantFrom("unlimited", "8MiB", 0) }),
					capabilities: fc.subarray(["CAP_KILL", "net_admin", "SYS_ADMIN"]),
					env: fc.record({
						pass: fc.subarray(["A", "B", "PATH"]),
						set: fc.dictionary(fc.stringMatching(/^[A-Z]{1,3}$/), fc.string()),
					}),
				},
				{ requiredKeys: [] },
			),
			security: fc.record({
				file: fc.record({ writablePaths: fc.array(path, { maxLength: 3 }) }),
				network: fc.record({
					policy: fc.record({
						listen: fc.uniqueArray(port, { maxLength: 3 }),
						tcp: fc.array(
							fc.tuple(fc.ipV4(), port).map(([host, number]) => `${host}:${number}`),
							{ maxLength: 3 },
						),
						dns: fc.array(
							fc.tuple(fc.domain(), port).map(([name, number]) => `*.${name}:${number}`),
							{ maxLength: 3 },
						),
					}),
				}),
			}),
		});
		fc.assert(
			fc.property(document, (input) => {
				const policy = tried(() => policyOfJson(input));
				fc.pre(policy !== undefined);
				if (policy !== undefined) expect(policyOf(json(written(policy)))).toEqual(policy);
			}),
			{ numRuns: 300 },
		);
	});
});
