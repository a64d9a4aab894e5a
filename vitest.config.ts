import { defineConfig } from "vitest/config";
import { PATIENCE } from "./test/helpers/patience.ts";

const systemTests = "test/**/*.system.test.ts";

/** Files of the system tests that have the machine to themselves. Two of the others run at once, since they wait more than they work. */
const alone = [
	// They look for whatever vmjail has anywhere on the machine.
	"test/helpers/clean.system.test.ts",
	"test/readme.system.test.ts",
	"test/executor/{protocol,unfinished}.system.test.ts",
	"test/network/{endurance,product,reused,served}.system.test.ts",
	"test/runtime/runsc/kill.system.test.ts",
	"test/server/faults.system.test.ts",
	"test/system/kill.system.test.ts",
	// They measure times, or need both processors for a race.
	"test/exec/attacks.system.test.ts",
	"test/jail/{limits,pool}.system.test.ts",
	"test/judge/*.system.test.ts",
	"test/system/terminal.system.test.ts",
];

const system = {
	globalSetup: "test/helpers/system.ts",
	// Of a file's blocks that are marked `concurrent`. An emulated processor never waits.
	maxConcurrency: PATIENCE > 1 ? 1 : 4,
	testTimeout: 60_000 * PATIENCE,
	hookTimeout: 60_000 * PATIENCE,
};

export default defineConfig({
	test: {
		projects: [
			{
				test: {
					name: "unit",
					include: ["test/**/*.test.ts"],
					exclude: [systemTests],
					testTimeout: 30_000 * PATIENCE, // a busy machine is no failure
					sequence: { groupOrder: 0 },
				},
			},
			{
				test: {
					...system,
					name: "system",
					include: [systemTests],
					exclude: alone,
					maxWorkers: PATIENCE > 1 ? 1 : 2,
					sequence: { groupOrder: 1 },
				},
			},
			{
				test: {
					...system,
					name: "system-alone",
					include: alone,
					fileParallelism: false,
					maxWorkers: 1,
					sequence: { groupOrder: 2 },
				},
			},
		],
	},
});
