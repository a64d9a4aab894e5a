import { expect, it } from "vitest";
import { answeredError, flushMessage } from "../../src/network/netlink/conntrack.ts";

it("the message that has tracked connections forgotten is nfnetlink's, and its answer is read", () => {
	// struct nlmsghdr { 20, ctnetlink's DELETE, NLM_F_REQUEST | NLM_F_ACK, 1, 0 }, struct nfgenmsg { AF_UNSPEC, 0, 0 }
	expect(Buffer.from(flushMessage()).toString("hex")).toBe("14000000020105000100000000000000" + "00000000");
	const answer = Buffer.alloc(36);
	answer.writeInt32LE(-95, 16);
	expect(answeredError(answer)).toBe(95);
});
