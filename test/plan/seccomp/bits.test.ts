import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { namedProfile } from "../../../src/oci/seccomp-of.ts";
import { assemble } from "../../../src/plan/seccomp/assemble.ts";
import { byBits } from "../../../src/plan/seccomp/bits.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { type Decision, decisionMaker } from "../../../src/plan/seccomp/decision.ts";
import { checkProgram, run } from "../../helpers/bpf.ts";

/** The low halves of the first two arguments. */
const OFFSETS = [16, 24] as const;

const word = fc.oneof(
	fc.integer({ min: 0, max: 20 }),
	fc.constantFrom(0x5412, 0x541c, 0x20000, 0x80000000, 0xffffffff, 0x7fffffff),
	fc.integer({ min: 0, max: 0xffffffff }),
);
const mask = fc.oneof(
	fc.integer({ min: 0, max: 31 }).map((bit) => (1 << bit) >>> 0),
	fc.constantFrom(0xff, 0xfffffff0, 0xffffffff),
	word,
);
const test = fc.oneof(
	fc.record({ comparison: fc.constant("equal" as const), mask: fc.option(mask, { nil: undefined }), k: word }),
	fc.record({ comparison: fc.constant("anyBit" as const), mask: fc.constant(undefined), k: mask }),
);
const questions = fc.array(fc.record({ test, offset: fc.constantFrom(...OFFSETS), yes: fc.nat(), no: fc.nat() }), {
	minLength: 1,
	maxLength: 24,
});

/** Each question leads to answers or to earlier questions. */
function graphOf(list: typeof questions extends fc.Arbitrary<infer T> ? T : never, make = decisionMaker()): Decision {
	const made: Decision[] = [1, 2, 3].map((value) => make.answer(value));
	for (const { test, offset, yes, no } of list) {
		const way = (n: number) => made[made.length - 1 - (n % Math.min(made.length, 6))] as Decision;
		made.push(make.ask({ ...test, offset, yes: way(yes), no: way(no) }));
	}
	return made.at(-1) as Decision;
}

function answer(decision: Decision, words: readonly number[]): number {
	const args = words.map((low) => BigInt(low));
	return run(assemble(decision), { nr: 0, arch: 0, args }).value;
}

describe("a graph made anew from its bits", () => {
	it("decides the same, for words that its questions name and for any others", () => {
		fc.assert(
			fc.property(questions, fc.array(fc.tuple(word, word), { minLength: 8, maxLength: 8 }), (list, pairs) => {
				const make = decisionMaker();
				const decision = graphOf(list, make);
				const other = byBits(decision, make);
				if (other === undefined) throw new Error("none of these compare by order, and none is large");
				const named = list.flatMap(({ test: { k } }) => [k, (k ^ 1) >>> 0, (k + 1) >>> 0, (k | 0x80000000) >>> 0]);
				const tried = [...pairs, ...named.map((k, i): [number, number] => [k, named[(i * 7) % named.length] ?? 0])];
				for (const words of tried) expect([words, answer(other, words)]).toEqual([words, answer(decision, words)]);
			}),
			{ numRuns: 500 },
		);
	});

	it("is left alone where it compares by order", () => {
		const make = decisionMaker();
		const [yes, no] = [make.answer(1), make.answer(2)];
		const ordered = make.ask({ offset: 16, mask: undefined, comparison: "greater", k: 7, yes, no });
		expect(byBits(ordered, make)).toBeUndefined();
	});

	it("needs three questions where a rule for each bit was written", () => {
		const make = decisionMaker();
		const [refuse, allow] = [make.answer(1), make.answer(2)];
		let decision: Decision = refuse;
		for (let bit = 0; bit < 32; bit++) {
			const isSet = (0x5412 >>> bit) & 1;
			const [yes, no] = isSet ? [decision, allow] : [allow, decision];
			decision = make.ask({ offset: 24, mask: undefined, comparison: "anyBit", k: (1 << bit) >>> 0, yes, no });
		}
		// load, compare, two answers
		expect(assemble(byBits(decision, make) as Decision)).toHaveLength(4);
	});
});

describe("the named profiles", () => {
	it.each([
		["default", "x86_64", 160],
		["strict", "x86_64", 190],
		["default", "aarch64", 160],
		["strict", "aarch64", 190],
	] as const)("%s on %s is short", (name, arch, most) => {
		const { instructions } = compileSeccomp(namedProfile(name, arch), arch);
		checkProgram(instructions);
		expect(instructions.length).toBeLessThanOrEqual(most);
	});
});
