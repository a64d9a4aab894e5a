/** nfnetlink's messages for connection tracking (linux/netfilter/nfnetlink_conntrack.h). */

import { batchOf } from "./message.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_DELETE = 2;
/** struct nfgenmsg: every family, version 0. */
const EVERY_FAMILY = new Uint8Array(4);

/** What to send so that the socket's network namespace tracks no connection any more. It is answered. */
export function flushMessage(): Uint8Array {
	const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
	return batchOf([{ type, flags: 0, head: EVERY_FAMILY, attributes: [], shown: "{forget tracked connections}" }]).bytes;
}

const ERROR_AT = 16;

/** The errno of an answer (struct nlmsgerr): 0 for success. */
export function answeredError(answer: Uint8Array): number {
	return -new DataView(answer.buffer, answer.byteOffset).getInt32(ERROR_AT, true);
}
