import { describe, expect, it } from "vitest";
import type { LinuxSeccomp, SeccompRule } from "../../../src/oci/types.ts";
import { allowsAll } from "../../../src/plan/seccomp/allows.ts";

const profile = (defaultAction: LinuxSeccomp["defaultAction"], ...syscalls: readonly SeccompRule[]): LinuxSeccomp => ({
	defaultAction,
	syscalls,
});
const allow = { names: ["dup3"], action: "SCMP_ACT_ALLOW" } as const;
const refuse = { names: ["dup3"], action: "SCMP_ACT_ERRNO" } as const;
const first = (op: "SCMP_CMP_EQ" | "SCMP_CMP_NE" | "SCMP_CMP_GT", value: number) => ({
	args: [{ index: 0, op, value }],
});
const bit = (mask: number, valueTwo: number) => ({
	args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: mask, valueTwo } as const],
});

describe("calls that a profile surely allows", () => {
	it.each<[string, LinuxSeccomp | undefined, boolean]>([
		["no profile", undefined, true],
		["by default", profile("SCMP_ACT_ALLOW"), true],
		["refused by default", profile("SCMP_ACT_ERRNO"), false],
		["logged by default", profile("SCMP_ACT_LOG"), false],
		["by name", profile("SCMP_ACT_ERRNO", allow), true],
		["refused by name", profile("SCMP_ACT_ALLOW", refuse), false],
		["asked about by name", profile("SCMP_ACT_ALLOW", { ...allow, action: "SCMP_ACT_NOTIFY" }), false],
		["the first of two unconditional rules", profile("SCMP_ACT_ERRNO", allow, refuse), true],
		[
			"an unconditional rule over one with conditions",
			profile("SCMP_ACT_ERRNO", { ...refuse, ...first("SCMP_CMP_EQ", 0) }, allow),
			true,
		],
		["for what is known", profile("SCMP_ACT_ERRNO", { ...allow, ...first("SCMP_CMP_EQ", 0) }), true],
		["not for what is known", profile("SCMP_ACT_ERRNO", { ...allow, ...first("SCMP_CMP_NE", 0) }), false],
		["refused for others only", profile("SCMP_ACT_ALLOW", { ...refuse, ...first("SCMP_CMP_GT", 0) }), true],
		["refused for what is known", profile("SCMP_ACT_ALLOW", { ...refuse, ...first("SCMP_CMP_EQ", 0) }), false],
		["by a mask", profile("SCMP_ACT_ERRNO", { ...allow, ...bit(1, 0) }, { ...refuse, ...bit(3, 1) }), true],
		[
			"depending on what is not known",
			profile("SCMP_ACT_ERRNO", { ...allow, args: [{ index: 1, op: "SCMP_CMP_EQ", value: 0 }] }),
			false,
		],
		[
			"refused depending on what is not known",
			profile("SCMP_ACT_ALLOW", { ...refuse, args: [{ index: 1, op: "SCMP_CMP_EQ", value: 0 }] }),
			false,
		],
	])("%s", (_, seccomp, answer) => {
		expect(allowsAll(seccomp, [{ name: "dup3", args: [0] }])).toBe(answer);
	});

	it("all of them", () => {
		const some = profile("SCMP_ACT_ERRNO", { names: ["a", "b"], action: "SCMP_ACT_ALLOW" });
		expect(allowsAll(some, [{ name: "a" }, { name: "b" }])).toBe(true);
		expect(allowsAll(some, [{ name: "a" }, { name: "c" }])).toBe(false);
	});
});
