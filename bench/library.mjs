/**
 * A process that uses the library, with one policy, as a program would that has run for a while. Started by startup.mjs:
 *
 *   node library.mjs PRESET|-      `-` is the policy {}
 *
 * A request is a line with the number of runs, one right after the other; the answer a line with the milliseconds of each
 * on average.
 */

import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { library } from "./setup.mjs";

const [preset, ...program] = process.argv.slice(2);
const { loadPolicy, parsePolicy, run } = await library();
const context = { cwd: process.cwd(), ...(process.env.HOME === undefined ? {} : { home: process.env.HOME }) };
const policy =
	preset === "-" ? parsePolicy("{}", { source: "minimal", ...context }) : loadPolicy({ preset, ...context });

async function once() {
	const outcome = await run(program, { policy, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
	if (outcome.kind !== "exited" || outcome.exitCode !== 0) throw new Error(JSON.stringify(outcome));
}

for await (const line of createInterface({ input: process.stdin })) {
	const count = Number(line);
	const begin = performance.now();
	for (let i = 0; i < count; i++) await once();
	process.stdout.write(`${(performance.now() - begin) / count}\n`);
}
