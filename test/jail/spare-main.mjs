/**
 * Runs of the built library that leave a spare, then one of: "end" (nothing more to do), "exit" (process.exit), "stay", and
 * "busy" (runs without end, two at a time). Prints a line of JSON when it has come so far.
 */

import { parsePolicy, run } from "../../dist/index.js";

const [mode, ...optional] = process.argv.slice(2);
const policy = parsePolicy(
	JSON.stringify({ system: { memory: { max: "256MiB" }, pids: { max: 64 }, optional, env: { pass: ["PATH"] } } }),
);
const once = () => run(["true"], { policy, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
const pause = () => new Promise((resolve) => setTimeout(resolve, 30));

const kinds = [];
for (let i = 0; i < 6; i++) {
	kinds.push((await once()).kind);
	await pause();
}
await new Promise((resolve) => process.stdout.write(`${JSON.stringify(kinds)}\n`, resolve));
if (mode === "exit") process.exit(0);
if (mode === "stay") setInterval(() => {}, 1000);
const work = async () => {
	for (;;) await once().catch(() => {});
};
if (mode === "busy") for (let i = 0; i < 2; i++) work();
