/** Who may ask. */

import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import { HttpProblem } from "./problem.ts";

const SHORTEST_TOKEN = 16;

function digest(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}

/** @throws VmjailError USAGE for a file that cannot be read, is open to others, or holds no proper token */
export function readToken(file: string): string {
	const refuse = (why: string, cause?: unknown) =>
		new VmjailError("USAGE", `--token-file ${file}: ${why}`, {
			remedy: "Make one that only you can read: (umask 077; openssl rand -hex 32 > FILE)",
			cause,
		});
	const read = () => {
		try {
			return { mode: statSync(file).mode, text: readFileSync(file, "utf8") };
		} catch (cause) {
			throw refuse(`cannot be read: ${(cause as NodeJS.ErrnoException).code}`, cause);
		}
	};
	const { mode, text } = read();
	const token = text.trim();
	if ((mode & 0o077) !== 0) throw refuse("other users can open it");
	if (token.length < SHORTEST_TOKEN) throw refuse(`the token has fewer than ${SHORTEST_TOKEN} characters`);
	if (!/^[\x21-\x7e]+$/.test(token)) throw refuse("the token is not one word of ASCII");
	return token;
}

export interface RequestHead {
	readonly authorization: string | undefined;
	readonly host: string | undefined;
	readonly origin: string | undefined;
	readonly fetchSite: string | undefined;
}

/** "127.0.0.1:5050", "[::1]:5050", "localhost" → without the port, without the dot of a full name. */
function hostName(host: string): string {
	return host.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Lets a request pass, or throws. With a token: whoever knows it. Without: whoever reaches the server, but no web page in a
 * browser of this machine (by its own requests, or by a name that is made to point here).
 *
 * @throws HttpProblem 401, 403
 */
export type Guard = (head: RequestHead) => void;

/** @param tcp does the server listen on a TCP port? */
export function guardOf(token: string | undefined, tcp: boolean): Guard {
	if (token === undefined) return tcp ? refusePages : () => {};
	// Digests are of one length, so comparing takes the same time whatever was sent.
	const wanted = digest(`Bearer ${token}`);
	return ({ authorization = "" }) => {
		if (timingSafeEqual(digest(authorization), wanted)) return;
		throw new HttpProblem(401, "UNAUTHORIZED", "send the header Authorization: Bearer TOKEN");
	};
}

function refusePages({ host, origin, fetchSite }: RequestHead): void {
	const isPage = origin !== undefined || (fetchSite !== undefined && fetchSite !== "none");
	if (!isPage && host !== undefined && LOOPBACK.test(hostName(host))) return;
	throw new HttpProblem(403, "FORBIDDEN", "requests of web pages, and by other names than localhost, need a token");
}
