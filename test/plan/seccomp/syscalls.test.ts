import { describe, expect, it } from "vitest";
import { headerTable } from "../../../scripts/make-syscall-tables.mjs";
import { type SyscallName, syscallNumber, syscallTable } from "../../../src/plan/syscalls.ts";
import { requireOr } from "../../helpers/requirement.ts";

describe("syscallNumber", () => {
	it.each([
		["x86_64", "read", 0],
		["x86_64", "mount", 165],
		["x86_64", "mseal", 462],
		["aarch64", "read", 63],
		["aarch64", "newfstatat", 79],
		["aarch64", "mseal", 462],
		["i386", "mmap2", 192],
	] as const)("%s %s is %i", (arch, name, number) => {
		expect(syscallNumber(arch, name)).toBe(number);
	});

	it("knows no call that the architecture lacks", () => {
		expect(syscallNumber("aarch64", "open")).toBeUndefined();
		expect(syscallNumber("x86_64", "toString")).toBeUndefined();
	});

	it("checks names at compile time", () => {
		const name: SyscallName = "open_tree_attr";
		// @ts-expect-error a name with a slip of the pen
		const slip: SyscallName = "muont";
		expect([syscallNumber("x86_64", name), syscallNumber("x86_64", slip)]).toEqual([467, undefined]);
	});
});

describe.each(["x86_64", "i386", "aarch64"] as const)("the table of %s", (arch) => {
	it("gives each name a number of its own", () => {
		const table = syscallTable(arch);
		expect(new Set(table.values()).size).toBe(table.size);
	});

	const headers = headerTable(arch);
	const missing =
		headers === undefined ? `no kernel headers for ${arch}: apt-get install gcc linux-libc-dev` : undefined;
	it.skipIf(requireOr(missing))("agrees with this machine's kernel headers", () => {
		const table = syscallTable(arch);
		const upTo = Math.max(...table.values());
		for (const [name, number] of Object.entries(headers ?? {})) {
			// Headers may be newer than the table: calls after its last one are not known yet.
			if (number <= upTo) expect([name, table.get(name)]).toEqual([name, number]);
		}
		for (const [name, number] of table) {
			// Headers may be older than the table: calls before their last one must be in them.
			if (number < 335) expect([name, headers?.[name]]).toEqual([name, number]);
		}
	});
});
