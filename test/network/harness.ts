/** Jails in the lab: the product's rules and gateway, with netjail.c in the place of the executor. */

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { nativePath } from "../../src/executor/package-files.ts";
import type { NetworkEvent } from "../../src/network/events.ts";
import { gatewayFirewall } from "../../src/network/firewall.ts";
import { resolvConf } from "../../src/network/layout.ts";
import { gatewaySettings, gatewaySysctls, jailSettings, jailSysctls } from "../../src/network/routes.ts";
import { compileRules } from "../../src/network/rules.ts";
import type { Setting, Sysctl } from "../../src/network/settings.ts";
import type { ExecOptions, Finished, Lab } from "../lab/lab.ts";
import { ipBatches } from "./ip-batch.ts";
import { policyOf, type RuleTexts } from "./policy.ts";

export interface JailResult extends Finished {
	readonly events: readonly NetworkEvent[];
}

export interface JailOptions extends ExecOptions {
	readonly bytesPerSecond?: number;
}

const NOBODY = 65534;
const PEER = 4_194_304; // above the largest pid: replaced by netjail.c's caller
const source = (name: string) => join(import.meta.dirname, name);

export class Harness {
	readonly #lab: Lab;
	#jails = 0;

	private constructor(lab: Lab) {
		this.#lab = lab;
	}

	/** Builds what the jails of this lab need, into the lab's folder. */
	static async build(lab: Lab): Promise<Harness> {
		const flags = ["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror"];
		execFileSync("cc", [...flags, "-o", join(lab.folder, "netjail"), source("netjail.c")], { stdio: "inherit" });
		copyFileSync(nativePath("addon.node"), join(lab.folder, "addon.node")); // the checkout may be closed to ordinary users
		await build({
			entryPoints: [source("gateway-main.ts")],
			outfile: join(lab.folder, "gateway.mjs"),
			bundle: true,
			platform: "node",
			format: "esm",
			target: "node20",
			logLevel: "error",
			banner: {
				js: 'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);',
			},
		});
		return new Harness(lab);
	}

	/** Runs a command (through sh) in a jail with these rules, on the lab's host. */
	async run(texts: RuleTexts, script: string, options: JailOptions = {}): Promise<JailResult> {
		const folder = join(this.#lab.folder, `jail${this.#jails++}`);
		prepare(folder, texts);
		const { bytesPerSecond, ...exec } = options;
		const limits = bytesPerSecond === undefined ? {} : { bytesPerSecond };
		writeFileSync(
			join(folder, "policy.json"),
			JSON.stringify({ texts, limits, addon: join(this.#lab.folder, "addon.node") }),
		);
		const gateway = [process.execPath, join(this.#lab.folder, "gateway.mjs"), folder];
		const finished = await this.#lab.hostExec(
			[join(this.#lab.folder, "netjail"), folder, ...gateway, "--", "sh", "-c", script],
			exec,
		);
		const file = join(folder, "events");
		const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
		return { ...finished, events: lines.filter((line) => line !== "").map((line) => JSON.parse(line) as NetworkEvent) };
	}

	/** The same as an ordinary user. */
	async runAsNobody(texts: RuleTexts, script: string, options: JailOptions = {}): Promise<JailResult> {
		return await this.run(texts, script, { ...options, uid: NOBODY });
	}
}

function prepare(folder: string, texts: RuleTexts): void {
	const rules = compileRules(policyOf(texts));
	mkdirSync(folder);
	chmodSync(folder, 0o777);
	const put = (name: string, text: string) => writeFileSync(join(folder, name), text);
	putBatches(put, "gateway", gatewaySettings([4, 6]));
	putBatches(put, "jail", jailSettings(rules, [4, 6]));
	put("gateway.sysctl", sysctlLines(gatewaySysctls));
	put("jail.sysctl", sysctlLines(jailSysctls));
	put("firewall.json", JSON.stringify(gatewayFirewall(rules, [4, 6])));
	put("resolv.conf", resolvConf());
}

function putBatches(put: (name: string, text: string) => void, side: string, settings: readonly Setting[]): void {
	const batches = ipBatches(settings, String(PEER));
	for (const family of [4, 6] as const)
		put(`${side}.batch${family}`, batches[family].replaceAll(`netns ${PEER}`, "netns @PEER@"));
}

function sysctlLines(sysctls: readonly Sysctl[]): string {
	return sysctls.map(({ path, value }) => `${path} ${value}\n`).join("");
}
