/** Uses a pool of the built library as hard as it can until it is killed. Its standard output says when it has begun. */

import { Pool, parsePolicy } from "../../dist/index.js";

const policy = parsePolicy(
	JSON.stringify({
		system: { memory: { max: "256MiB" }, pids: { max: 64 } },
		security: { file: { tmpfs: [{ path: "/tmp", size: "16MiB" }] } },
	}),
);
const pool = new Pool(policy, { size: 3, maxUses: 5 });

async function work() {
	for (;;) {
		await pool.exec(["sh", "-c", "sleep 100 & echo x > /tmp/x; head -c 100000 /dev/zero"], {
			stdin: "ignore",
			stdout: "collect",
			stderr: "ignore",
			copyIn: [{ path: "/tmp/in", content: "x" }],
			copyOut: [{ path: "/tmp/x", maxBytes: 10 }],
		});
	}
}

for (let i = 0; i < 6; i++) work();
await pool.exec(["true"], { stdin: "ignore", stdout: "ignore" });
process.stdout.write("begun\n");
