import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultProfile, strictProfile, withFloor } from "../../../src/oci/seccomp/profiles.ts";
import type { LinuxSeccomp, SeccompArg } from "../../../src/oci/types.ts";
import { sentrySeccomp } from "../../../src/runtime/runsc/refused.ts";

/** OCI's meaning of one condition, on 64 bits. */
function holds({ index, op, value, valueTwo = 0 }: SeccompArg, args: readonly bigint[]): boolean {
	if (op !== "SCMP_CMP_MASKED_EQ") throw new Error(`not expected: ${op}`);
	return ((args[index] ?? 0n) & BigInt(value)) === BigInt(valueTwo);
}

/** As gVisor reads a profile, and libseccomp too where no two rules contradict each other: the first rule that matches decides; two conditions on one argument are alternatives. */
function firstMatch(profile: LinuxSeccomp, name: string, args: readonly bigint[]) {
	const rule = profile.syscalls?.find((one) => one.names.includes(name) && matches(one.args ?? [], args));
	return rule?.action ?? profile.defaultAction;
}

function matches(conditions: readonly SeccompArg[], args: readonly bigint[]): boolean {
	const repeated = new Set(conditions.map(({ index }) => index)).size < conditions.length;
	const one = (condition: SeccompArg) => holds(condition, args);
	return repeated ? conditions.some(one) : conditions.every(one);
}

const mightRun = (action: string) => action === "SCMP_ACT_ALLOW" || action === "SCMP_ACT_LOG";

describe("sentrySeccomp", () => {
	it("refuses whatever rearranges mounts, even where a profile allows it", () => {
		const names = [
			"mount",
			"umount2",
			"pivot_root",
			"chroot",
			"fsopen",
			"fsconfig",
			"fsmount",
			"fspick",
			"move_mount",
			"open_tree",
			"mount_setattr",
			"setns",
		];
		const profile = sentrySeccomp({ defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names, action: "SCMP_ACT_ALLOW" }] });
		expect(names.map((name) => firstMatch(profile, name, []))).toEqual(names.map(() => "SCMP_ACT_ERRNO"));
		expect(names.map((name) => firstMatch(sentrySeccomp(), name, []))).toEqual(names.map(() => "SCMP_ACT_ERRNO"));
	});

	it("refuses user namespaces and nothing else of clone and unshare", () => {
		const profile = sentrySeccomp();
		expect(firstMatch(profile, "unshare", [0x10020000n])).toBe("SCMP_ACT_ERRNO");
		expect(firstMatch(profile, "clone", [0x10000011n])).toBe("SCMP_ACT_ERRNO");
		expect(firstMatch(profile, "clone", [0x003d0f00n])).toBe("SCMP_ACT_ALLOW");
	});

	it("uses no action and no errno that gVisor does not know", () => {
		const known = ["SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW"];
		const names = ["a", "b", "c", "d", "e"];
		const actions = [
			"SCMP_ACT_LOG",
			"SCMP_ACT_NOTIFY",
			"SCMP_ACT_KILL_PROCESS",
			"SCMP_ACT_KILL_THREAD",
			"SCMP_ACT_TRAP",
		] as const;
		const profile = sentrySeccomp({
			defaultAction: "SCMP_ACT_LOG",
			syscalls: names.map((name, i) => ({ names: [name], action: actions[i] ?? "SCMP_ACT_KILL" })),
		});
		expect(known).toEqual(expect.arrayContaining((profile.syscalls ?? []).map(({ action }) => action)));
		expect(JSON.stringify(profile)).not.toContain("errnoRet");
		expect(names.map((name) => mightRun(firstMatch(profile, name, [])))).toEqual([true, false, false, false, false]);
	});

	it("keeps ENOSYS, which C libraries wait for, by SCMP_ACT_TRACE", () => {
		const profile = sentrySeccomp({
			defaultAction: "SCMP_ACT_ERRNO",
			syscalls: [{ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }],
		});
		expect(firstMatch(profile, "clone3", [])).toBe("SCMP_ACT_TRACE");
		expect(firstMatch(profile, "other", [])).toBe("SCMP_ACT_ERRNO");
	});

	it.each([
		["default", withFloor(defaultProfile("x86_64"), "x86_64")],
		["strict", withFloor(strictProfile("x86_64"), "x86_64")],
	])("gives the profile %s the same answers in few rules", (_name, profile) => {
		const adapted = sentrySeccomp(profile);
		// gVisor takes 4096 instructions; a rule with conditions takes up to ten.
		expect(adapted.syscalls?.length).toBeLessThan(60);
		const all = new Set((profile.syscalls ?? []).flatMap((rule) => rule.names));
		// The kernel log in there is the Sentry's own.
		const names = [...all].filter((name) => name !== "syslog");
		expect(firstMatch(adapted, "syslog", [])).toBe("SCMP_ACT_ALLOW");
		const interesting = (profile.syscalls ?? []).flatMap(({ args = [] }) =>
			args.flatMap(({ value, valueTwo = 0 }) => [BigInt(value), BigInt(valueTwo)]),
		);
		const word = fc.oneof(fc.constantFrom(0n, ...interesting), fc.bigInt(0n, 0xffffffffn));
		fc.assert(
			fc.property(fc.constantFrom(...names), fc.array(word, { minLength: 6, maxLength: 6 }), (name, args) => {
				// User namespaces are refused in any case.
				const newUser = (name === "clone" || name === "unshare") && ((args[0] ?? 0n) & 0x10000000n) !== 0n;
				const wanted = !newUser && mightRun(firstMatch(profile, name, args));
				return mightRun(firstMatch(adapted, name, args)) === wanted;
			}),
			{ numRuns: 3000 },
		);
	});
});
