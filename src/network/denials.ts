/** The words of a denial: one line that says what was refused, why, and what would allow it. Pure. */

import { canonicalName } from "../policy/names.ts";
import type { Allowance, DenialReason, NetDenied, NetProtocol, Unstamped } from "./events.ts";
import { formatEndpoint, parseIp } from "./ip.ts";

export interface Refusal {
	readonly protocol: NetProtocol;
	readonly reason: DenialReason;
	/** Canonical name or address. */
	readonly host: string;
	/** Absent for DNS. */
	readonly port?: number;
	readonly rule?: string;
	/** The address a name resolved to, the server name a client asked for, …: a canonical name or address, or escaped for a terminal. */
	readonly detail?: string;
}

export function denial(refusal: Refusal): Unstamped<NetDenied> {
	const { protocol, reason, host, port, rule } = refusal;
	const destination = port === undefined ? host : formatEndpoint(host, port);
	const wouldAllow = allowanceFor(refusal);
	const hint = wouldAllow === undefined ? "" : `; ${wouldAllow.flag} would allow it`;
	return {
		kind: "net.denied",
		protocol,
		reason,
		destination,
		...(rule === undefined ? {} : { rule }),
		message: `${protocol} ${destination} refused: ${because(refusal)}${hint}`,
		...(wouldAllow === undefined ? {} : { wouldAllow }),
	};
}

/** Why, in one clause. */
export function because({ reason, protocol, host, rule, detail }: Refusal): string {
	const under = rule === undefined ? "" : ` (rule ${JSON.stringify(rule)})`;
	switch (reason) {
		case "no-rule":
			return `no rule of security.network.policy.${protocol} covers it`;
		case "name-not-allowed":
			return "no rule of security.network.policy.dns covers the name";
		case "unknown-address":
			return "the address stands for a name that was never looked up in this jail";
		case "special-address":
			return `${host} resolves to ${detail}, and no rule names that address${under}`;
		case "own-address":
			return `${host === detail ? "it is" : `${host} resolves to ${detail},`} an address of this host, which no rule names by itself${under}`;
		case "server-name":
			return `the TLS client asks for ${detail}, which this connection's rule does not cover${under}`;
		case "no-server-name":
			return `the TLS client names no server, so nothing shows that it means ${host}${under}`;
		case "host-header":
			return `the HTTP request is for ${detail}, which this connection's rule does not cover${under}`;
		case "malformed":
			return `${detail}${under}`;
		case "too-many":
			return detail ?? "too many at a time";
		default:
			return reason satisfies never;
	}
}

/** The narrowest entry that would have let this pass; none where the fault is in what was sent. */
function allowanceFor({ protocol, reason, host, port, detail }: Refusal): Allowance | undefined {
	switch (reason) {
		case "no-rule":
			return port === undefined || protocol === "dns"
				? undefined
				: allowance(isName(host) ? "dns" : protocol, formatEndpoint(host, port));
		case "name-not-allowed":
			return allowance("dns", `${host}:443`);
		case "special-address":
		case "own-address":
			return port === undefined || detail === undefined || protocol === "dns"
				? undefined
				: allowance(protocol, formatEndpoint(detail, port));
		case "server-name":
		case "host-header":
			// What the client asked for may be anything at all: only a proper name is worth suggesting.
			return port === undefined || detail === undefined || "problem" in canonicalName(detail)
				? undefined
				: allowance("dns", `${detail}:${port}`);
		case "unknown-address":
		case "no-server-name":
		case "malformed":
		case "too-many":
			return undefined;
		default:
			return reason satisfies never;
	}
}

function isName(host: string): boolean {
	return parseIp(host) === undefined;
}

function allowance(list: Allowance["list"], entry: string): Allowance {
	return { flag: `--allow-${list} ${entry}`, list, entry };
}
