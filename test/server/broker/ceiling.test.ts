import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Policy } from "../../../src/policy/types.ts";
import { narrowed } from "../../../src/server/broker/ceiling.ts";
import { network, type PolicyParts, policyOf } from "../../helpers/policy.ts";

const GIB = 2 ** 30;
const ceiling = policyOf({
	system: {
		memory: { maxBytes: GIB, swapBytes: 0 },
		pids: { max: 64 },
		time: { cpuMs: 1000, wallMs: 5000 },
		output: { maxBytes: 100 },
		cpu: { cores: 2, pin: "0-3" },
		rlimits: { nofile: 100 },
		optional: ["io"],
	},
	file: { maskedPaths: ["/srv/secret"] },
	allow: ["/usr/bin/true", "/usr/bin/env"],
});

const asked = (parts: PolicyParts) => () => narrowed(policyOf(parts), ceiling);

describe("a caller's policy", () => {
	it("gets every limit that it leaves out", () => {
		const policy = asked({})();
		expect(policy.system).toMatchObject({
			memory: { maxBytes: GIB },
			pids: { max: 64 },
			time: { cpuMs: 1000, wallMs: 5000 },
			output: { maxBytes: 100 },
			cpu: { cores: 2, pin: "0-3" },
			rlimits: { nofile: 100 },
		});
		expect(policy.security.file.maskedPaths).toEqual(["/srv/secret"]);
		expect(policy.security.process.allow).toEqual(["/usr/bin/true", "/usr/bin/env"]);
	});

	it("may be narrower", () => {
		const own = {
			memory: { maxBytes: 5, swapBytes: 0 },
			cpu: { pin: "1,2" },
			rlimits: { nofile: 3, core: 0 },
		};
		const policy = asked({ system: own, allow: ["/usr/bin/true"], syscalls: "strict" })();
		expect(policy.system).toMatchObject({ memory: { maxBytes: 5 }, cpu: { cores: 2, pin: "1,2" } });
		expect(policy.system.rlimits).toEqual({ nofile: 3, core: 0 });
		expect(policy.security).toMatchObject({ process: { allow: ["/usr/bin/true"] }, syscalls: "strict" });
	});

	it.each<[string, PolicyParts]>([
		["system.memory.max", { system: { memory: { maxBytes: GIB + 1, swapBytes: 0 } } }],
		["system.memory.swap", { system: { memory: { swapBytes: 1 } } }],
		["system.pids.max", { system: { pids: { max: 65 } } }],
		["system.time.cpu", { system: { time: { cpuMs: 1001 } } }],
		["system.time.wall", { system: { time: { wallMs: 5001 } } }],
		["system.output.max", { system: { output: { maxBytes: 101 } } }],
		["system.cpu.number", { system: { cpu: { cores: 3 } } }],
		["system.cpu.pin", { system: { cpu: { pin: "3-4" } } }],
		["system.rlimits.nofile", { system: { rlimits: { nofile: Number.POSITIVE_INFINITY } } }],
		["system.capabilities", { system: { capabilities: ["CAP_SYS_ADMIN"] } }],
		["system.devices", { system: { devices: ["/dev/sda"] } }],
		["security.network.mode", { network: network("host") }],
		["security.network.mode", { network: network("hostwithpolicy") }],
		["security.process.allow", { allow: ["/usr/bin/sh"] }],
		["security.file", { file: { writablePaths: ["/srv/secret/x"] } }],
		["security.file", { file: { readablePaths: ["/srv/secret"] } }],
		["security.file", { file: { tmpfs: [{ path: "/srv/secret", sizeBytes: 4096 }] } }],
		["security.syscalls", { syscalls: { defaultAction: "SCMP_ACT_ALLOW" } }],
	])("must not widen %s", (path, parts) => {
		expect(asked(parts)).toThrow(path);
	});

	it("has nothing optional that the broker wants", () => {
		expect(asked({ system: { optional: ["memory", "io"] } })().system.optional).toEqual(["io"]);
	});

	it("must keep to a stricter runtime, filter and network than the usual", () => {
		const strict = policyOf({ system: { runtime: "runsc" }, syscalls: "strict" });
		expect(() => narrowed(policyOf(), strict)).toThrow(/system\.runtime.*\n.*security\.syscalls/);
		const rules = {
			listen: [],
			udp: [],
			dns: [],
			tcp: [{ host: "1.1.1.1", ports: { from: 1, to: 2 }, text: "1.1.1.1:1-2" }],
		};
		const networked = policyOf({ network: { mode: "hostwithpolicy", policy: rules } });
		expect(() => narrowed(networked, networked)).not.toThrow();
		const other = { ...rules, tcp: [{ host: "*", ports: { from: 1, to: 2 }, text: "*:1-2" }] };
		const wider = policyOf({ network: { mode: "hostwithpolicy", policy: other } });
		expect(() => narrowed(wider, networked)).toThrow("security.network.policy.tcp");
	});

	it("never gets more than the broker's, whatever it asks for", () => {
		const limit = fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined });
		const limits = fc.record({ memory: limit, pids: limit, cpu: limit, wall: limit, output: limit, nofile: limit });
		const build = (
			of: Partial<Record<"memory" | "pids" | "cpu" | "wall" | "output" | "nofile", number | undefined>>,
		): Policy =>
			policyOf({
				system: {
					memory: { swapBytes: 0, ...(of.memory === undefined ? {} : { maxBytes: of.memory }) },
					pids: of.pids === undefined ? {} : { max: of.pids },
					time: {
						...(of.cpu === undefined ? {} : { cpuMs: of.cpu }),
						...(of.wall === undefined ? {} : { wallMs: of.wall }),
					},
					output: of.output === undefined ? {} : { maxBytes: of.output },
					rlimits: of.nofile === undefined ? {} : { nofile: of.nofile },
				},
			});
		const valuesOf = ({ system }: Policy) => [
			system.memory.maxBytes,
			system.pids.max,
			system.time.cpuMs,
			system.time.wallMs,
			system.output.maxBytes,
			system.rlimits.nofile,
		];
		fc.assert(
			fc.property(limits, limits, (one, other) => {
				const [wish, most] = [build(one), build(other)];
				const wider = valuesOf(wish).some((value, i) => (value ?? 0) > (valuesOf(most)[i] ?? Number.POSITIVE_INFINITY));
				if (wider) {
					expect(() => narrowed(wish, most)).toThrow("more than this broker allows");
					return;
				}
				const got = valuesOf(narrowed(wish, most));
				for (const [i, bound] of valuesOf(most).entries()) {
					if (bound !== undefined) expect(got[i]).toBeLessThanOrEqual(bound);
				}
			}),
		);
	});
});
