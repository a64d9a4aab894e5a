// Prints "N passed, N failed" for the results in the folder that suite.sh wrote to; ends with 1 unless all is well.
// A run of vitest that failed without a failed test (a file that does not load, something left behind) counts as one
// failure, and so does everything that is missing because the machine ended early.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const say = (line) => process.stdout.write(`${line}\n`);
const folder = process.argv[2] ?? "";
const read = (name) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : "");

const checks = read("checks.txt").split("\n");
const counts = [
	{
		name: "checks",
		passed: checks.filter((line) => line.startsWith("ok ")).length,
		failed: checks.filter((line) => line.startsWith("failed ")).length,
		skipped: 0,
	},
	...["user", "root"].map((name) => {
		const report = JSON.parse(read(`${name}.json`) || "{}");
		const { numPassedTests: passed = 0, numFailedTests = 0, numPendingTests: skipped = 0 } = report;
		const sound = read(`${name}.status`).trim() === "0" && passed > 0;
		return { name: `system tests, ${name}`, passed, failed: sound ? 0 : Math.max(numFailedTests, 1), skipped };
	}),
];
const sum = (key) => counts.reduce((total, count) => total + count[key], 0);
for (const { name, passed, failed, skipped } of counts) {
	say(`vm: ${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
}
const ended = existsSync(join(folder, "done"));
if (!ended) say("vm: the machine ended before the suite did");
const failed = sum("failed") + (ended ? 0 : 1);
say(`${sum("passed")} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
