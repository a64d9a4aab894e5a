/**
 * Jails that are used again, by the built library on the lab's host. `reused-main.mjs POLICY BODY`: the body is that of an
 * asynchronous function; what it returns is written as JSON.
 */

import { readFileSync } from "node:fs";
import { Jail, Pool, parsePolicy } from "../../dist/index.js";

const [, , policyFile, bodyFile, runsc] = process.argv;
const policy = parsePolicy(readFileSync(policyFile, "utf8"), { source: policyFile });
const runtime = runsc === undefined ? {} : { runsc };
const streams = { stdin: "ignore", stdout: "collect", stderr: "collect" };

const shown = ({ kind, exitCode, stdout, stderr, denials }) => ({
	kind,
	exitCode,
	stdout: stdout?.toString(),
	stderr: stderr?.toString(),
	denials: denials.map(({ control, detail }) => `${control}: ${detail}`),
});

const lib = {
	policy,
	open: () => Jail.open(policy, runtime),
	pool: (options) => new Pool(policy, { ...runtime, ...options }),
	/** One shell script in a jail or a pool. */
	sh: async (at, script, options = {}) => shown(await at.exec(["sh", "-c", script], { ...streams, ...options })),
	sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
	import: (name) => import(name),
};
const AsyncFunction = (async () => undefined).constructor;
const result = await new AsyncFunction("lib", readFileSync(bodyFile, "utf8"))(lib);
process.stdout.write(`${JSON.stringify(result)}\n`);
