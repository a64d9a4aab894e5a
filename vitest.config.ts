import { defineConfig } from "vitest/config";
import { PATIENCE } from "./test/helpers/patience.ts";

const systemTests = "test/**/*.system.test.ts";

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
					name: "system",
					include: [systemTests],
					globalSetup: "test/helpers/system.ts",
					// Real jails: one file at a time, so that what is measured and counted is that file's own.
					fileParallelism: false,
					maxWorkers: 1,
					// Of a file's blocks that are marked `concurrent`: they wait more than they work. An emulated processor never waits.
					maxConcurrency: PATIENCE > 1 ? 1 : 4,
					testTimeout: 60_000 * PATIENCE,
					hookTimeout: 60_000 * PATIENCE,
					sequence: { groupOrder: 1 },
				},
			},
		],
	},
});
