import { describe, expect, it } from "vitest";
import { withFloor } from "../../../src/oci/seccomp/floor.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { syscallNumber } from "../../../src/plan/syscalls.ts";
import { ARCH, run } from "../../helpers/bpf.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { askLibseccomp, buildOracle } from "../../plan/seccomp/libseccomp.ts";
import { ARCHITECTURES, attacks, everyName, PROFILES } from "./floor-cases.ts";

/** crun and runc take the floor through libseccomp: it must hold there as it does in our own filter. */
describe.skipIf(requireOr(buildOracle())).each(ARCHITECTURES)("the floor by libseccomp on %s", (arch) => {
	const harmless = everyName(arch).flatMap((name) => [
		[name, 0n, 0n] as const,
		[name, 17n, 0x5401n] as const,
		[name, 2n, 0x5413n, 6n] as const,
		[name, 16n, 0x5411n, 0n] as const,
	]);
	const calls = [...attacks(arch), ...harmless];

	// Left out: rules of different verdicts that overlap, of which libseccomp picks one by the shape of its tree.
	const profiles = PROFILES.filter(([name]) => name !== "everything by conditions that overlap");
	it.each(profiles)("answers as our own filter: %s", (_, profile) => {
		const floored = withFloor(profile(arch), arch);
		const theirs = askLibseccomp(floored, arch);
		if (theirs === undefined) throw new Error("libseccomp finds a contradiction");
		const ours = compileSeccomp(floored, arch).instructions;
		let compared = 0;
		for (const [name, ...args] of calls) {
			const nr = syscallNumber(arch, name);
			// A libseccomp older than a call leaves its rules out: nothing that a profile could change.
			if (nr === undefined || theirs.unknown.has(name)) continue;
			const call = { name, nr, arch: ARCH[arch], args };
			expect({ call, value: run(theirs.program, call).value }).toEqual({ call, value: run(ours, call).value });
			compared += 1;
		}
		expect(compared).toBeGreaterThan(1000);
	});
});
