/** What a jail of the built library gives an ordinary user: prints one line of JSON. */

import { Jail, parsePolicy } from "../../dist/index.js";

const optional = ["memory", "swap", "cpu", "cpuset", "pids", "io"];
const policy = parsePolicy(
	JSON.stringify({
		system: { memory: { max: "256MiB" }, pids: { max: 64 }, optional, cwd: "/tmp" },
		security: { file: { tmpfs: [{ path: "/tmp", size: "16MiB" }] } },
	}),
);
const jail = await Jail.open(policy);
const seen = [];
const script = "ls -A /tmp /dev/shm; id -u; cat in; echo x > left; echo x > /dev/shm/left; ln in out";
for (let i = 0; i < 2; i++) {
	const { kind, exitCode, stdout, files, fileErrors, cpuUserMs, cpuSystemMs } = await jail.exec(["sh", "-c", script], {
		stdin: "ignore",
		stdout: "collect",
		stderr: "inherit",
		copyIn: [{ path: "in", content: "given\n" }],
		copyOut: [
			{ path: "out", maxBytes: 100 },
			{ path: "/etc/shadow", maxBytes: 100 },
		],
	});
	const out = files.get("out")?.toString();
	const refused = fileErrors.map(({ path, kind: why }) => [path, why]);
	seen.push({ kind, exitCode, stdout: stdout.toString(), out, refused, counted: cpuUserMs + cpuSystemMs > 0 });
}
const timed = await jail.exec(["sh", "-c", "while :; do :; done"], { stdin: "ignore", limits: { cpuMs: 200 } });
await jail.close();
process.stdout.write(`${JSON.stringify({ seen, limit: timed.limit })}\n`);
