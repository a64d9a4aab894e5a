import { describe, expect, it } from "vitest";
import { encodePlan } from "../../src/executor/encode.ts";
import { Programs } from "../../src/jail/programs.ts";
import type { Program, Reusable } from "../../src/jail/reusable.ts";
import type { Plan } from "../../src/plan/types.ts";

const plan: Plan = { cloneFlags: 0n, before: [], parent: [], child: [], account: [], cleanup: [], keep: [] };
const limits = { pids: 3 };

/** Those that were asked for, in their order. */
function programs() {
	const made: Program[] = [];
	const reusable = {
		plan,
		facts: { arch: "x86_64" },
		program: (program: Program) => {
			made.push({ ...program, command: [...program.command] });
			return { cloneFlags: 0n, before: [], parent: [], child: [], wallLimitMs: made.length };
		},
	} as unknown as Reusable;
	return { made, all: new Programs(reusable, encodePlan(plan, "x86_64")) };
}

describe("the programs of a jail", () => {
	it("are made once where nothing differs", () => {
		const { made, all } = programs();
		const first = all.prepare({ command: ["a", "b"], limits });
		expect(all.prepare({ command: ["a", "b"], limits })).toBe(first);
		all.prepare({ command: ["a"], limits });
		expect(all.prepare({ command: ["a", "b"], limits })).toBe(first);
		expect(made).toHaveLength(2);
	});

	it("are each their own where anything differs, though a caller changes in place what it gave", () => {
		const { made, all } = programs();
		const command = ["a", "b"];
		const env: Record<string, string> = { A: "1" };
		const bounds = { pids: 1 };
		const asked = [
			() => all.prepare({ command, limits }),
			() => all.prepare({ command: ["a", "b", ""], limits }),
			() => all.prepare({ command: ["a\0b"], limits }),
			() => all.prepare({ command: ["a"], limits }),
			() => all.prepare({ command, limits: bounds }),
			() => all.prepare({ command, limits, cwd: "/x" }),
			() => all.prepare({ command, limits, env }),
		].map((ask) => ask());
		env.A = "2";
		asked.push(all.prepare({ command, limits, env }));
		command[1] = "c";
		asked.push(all.prepare({ command, limits }));
		command.push("d");
		asked.push(all.prepare({ command, limits }));
		expect(new Set(asked).size).toBe(asked.length);
		expect(made.map(({ command }) => command.join(" ")).slice(-2)).toEqual(["a c", "a c d"]);
	});
});
