import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VmjailError } from "../../src/errors.ts";
import { parseSpecJson, specToJson } from "../../src/oci/json.ts";
import { isBelow, isWithin } from "../../src/oci/paths.ts";
import { specOf } from "../../src/oci/spec.ts";
import type { Spec } from "../../src/oci/types.ts";
import { validateSpec } from "../../src/oci/validate.ts";
import { policyOf } from "../helpers/policy.ts";
import { factsFor, folder } from "./fixtures.ts";

/** Few names, so that paths nest and meet. */
const path = fc
	.array(fc.constantFrom("a", "b", "a-b", "home"), { minLength: 1, maxLength: 4 })
	.map((names) => `/${names.join("/")}`);
const paths = fc.uniqueArray(path, { maxLength: 5 });

const cases = fc.record({ writable: paths, readable: paths, masked: paths, scratch: paths, cwd: path });

type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** The spec, or undefined where the policy contradicts itself. Every path is a folder on the host. */
function specFor({ writable, readable, masked, scratch, cwd }: Case): Spec | undefined {
	const policy = policyOf({
		file: {
			writablePaths: writable,
			readablePaths: readable,
			maskedPaths: masked,
			tmpfs: scratch.map((at) => ({ path: at, sizeBytes: 4096 })),
		},
	});
	const all = [...writable, ...readable, ...masked, ...scratch, cwd].map(folder);
	try {
		return specOf({ policy, facts: factsFor(policy, { paths: all, caller: { cwd } }), command: ["true"] });
	} catch (error) {
		if (error instanceof VmjailError && error.code === "POLICY_INVALID") return undefined;
		throw error;
	}
}

function forAll(check: (spec: Spec, input: Case) => void): void {
	fc.assert(
		fc.property(cases, (input) => {
			const spec = specFor(input);
			fc.pre(spec !== undefined);
			check(spec, input);
		}),
	);
}

describe("the spec of any policy", () => {
	it("is valid, and survives JSON", () => {
		forAll((spec) => {
			expect(validateSpec(parseSpecJson(specToJson(spec)))).toEqual(spec);
		});
	});

	it("mounts parents before what lies below them, and nothing twice", () => {
		forAll((spec) => {
			const destinations = spec.mounts.map((mount) => mount.destination);
			expect(new Set(destinations).size).toBe(destinations.length);
			for (const [i, above] of destinations.entries()) {
				for (const earlier of destinations.slice(0, i)) expect(isBelow(earlier, above)).toBe(false);
			}
		});
	});

	it("binds nothing writable that the policy does not name, and everything that it names", () => {
		forAll((spec, { writable }) => {
			const bound = spec.mounts.filter((mount) => mount.type === "bind" && !mount.options?.includes("ro"));
			const own = bound.filter((mount) => !mount.destination.startsWith("/dev/"));
			expect(own.map((mount) => mount.source).toSorted()).toEqual(writable.toSorted());
			for (const mount of own) expect(mount.destination).toBe(mount.source);
		});
	});

	it("shows nothing of a masked folder but what the policy shows again", () => {
		forAll((spec, { masked, readable, writable }) => {
			const plain = spec.linux.maskedPaths ?? [];
			const empty = spec.mounts.filter((mount) => mount.type === "tmpfs").map((mount) => mount.destination);
			for (const mask of masked) {
				if (readable.includes(mask)) continue;
				// By itself, or by what hides all around it.
				expect([...plain, ...empty].some((hidden) => isWithin(mask, hidden))).toBe(true);
				const below = spec.mounts.filter((mount) => isBelow(mount.destination, mask) && mount.type === "bind");
				for (const { destination } of below) expect([...readable, ...writable]).toContain(destination);
			}
			// A mask needs something to be put on: at the place where it comes to lie, the host must show.
			for (const mask of plain) {
				const cover = spec.mounts.findLast((mount) => isBelow(mask, mount.destination));
				if (cover !== undefined) expect(["bind", "proc", "sysfs"]).toContain(cover.type);
			}
			// Masks in maskedPaths come after all mounts, so nothing may have been mounted below them.
			for (const { destination } of spec.mounts) {
				for (const mask of plain) expect(isWithin(destination, mask)).toBe(false);
			}
		});
	});
});
