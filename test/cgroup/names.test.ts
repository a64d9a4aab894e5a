import { readlinkSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outside } from "../../src/cgroup/cpu-list.ts";
import { groupName, newGroupId, ownerOf, ownGroupOwner, startTimeIn } from "../../src/cgroup/id.ts";

describe("names of groups", () => {
	it("tell their owner, and differ each time", () => {
		const owner = ownGroupOwner();
		const names = Array.from({ length: 100 }, () => groupName(newGroupId(owner)));
		expect(new Set(names).size).toBe(100);
		expect(names.map(ownerOf)).toEqual(names.map(() => owner));
		expect(owner.pid).toBe(process.pid);
	});

	it("tell the pid namespace that the owner's id is of", () => {
		const { namespace } = ownGroupOwner();
		const number = Number(/\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]);
		expect(Number.parseInt(namespace, 16)).toBe(number % 2 ** 24);
	});

	it.each(["vmjail-supervisor", "vmjail-1-2", "vmjail-0-2-0123456789abcdef", "a-vmjail-1-2-0123456789abcdef", "x"])(
		"does not claim %s",
		(name) => expect(ownerOf(name)).toBeUndefined(),
	);

	it("finds the start time behind a hostile command name", () => {
		const fields = Array.from({ length: 30 }, (_, i) => `${i + 4}`).join(" ");
		expect(startTimeIn(`12 (a) S 1 (b) ) R ${fields}`)).toBe("22");
	});
});

describe("lists of processors", () => {
	const cpu = fc.integer({ min: 0, max: 12 });
	const list = fc.array(fc.tuple(cpu, cpu), { minLength: 1, maxLength: 4 });
	const written = (ranges: readonly (readonly [number, number])[]): string =>
		ranges.map(([a, b]) => (a === b ? `${a}` : `${Math.min(a, b)}-${Math.max(a, b)}`)).join(",");
	const members = (text: string): Set<number> =>
		new Set(
			text
				.split(",")
				.filter(Boolean)
				.flatMap((part) => {
					const [from = 0, to = from] = part.split("-").map(Number);
					return Array.from({ length: to - from + 1 }, (_, i) => from + i);
				}),
		);

	it("are compared as sets", () => {
		fc.assert(
			fc.property(list, list, (a, b) => {
				const there = members(written(b));
				const expected = [...members(written(a))].filter((one) => !there.has(one)).sort((x, y) => x - y);
				const found = [...members(outside(written(a), written(b)).join(","))].sort((x, y) => x - y);
				expect(found).toEqual(expected);
			}),
		);
	});

	it("may be huge", () => {
		expect(outside("0-4000000000", "0-7")).toEqual(["8-4000000000"]);
	});
});
