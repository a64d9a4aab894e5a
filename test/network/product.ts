/** Jails in the lab as a user makes them: by the command line, with a policy file. */

import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkEvent } from "../../src/network/events.ts";
import type { Lab } from "../lab/lab.ts";
import type { JailOptions, JailResult } from "./harness.ts";
import type { RuleTexts } from "./policy.ts";

const VMJAIL = join(import.meta.dirname, "../../vmjail");
const NOBODY = 65534;

/** What the lab gives a program to trust its certificates, and nothing else of the caller's. */
const PASSED = [
	"PATH",
	"HOME",
	"SSL_CERT_FILE",
	"WGETRC",
	"CURL_CA_BUNDLE",
	"NODE_EXTRA_CA_CERTS",
	"GIT_SSL_CAINFO",
	"REQUESTS_CA_BUNDLE",
];

export class Product {
	readonly #lab: Lab;
	#jails = 0;

	constructor(lab: Lab) {
		this.#lab = lab;
	}

	/** Runs a command (through sh) in a jail with these rules, on the lab's host. */
	async run(texts: RuleTexts, script: string, options: JailOptions = {}): Promise<JailResult> {
		const folder = join(this.#lab.folder, `product${this.#jails++}`);
		mkdirSync(folder);
		chmodSync(folder, 0o777);
		const policy = {
			extends: "default",
			system: { cwd: "/tmp", env: { pass: PASSED } },
			security: {
				network: { mode: "hostwithpolicy", policy: texts },
				file: { readablePaths: [this.#lab.folder] },
			},
		};
		writeFileSync(join(folder, "policy.json"), JSON.stringify(policy));
		const file = join(folder, "events");
		const { bytesPerSecond: _, ...exec } = options;
		const command = [VMJAIL, "--quiet", "--events", file, "-c", join(folder, "policy.json"), "--", "sh", "-c", script];
		const finished = await this.#lab.hostExec(command, { ...exec, env: { ...this.#lab.env, ...exec.env } });
		const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
		return { ...finished, events: lines.filter((line) => line !== "").map((line) => JSON.parse(line) as NetworkEvent) };
	}

	/** The same as an ordinary user. */
	async runAsNobody(texts: RuleTexts, script: string, options: JailOptions = {}): Promise<JailResult> {
		return await this.run(texts, script, { ...options, uid: NOBODY });
	}
}
