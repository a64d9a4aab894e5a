import { describe, expect, it } from "vitest";
import { abilitiesOf, requirePlatform } from "../../../src/runtime/runsc/abilities.ts";

const flags = (names: readonly string[], platforms: string) =>
	[
		...names.map((name) => `  -${name}\n    \tsome help`),
		`  -platform string\n    \tspecifies which platform to use: ${platforms}. (default "x")`,
	].join("\n");
const DRIVEN = ["oci-seccomp", "directfs", "ignore-cgroups", "overlay2", "debug-command"];
const of2024 = abilitiesOf(
	"runsc version 0.0~20240729.0\nspec: 1.2.0\n",
	flags(DRIVEN, "systrap (default), ptrace, kvm"),
	"  -bundle string",
);

describe("abilitiesOf", () => {
	it("reads version, platforms and flags", () => {
		expect(of2024).toMatchObject({ version: "0.0~20240729.0", platforms: ["systrap", "ptrace", "kvm"], ownUid: false });
		expect(of2024.flags.has("directfs")).toBe(true);
	});

	it("sees what newer builds can do", () => {
		const text = flags([...DRIVEN, "host-settings"], "systrap (default), ptrace, kvm");
		const abilities = abilitiesOf("runsc version release-20260901.0", text, "  -uid int\n    \tUser ID\n");
		expect([abilities.ownUid, abilities.flags.has("host-settings")]).toEqual([true, true]);
	});

	it("refuses the build of Debian 12, and says why", () => {
		const text = flags(DRIVEN, "ptrace (default), kvm");
		expect(() => abilitiesOf("runsc version 0.0~20221219.0", text, "")).toThrowError(
			expect.objectContaining({
				code: "HOST_UNSUPPORTED",
				message: expect.stringMatching(/20221219.*no systrap \(only ptrace, kvm\)/),
			}),
		);
	});

	it("refuses a build without a flag that the driver relies on, and another program", () => {
		const text = flags(DRIVEN.slice(1), "systrap (default), ptrace, kvm");
		expect(() => abilitiesOf("runsc version 1", text, "")).toThrowError(
			expect.objectContaining({ message: expect.stringContaining("--oci-seccomp") }),
		);
		expect(() => abilitiesOf("runc version 1.1", "", "")).toThrowError(
			expect.objectContaining({ code: "HOST_UNSUPPORTED" }),
		);
	});
});

describe("requirePlatform", () => {
	it("names the platforms that there are", () => {
		expect(() => requirePlatform({ ...of2024, platforms: ["systrap"] }, "kvm")).toThrowError(
			expect.objectContaining({
				message: expect.stringContaining("system.accel"),
				remedy: expect.stringContaining("systrap"),
			}),
		);
		requirePlatform(of2024, "ptrace");
	});
});
