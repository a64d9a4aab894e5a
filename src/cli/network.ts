/** `vmjail why` and `vmjail explain`: what a network policy lets through, without running anything. */

import { createColors } from "picocolors";
import { VmjailError } from "../errors.ts";
import { explainNetwork } from "../network/explain.ts";
import { type Why, whyTcp, whyUdp } from "../network/why.ts";
import type { Policy } from "../policy/types.ts";
import { print } from "./print.ts";

const colors = createColors(process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined);

export interface WhyArguments {
	readonly policy: Policy;
	/** "evil.com:443" */
	readonly tcp?: string;
	readonly udp?: string;
	readonly json: boolean;
}

/** Prints the verdict on one destination; 0 where it is allowed, 1 where it is refused. */
export function reportWhy({ policy, tcp, udp, json }: WhyArguments): number {
	const { network } = policy.security;
	if ((tcp === undefined) === (udp === undefined)) {
		throw new VmjailError("USAGE", "why: one destination is needed", {
			remedy: "vmjail why --tcp evil.com:443 -c policy.json",
		});
	}
	const why = tcp === undefined ? whyUdp(network, udp ?? "") : whyTcp(network, tcp);
	print(json ? `${JSON.stringify(why, undefined, 2)}\n` : verdict(why));
	return why.allowed ? 0 : 1;
}

function verdict({ allowed, destination, reason, wouldAllow }: Why): string {
	const mark = allowed ? colors.green("allowed") : colors.red("refused");
	const hint =
		wouldAllow === undefined
			? ""
			: `  ${wouldAllow.flag}, or in the policy: security.network.policy.${wouldAllow.list}: [${JSON.stringify(wouldAllow.entry)}]\n`;
	return `${destination}: ${mark}\n  ${reason}\n${hint}`;
}

/** Prints the network policy in words, a sentence a line. */
export function reportExplain(policy: Policy, json: boolean): number {
	const lines = explainNetwork(policy.security.network);
	print(json ? `${JSON.stringify(lines, undefined, 2)}\n` : `${lines.join("\n")}\n`);
	return 0;
}
