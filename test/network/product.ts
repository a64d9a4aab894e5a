/** Jails in the lab as a user makes them: by the command line, with a policy file. */

import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkEvent } from "../../src/network/events.ts";
import type { Lab } from "../lab/lab.ts";
import type { JailOptions, JailResult } from "./harness.ts";
import type { RuleTexts } from "./policy.ts";
import { type NetworkRuntime, RUNLC } from "./runtimes.ts";

export const VMJAIL = join(import.meta.dirname, "../../vmjail");
const NOBODY = 65534;

/** What the lab gives a program to trust its certificates, and nothing else of the caller's. */
export const PASSED = [
	"PATH",
	"HOME",
	"SSL_CERT_FILE",
	"WGETRC",
	"CURL_CA_BUNDLE",
	"NODE_EXTRA_CA_CERTS",
	"GIT_SSL_CAINFO",
	"REQUESTS_CA_BUNDLE",
];

export interface ProductOptions extends JailOptions {
	/** In the place of the rules. */
	readonly mode?: "none" | "host";
	/** Of the command line, beside the policy. */
	readonly flags?: readonly string[];
	/** Inside the jail. */
	readonly capabilities?: readonly string[];
	/** Shell commands for the host, in a mount namespace of their own. */
	readonly before?: string;
	/** With `before`: the same, afterwards. */
	readonly after?: string;
}

export class Product {
	readonly #lab: Lab;
	readonly #flags: readonly string[];

	constructor(lab: Lab, runtime: NetworkRuntime = RUNLC) {
		this.#lab = lab;
		this.#flags = runtime.flags;
	}

	/** Runs a command (through sh) in a jail with these rules, on the lab's host. */
	async run(texts: RuleTexts, script: string, options: ProductOptions = {}): Promise<JailResult> {
		const folder = mkdtempSync(join(this.#lab.folder, "product"));
		chmodSync(folder, 0o777);
		const { bytesPerSecond: _, mode, flags = [], capabilities = [], before, after = ":", ...exec } = options;
		const policy = {
			extends: "default",
			system: { cwd: "/tmp", env: { pass: PASSED }, capabilities },
			security: {
				network: mode === undefined ? { mode: "hostwithpolicy", policy: texts } : { mode },
				file: { readablePaths: [this.#lab.folder] },
			},
		};
		writeFileSync(join(folder, "policy.json"), JSON.stringify(policy));
		const file = join(folder, "events");
		const own = ["--quiet", "--events", file, "-c", join(folder, "policy.json"), ...this.#flags, ...flags];
		const prepared =
			before === undefined
				? []
				: ["unshare", "-m", "sh", "-c", `${before}; "$@"; status=$?; ${after}; exit $status`, "sh"];
		const command = [...prepared, VMJAIL, ...own, "--", "sh", "-c", script];
		const finished = await this.#lab.hostExec(command, { ...exec, env: { ...this.#lab.env, ...exec.env } });
		const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
		return { ...finished, events: lines.filter((line) => line !== "").map((line) => JSON.parse(line) as NetworkEvent) };
	}

	/** The same as an ordinary user. */
	async runAsNobody(texts: RuleTexts, script: string, options: ProductOptions = {}): Promise<JailResult> {
		return await this.run(texts, script, { ...options, uid: NOBODY });
	}
}
