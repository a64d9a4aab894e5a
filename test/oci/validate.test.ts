import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseSpecJson, specToJson } from "../../src/oci/json.ts";
import { specOf } from "../../src/oci/spec.ts";
import { validateSpec } from "../../src/oci/validate.ts";
import { policyOf } from "../helpers/policy.ts";
import { factsFor } from "./fixtures.ts";

const policy = policyOf({
	system: {
		memory: { maxBytes: 1 << 30, swapBytes: 0 },
		cpu: { cores: 2, pin: "0-1" },
		pids: { max: 5 },
		io: { readBytesPerSecond: 10 },
		rlimits: { fsize: Number.POSITIVE_INFINITY },
		capabilities: ["CAP_CHOWN"],
	},
	syscalls: {
		defaultAction: "SCMP_ACT_ALLOW",
		syscalls: [
			{
				names: ["personality"],
				action: "SCMP_ACT_ERRNO",
				args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: 0xffff_ffff_ffff_ffffn, valueTwo: 9007199254740993n }],
			},
		],
	},
});
const valid = specOf({ policy, facts: factsFor(policy), command: ["true"] });

type Path = readonly (string | number)[];

/** The valid spec with one property replaced. */
function withValue(path: Path, value: unknown): unknown {
	const copy = structuredClone(valid) as unknown;
	const parent = path.slice(0, -1).reduce((node, key) => (node as Record<string | number, unknown>)[key], copy);
	(parent as Record<string | number, unknown>)[path.at(-1) ?? ""] = value;
	return copy;
}

describe("validateSpec", () => {
	it("accepts what specOf makes, as it is and after a way through JSON", () => {
		expect(validateSpec(valid)).toEqual(valid);
		expect(validateSpec(parseSpecJson(specToJson(valid)))).toEqual(valid);
	});

	it("accepts properties that it does not know, as the specification demands", () => {
		expect(validateSpec({ ...valid, hooks: {}, linux: { ...valid.linux, intelRdt: {} } })).toHaveProperty("hooks");
	});

	it("reads a spec without mounts as one with none", () => {
		const { mounts: _mounts, ...rest } = valid;
		expect(validateSpec(rest).mounts).toEqual([]);
	});

	const cases: readonly (readonly [path: Path, value: unknown, problem: string])[] = [
		[["ociVersion"], "2.0.0", "ociVersion is not a version 1"],
		[["process"], undefined, "process is not an object"],
		[["process", "args"], [], "process.args is empty"],
		[["process", "args", 0], "a\0b", "process.args[0] contains a NUL byte"],
		[["process", "cwd"], "work", "process.cwd is not a clean absolute path"],
		[["process", "cwd"], "/a/../b", "process.cwd is not a clean absolute path"],
		[["process", "env"], ["NOVALUE"], "process.env[0] is not NAME=value"],
		[["process", "terminal"], "no", "process.terminal is neither true nor false"],
		[["process", "user", "uid"], -1, "process.user.uid is not a whole number"],
		[["process", "user", "uid"], 0xffff_ffff, "process.user.uid is not a whole number"],
		[["process", "user", "additionalGids"], [1.5], "process.user.additionalGids[0] is not a whole number"],
		[["process", "capabilities", "ambient"], ["CHOWN"], "process.capabilities.ambient[0] is not a capability"],
		[["process", "rlimits", 0, "type"], "RLIMIT_X", "process.rlimits[0].type is not one of"],
		[["process", "rlimits", 0, "soft"], 1, "process.rlimits[0].soft is above the hard limit"],
		[["process", "rlimits", 1, "type"], "RLIMIT_CORE", "process.rlimits[1].type is there twice"],
		[["root", "path"], "", "root.path is empty"],
		[["hostname"], 7, "hostname is not a string"],
		[["mounts"], {}, "mounts is not a list"],
		[["mounts", 1, "destination"], "dev", "mounts[1].destination is not a clean absolute path"],
		[["mounts", 1, "destination"], "/dev/", "mounts[1].destination is not a clean absolute path"],
		[["mounts", 0, "options"], [1], "mounts[0].options[0] is not a string"],
		[["annotations"], { a: 1 }, 'annotations["a"] is not a string'],
		[["linux"], null, "linux is not an object"],
		[["linux", "namespaces", 0, "type"], "net", "linux.namespaces[0].type is not one of"],
		[["linux", "namespaces", 1, "type"], "user", "linux.namespaces[1].type is there twice"],
		[["linux", "namespaces", 1, "path"], "x", "linux.namespaces[1].path is not a clean absolute path"],
		[["linux", "namespaces"], [{ type: "pid" }], "linux.uidMappings is there without a user namespace"],
		[["linux", "uidMappings", 0, "size"], 0, "linux.uidMappings[0].size is not a whole number"],
		[["linux", "uidMappings", 0, "size"], 2 ** 32, "linux.uidMappings[0].size is not a whole number"],
		[["linux", "gidMappings", 1], { containerID: 1000, hostID: 5, size: 1 }, "linux.gidMappings[1] overlaps"],
		[["linux", "gidMappings", 1], { containerID: 5, hostID: 1000, size: 1 }, "linux.gidMappings[1] overlaps"],
		[["linux", "devices"], [{ type: "x", path: "/dev/a" }], "linux.devices[0].type is not one of"],
		[["linux", "resources", "memory", "limit"], "1G", "linux.resources.memory.limit is not a whole number"],
		[["linux", "resources", "cpu", "period"], 1, "linux.resources.cpu.period is not a whole number"],
		[["linux", "resources", "cpu", "cpus"], "all", "linux.resources.cpu.cpus is not a list of cores"],
		[["linux", "resources", "pids"], {}, "linux.resources.pids.limit is not a whole number"],
		[["linux", "resources", "blockIO", "throttleReadBpsDevice", 0, "major"], -1, "throttleReadBpsDevice[0].major"],
		[["linux", "resources", "devices"], [{}], "linux.resources.devices[0].allow is neither true nor false"],
		[["linux", "maskedPaths", 0], "proc", "linux.maskedPaths[0] is not a clean absolute path"],
		[["linux", "rootfsPropagation"], "public", "linux.rootfsPropagation is not one of"],
		[["linux", "sysctl"], { "a.b": 1 }, 'linux.sysctl["a.b"] is not a string'],
		[["linux", "seccomp", "defaultAction"], "ALLOW", "linux.seccomp.defaultAction is not one of"],
		[["linux", "seccomp", "defaultErrnoRet"], 5000, "linux.seccomp.defaultErrnoRet is not a whole number"],
		[["linux", "seccomp", "syscalls"], [{ names: [], action: "SCMP_ACT_ALLOW" }], "syscalls[0].names is empty"],
		[
			["linux", "seccomp", "syscalls"],
			[{ names: ["a"], action: "SCMP_ACT_ALLOW", args: [{ index: 6, op: "SCMP_CMP_EQ", value: 0 }] }],
			"syscalls[0].args[0].index is not a whole number",
		],
		[
			["linux", "seccomp", "syscalls"],
			[{ names: ["a"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, op: "SCMP_CMP_EQ", value: 1n << 64n }] }],
			"syscalls[0].args[0].value is not a whole number",
		],
	];
	it.each(cases.map(([path, value, problem]) => ({ path, value, problem })))(
		"says: $problem",
		({ path, value, problem }) => {
			expect(() => validateSpec(withValue(path, value))).toThrow(
				expect.objectContaining({ code: "SPEC_INVALID", message: expect.stringContaining(problem) }),
			);
		},
	);

	it("answers any value with a spec or with SPEC_INVALID", () => {
		fc.assert(
			fc.property(fc.anything(), (value) => {
				expect(() => validateSpec(value)).toThrow(expect.objectContaining({ code: "SPEC_INVALID" }));
			}),
		);
	});
});

describe("JSON", () => {
	it("keeps whole numbers that a double would round", () => {
		expect(parseSpecJson('{"a":[18446744073709551615,-9007199254740993,12,1.5e3,"9007199254740993"]}')).toEqual({
			a: [18446744073709551615n, -9007199254740993n, 12, 1500, "9007199254740993"],
		});
	});

	it("keeps every plain document", () => {
		fc.assert(
			fc.property(fc.jsonValue(), (value) => {
				const json = JSON.stringify(value);
				fc.pre(!json.includes("\\u0000") && !/\d{16}/.test(json));
				expect(parseSpecJson(json)).toEqual(JSON.parse(json));
			}),
		);
	});

	it.each(["", "{", '{"a":1,}', '"\\u0000whole:1"', "\0"])("refuses %j", (json) => {
		expect(() => parseSpecJson(json)).toThrow(expect.objectContaining({ code: "SPEC_INVALID" }));
	});
});
