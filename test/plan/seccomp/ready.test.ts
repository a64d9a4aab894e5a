import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readyModule } from "../../../scripts/filters.mjs";
import { defaultProfile, strictProfile, withFloor } from "../../../src/oci/seccomp/profiles.ts";
import { namedProfile } from "../../../src/oci/seccomp-of.ts";
import type { LinuxSeccomp } from "../../../src/oci/types.ts";
import { STOP_AT_EXEC } from "../../../src/plan/programs.ts";
import { compileSeccomp, readyFilter } from "../../../src/plan/seccomp/compile.ts";
import { READY } from "../../../src/plan/seccomp/ready.ts";
import { compileTogether, jointKey } from "../../../src/plan/seccomp/together.ts";
import { innerFilters } from "../../../src/runtime/runsc/inner.ts";

const root = join(import.meta.dirname, "../../..");
const PROFILES = { default: defaultProfile, strict: strictProfile } as const;
const ALL = (["default", "strict"] as const).flatMap((name) =>
	(["x86_64", "aarch64"] as const).map((arch) => [name, arch] as const),
);

/** What the build makes, as a bundle has it. */
const { READY: built } = (await import(
	`data:text/javascript;base64,${Buffer.from(await readyModule(root)).toString("base64")}`
)) as { READY: typeof READY };

describe("the filters that the build compiles", () => {
	it("are those of the named profiles, and the sources have none", () => {
		const keys = ALL.flatMap(([name, arch]) => {
			const inside = `gvisor-floor + gvisor ${name} ${arch} on ${arch}`;
			return [`${name} ${arch}`, inside, `stop-at-exec + ${inside}`];
		});
		expect(Object.keys(built).toSorted()).toEqual(keys.toSorted());
		expect(READY).toEqual({});
		expect(readyFilter(namedProfile("default", "x86_64"))).toBeUndefined();
	});

	it.each(ALL)("%s on %s is byte for byte what the compiler makes of its rules", (name, arch) => {
		const words = built[`${name} ${arch}`]?.() ?? [];
		const { bytes, flags } = compileSeccomp(withFloor(PROFILES[name](arch), arch), arch);
		expect(new Uint8Array(Uint32Array.from(words).buffer)).toEqual(bytes);
		expect(flags).toBe(0);
	});
});

describe("the filters inside gVisor that the build compiles", () => {
	it.each(ALL)("%s on %s is byte for byte what the compiler makes of its rules", (name, arch) => {
		// Of the same rules, but not the object whose filter is ready.
		const filters = innerFilters(withFloor(PROFILES[name](arch), arch));
		for (const [key, profiles] of [
			[jointKey(innerFilters(namedProfile(name, arch)), arch), filters],
			[jointKey([STOP_AT_EXEC, ...innerFilters(namedProfile(name, arch))], arch), [STOP_AT_EXEC, ...filters]],
		] as const) {
			const words = built[key ?? ""]?.() ?? [];
			const { bytes, flags } = compileTogether(profiles, arch);
			expect(new Uint8Array(Uint32Array.from(words).buffer)).toEqual(bytes);
			expect(flags).toBe(0);
		}
		expect(jointKey(filters, arch)).toBeUndefined();
	});
});

describe("a named profile", () => {
	it.each(ALL)("%s on %s is a plain object with the rules of the profile, the floor under it", (name, arch) => {
		const whole: LinuxSeccomp = withFloor(PROFILES[name](arch), arch);
		const profile = namedProfile(name, arch);
		expect({ ...profile }).toEqual(whole);
		expect(JSON.parse(JSON.stringify(profile))).toEqual(whole);
		expect(namedProfile(name, arch)).toBe(profile);
	});

	it("is the only one that a filter may be ready for: not a copy of it, whose rules may differ", () => {
		const copy = { ...namedProfile("default", "x86_64"), syscalls: [] };
		expect(readyFilter(copy)).toBeUndefined();
	});
});
