/** Where the server listens, and what that needs. Pure. */

import { isIP } from "node:net";
import { VmjailError } from "../errors.ts";

export type Address =
	| { readonly kind: "tcp"; readonly host: string; readonly port: number }
	| { readonly kind: "unix"; readonly path: string };

export const DEFAULT_LISTEN = "127.0.0.1:5050";

/** sockaddr_un(7): 108 bytes, with the zero. */
const LONGEST_UNIX_PATH = 107;

function refuse(text: string, why: string): never {
	throw new VmjailError("USAGE", `--listen ${text}: ${why}`, {
		remedy: "Write HOST:PORT (127.0.0.1:5050, [::1]:5050) or unix:PATH (unix:/run/vmjail.sock).",
	});
}

/** @throws VmjailError USAGE */
export function parseListen(text: string): Address {
	if (text.startsWith("unix:")) {
		const path = text.slice("unix:".length);
		if (!path.startsWith("/")) refuse(text, "the path is not absolute");
		if (new TextEncoder().encode(path).length > LONGEST_UNIX_PATH) refuse(text, "the path is too long for a socket");
		return { kind: "unix", path };
	}
	const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
	const host = bracketed ?? plain;
	const port = Number(digits);
	if (host === undefined || port > 65_535) refuse(text, "not HOST:PORT");
	const family = isIP(host);
	if (bracketed !== undefined && family !== 6) refuse(text, `${bracketed} is no IPv6 address`);
	if (family === 0 && host !== "localhost") refuse(text, "the host is neither an address nor localhost");
	// By its address: what a name means is for a resolver to say.
	return { kind: "tcp", host: host === "localhost" ? "127.0.0.1" : host, port };
}

function isLoopback(host: string): boolean {
	return host === "::1" || /^127\./.test(host);
}

/** @throws VmjailError USAGE where anybody on the network could run programs here */
export function refuseOpenDoor(address: Address, hasToken: boolean): void {
	if (hasToken || address.kind === "unix" || isLoopback(address.host)) return;
	throw new VmjailError(
		"USAGE",
		`--listen ${address.host}:${address.port} is beyond this machine, and there is no token`,
		{
			remedy:
				"Give a token: (umask 077; openssl rand -hex 32 > FILE), then --token-file FILE; or listen on 127.0.0.1, or on unix:PATH.",
		},
	);
}
