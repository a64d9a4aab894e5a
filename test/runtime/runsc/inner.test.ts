import { describe, expect, it } from "vitest";
import type { LinuxSeccomp } from "../../../src/oci/types.ts";
import { innerFilters } from "../../../src/runtime/runsc/inner.ts";

const profile: LinuxSeccomp = {
	defaultAction: "SCMP_ACT_ERRNO",
	defaultErrnoRet: 1,
	flags: ["SECCOMP_FILTER_FLAG_LOG"],
	syscalls: [
		{ names: ["read", "syslog"], action: "SCMP_ACT_ALLOW" },
		{ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
		{ names: ["connect"], action: "SCMP_ACT_NOTIFY" },
		{ names: ["open"], action: "SCMP_ACT_LOG" },
		{ names: ["syslog"], action: "SCMP_ACT_ERRNO" },
	],
};

describe("filters of programs inside", () => {
	const [floor, own] = innerFilters(profile);

	it("refuse mount calls whatever the profile says", () => {
		expect(floor?.defaultAction).toBe("SCMP_ACT_ALLOW");
		const refused = (floor?.syscalls ?? []).flatMap(({ names, action }) => (action === "SCMP_ACT_ERRNO" ? names : []));
		expect(refused).toEqual(expect.arrayContaining(["mount", "umount2", "chroot", "setns", "move_mount", "unshare"]));
	});

	it("keep errno, and put what the Sentry lacks into stricter words", () => {
		expect(own?.flags).toBeUndefined();
		expect(own?.syscalls).toEqual([
			{ names: ["read"], action: "SCMP_ACT_ALLOW" },
			{ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
			{ names: ["connect"], action: "SCMP_ACT_ERRNO" },
			{ names: ["open"], action: "SCMP_ACT_ALLOW" },
			{ names: ["syslog"], action: "SCMP_ACT_ALLOW" },
		]);
	});

	it("are the floor alone without a profile", () => {
		const [, none] = innerFilters(undefined);
		expect(none?.defaultAction).toBe("SCMP_ACT_ALLOW");
	});
});
