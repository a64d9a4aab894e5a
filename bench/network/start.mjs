/** Start of a warm library's jails with and without network rules, in turns: median milliseconds, as one JSON object. */

import { library } from "../setup.mjs";
import { summary } from "../statistics.mjs";

const rounds = Number(process.argv[2] ?? 30);
const { run, loadPolicy } = await library();
const policyOf = (network) =>
	loadPolicy({ text: JSON.stringify({ extends: "default", security: { network } }), source: "bench", cwd: "/" });
const policies = {
	without: policyOf({ mode: "none" }),
	with: policyOf({ mode: "hostwithpolicy", policy: { tcp: ["1.1.1.1:443"], dns: ["npm.org:443"] } }),
};
const samples = { without: [], with: [] };
for (let i = 0; i < rounds + 5; i++)
	for (const [name, policy] of Object.entries(policies)) {
		const begun = performance.now();
		await run(["/bin/true"], { policy, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
		if (i >= 5) samples[name].push(performance.now() - begun);
	}
process.stdout.write(`${JSON.stringify({ without: summary(samples.without), with: summary(samples.with) })}\n`);
process.exit();
