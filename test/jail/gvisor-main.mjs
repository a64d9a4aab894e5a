/** Uses a sandbox again and again by the built library, until it is killed. `gvisor-main.mjs RUNSC FOLDER` */

import { Jail, parsePolicy } from "../../dist/index.js";

const [, , runsc, folder] = process.argv;
const policy = parsePolicy(
	JSON.stringify({
		system: { runtime: "runsc", optional: ["memory", "swap", "cpu", "pids"], cwd: "/tmp" },
		security: {
			process: { allow: ["/bin/sh", "/usr/bin/id"] },
			file: { tmpfs: [{ path: "/tmp", size: "16MiB" }], writablePaths: [folder] },
		},
	}),
);
const jail = await Jail.open(policy, { runsc });
const options = { stdin: "ignore", stdout: "collect", stderr: "collect" };
for (let round = 0; ; round++) {
	const script = `echo * > ${folder}/seen-${round}; echo x > /tmp/left; id -u; kill -9 1 || echo refused; /usr/bin/ls`;
	const { stdout, denials } = await jail.exec(["sh", "-c", script], {
		...options,
		copyIn: [{ path: "given", content: "x" }],
		copyOut: [{ path: "given", maxBytes: 10 }],
	});
	if (round === 1) process.stdout.write(`${JSON.stringify({ stdout: stdout.toString(), denials: denials.length })}\n`);
}
