/** struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)) → endpoint. Pure. */

import { endianness } from "node:os";
import { ipOfBytes } from "../ip.ts";
import type { Endpoint } from "./packet.ts";

const AF_INET = 2;
const AF_INET6 = 10;

/** Undefined for anything that is not one of the two. */
export function parseSocketAddress(bytes: Uint8Array): Endpoint | undefined {
	if (bytes.length < 8) return undefined;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const family = view.getUint16(0, endianness() === "LE");
	const port = view.getUint16(2);
	if (family === AF_INET) return { ip: ipOfBytes(bytes.subarray(4, 8)), port };
	if (family === AF_INET6 && bytes.length >= 24) return { ip: ipOfBytes(bytes.subarray(8, 24)), port };
	return undefined;
}
