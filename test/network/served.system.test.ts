/** `vmjail serve` and the broker under a policy with network rules: each warm jail has a gateway of its own. */

import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import type { Answer } from "../judge/server.ts";
import { leavesNothing, withLab } from "../lab/hooks.ts";
import type { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address } from "../lab/zone.ts";
import { PASSED, VMJAIL } from "./product.ts";

/** Not nobody, whose id stands for callers that the broker cannot tell. */
const STRANGER = 54_321;

/** By the address, and by the name that a program asks for. */
const CONNECT = [
	"import socket, sys",
	"for place in sys.argv[1:]:",
	"	host, port = place.split(':')",
	"	try:",
	"		socket.create_connection((host, int(port)), 5).close()",
	"		print(place, 'connected')",
	"	except OSError as e:",
	"		print(place, e.strerror)",
].join("\n");

const command = (...args: readonly string[]) => ({
	args,
	files: [null, { name: "stdout", max: 10_000 }, { name: "stderr", max: 10_000 }],
});
const fetches = command("/usr/bin/curl", "-sS", "--max-time", "10", "http://registry.npm.org/");
const connects = command("/usr/bin/env", "python3", "-c", CONNECT, `${address.one}:80`, "pypi.org:443", "127.0.0.1:80");

let lab: Lab;

/** Requests, one after the other, to a server on the lab's host that ends with them. */
async function served(listen: string, ask: string, requests: readonly object[]): Promise<readonly Answer[][]> {
	const folder = mkdtempSync(join(lab.folder, "served"));
	chmodSync(folder, 0o755);
	const at = (name: string) => join(folder, name);
	const policy = {
		extends: "default",
		system: {
			env: { pass: PASSED },
			optional: ["memory", "swap", "cpu", "cpuset", "pids", "io"],
			time: { cpu: "20s", wall: "40s" },
		},
		security: {
			network: { mode: "hostwithpolicy", policy: { dns: ["*.npm.org:*"] } },
			file: { readablePaths: [lab.folder] },
		},
	};
	writeFileSync(at("policy.json"), JSON.stringify(policy));
	for (const [i, request] of requests.entries()) writeFileSync(at(`request${i}`), JSON.stringify(request));
	const script = [
		`${VMJAIL} serve --listen ${listen} --parallelism 2 --policy ${at("policy.json")} 2> ${at("log")} & server=$!`,
		`until ${ask}/version > ${at("version")} 2>&1; do sleep 0.1; kill -0 $server || { cat ${at("log")} >&2; exit 1; }; done`,
		...requests.map((_, i) => `${ask}/run -d @${at(`request${i}`)}; echo`),
		"kill -TERM $server; wait $server",
	].join("\n");
	const { status, stdout, stderr } = await lab.hostExec(["sh", "-c", script]);
	expect([status, stderr, readFileSync(at("log"), "utf8")]).toMatchObject([
		0,
		"",
		expect.not.stringContaining("error"),
	]);
	return stdout
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line) as Answer[]);
}

describe.skipIf(requireOr(labMissing()))("a server with network rules", () => {
	leavesNothing();
	withLab((started) => {
		lab = started;
	});

	it.each([
		["vmjail serve", "127.0.0.1:5050", "curl -sS http://127.0.0.1:5050"],
		[
			"the broker, asked by an ordinary user",
			"unix:/run/vmjail-served.sock",
			`setpriv --reuid ${STRANGER} --regid ${STRANGER} --clear-groups curl -sS --unix-socket /run/vmjail-served.sock http://localhost`,
		],
	])("%s", async (_name, listen, ask) => {
		const both = { cmd: [fetches, connects] };
		const answers = await served(listen, ask, [{ cmd: [fetches] }, { cmd: [connects] }, both, both]);
		const fetched = { status: "Accepted", files: { stdout: "hello from registry.npm.org, 0 bytes\n", stderr: "" } };
		const refused = {
			status: "Accepted",
			files: {
				stdout: `${address.one}:80 Operation not permitted\npypi.org:443 Name or service not known\n127.0.0.1:80 Connection refused\n`,
			},
		};
		expect(answers).toMatchObject([[fetched], [refused], [fetched, refused], [fetched, refused]]);
	});
});
