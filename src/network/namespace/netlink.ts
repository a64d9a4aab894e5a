/** Settings of a network namespace as steps of a process in it: netlink messages, several a call, and what is answered. */

import { O_CLOEXEC } from "../../plan/constants.ts";
import { space } from "../../plan/steps.ts";
import type { Step } from "../../plan/types.ts";
import { batchOf } from "../netlink/message.ts";
import { messageOf } from "../netlink/route.ts";
import type { Setting } from "../settings.ts";
import { JAIL } from "./tools.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
/** An answer repeats the request's header; only the error before it is looked at. */
const ANSWER_BYTES = 64;
/** Messages of one call, so that the kernel finds room for them. */
const MOST_MESSAGES = 256;

const WORDS: Readonly<Record<Setting["kind"], string>> = {
	veth: "make the pair of links",
	up: "bring links up",
	address: "give addresses",
	route: "set routes",
	rule: "set routing rules",
};

/** @param where "the gateway": for the steps' labels */
export function netlinkSteps(settings: readonly Setting[], where: string): readonly Step[] {
	const socket = { slot: "netlink" };
	return [
		{
			label: `open ${where}'s netlink`,
			call: "socket",
			args: [AF_NETLINK, SOCK_RAW | O_CLOEXEC, NETLINK_ROUTE],
			save: socket.slot,
		},
		...groupsOf(settings).flatMap((group): readonly Step[] => {
			const messages = batchOf(group.map((setting) => messageOf(setting, JAIL)));
			const answer = space(ANSWER_BYTES, "<answer>");
			const label = `${WORDS[group[0]?.kind ?? "up"]} of ${where}`;
			return [
				{ label, call: "sendto", args: [socket, messages, messages.bytes.length, 0, 0, 0] },
				{ label: "hear how that went", call: "recvfrom", args: [socket, answer, answer.bytes.length, 0, 0, 0] },
				{ label, call: "expect_ack", args: [answer] },
			];
		}),
		{ label: `close ${where}'s netlink`, call: "close", args: [socket] },
	];
}

/** Settings in order, those of a kind that follow each other together. */
function groupsOf(settings: readonly Setting[]): readonly (readonly Setting[])[] {
	const groups: Setting[][] = [];
	for (const setting of settings) {
		const last = groups.at(-1);
		if (last?.[0]?.kind === setting.kind && last.length < MOST_MESSAGES) last.push(setting);
		else groups.push([setting]);
	}
	return groups;
}
