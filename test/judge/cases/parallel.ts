import { expect } from "vitest";
import type { Case, Judge } from "../judge.ts";

/** How many each does: the command line starts a Node for every one of them. */
const RUNS: Readonly<Record<Judge["name"], number>> = { library: 10_000, server: 10_000, "command line": 40 };

export const parallel: readonly Case[] = [
	{
		name: "thousands at once, each copied in and executed: never ETXTBSY",
		async run(judge, { small }) {
			const runs = RUNS[judge.name];
			if (runs < 10_000)
				process.stderr.write(`${judge.name}: ${runs} instead of 10,000: each starts a Node of its own\n`);
			const kept = await judge.keep(small);
			const left = { runs };
			const faults: string[] = [];
			const lane = async () => {
				while (left.runs-- > 0) {
					const result = await judge.run({ command: ["./program"], copyIn: { program: { kept } } });
					const good = result.ending === "exited" && result.exitCode === 7;
					if (!good) faults.push(`${result.ending} ${result.exitCode} ${result.stderr.toString()}`);
				}
			};
			await Promise.all(Array.from({ length: judge.parallelism * 2 }, lane));
			await judge.forget(kept);
			expect(faults).toEqual([]);
		},
	},
];
