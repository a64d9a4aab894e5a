/** The gateway's process in the harness. Descriptors 9 and up as netjail.c says. Argument: the folder with policy.json. */

import { closeSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { createRequire as createAddonRequire } from "node:module";
import { join } from "node:path";
import type { Addon } from "../../src/executor/addon.ts";
import type { NetworkEvent } from "../../src/network/events.ts";
import { Gateway } from "../../src/network/gateway.ts";
import { compileRules, needsUdp } from "../../src/network/rules.ts";
import { policyOf, type RuleTexts } from "./policy.ts";

const folder = process.argv[2] ?? ".";
const {
	texts,
	limits,
	addon: addonPath,
} = JSON.parse(readFileSync(join(folder, "policy.json"), "utf8")) as {
	readonly texts: RuleTexts;
	readonly limits: { readonly bytesPerSecond?: number };
	readonly addon: string;
};
const addon = createAddonRequire(import.meta.url)(addonPath) as Addon;
const events: NetworkEvent[] = [];
const rules = compileRules(policyOf(texts));
const udp = needsUdp(rules);
const gateway = await Gateway.start({
	jail: "test",
	rules,
	families: [4, 6],
	descriptors: {
		tcp: [10, 11],
		dnsUdp: 12,
		dnsTcp: 13,
		...(udp ? { udp: { 4: { receive: 14, send: 16 }, 6: { receive: 15, send: 17 } } } : {}),
	},
	datagrams: { receive: addon.receiveDatagrams, send: addon.sendPacket, close: closeSync },
	limits,
	relay: addon,
	reportAll: true,
	onEvent: (event) => events.push(event),
});
process.on("SIGTERM", async () => {
	await gateway.close();
	writeFileSync(join(folder, "events"), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
	process.exit(0);
});
writeSync(9, "x");
