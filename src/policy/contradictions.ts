/** Values that are fine each, and cannot hold together. */

import type { Problem } from "./problems.ts";
import { parseProgram } from "./programs.ts";
import { show } from "./shown.ts";
import type { JsonPath } from "./tree.ts";

type Rec = Readonly<Record<string, unknown>>;

/**
 * Works on what valibot made of the document even where parts of it are wrong, so that one run names everything: a
 * value of the wrong type is skipped here, it has been reported already.
 */
export function contradictions(output: unknown): readonly Problem[] {
	const system = record(record(output)["system"]);
	const security = record(record(output)["security"]);
	const file = record(security["file"]);
	return [
		...rollback(system),
		...swap(record(system["memory"])),
		...placedTwice(file),
		...maskedExecutables(file, record(security["process"])),
		...publishedTwice(record(record(security["network"])["policy"])),
		...rateOfHost(record(security["network"])),
	];
}

function record(value: unknown): Rec {
	return typeof value === "object" && value !== null ? (value as Rec) : {};
}

function items(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [];
}

function rollback(system: Rec): readonly Problem[] {
	if (system["rollback"] !== system["runtime"] || typeof system["runtime"] !== "string") return [];
	return [
		{
			path: ["system", "rollback"],
			message: `the runtime is ${show(system["runtime"])} already: name another one, or "" for none`,
		},
	];
}

function swap(memory: Rec): readonly Problem[] {
	if (typeof memory["swap"] !== "number" || memory["swap"] === 0 || memory["max"] !== undefined) return [];
	return [
		{ path: ["system", "memory", "swap"], message: "swap is counted beyond system.memory.max, which is not set" },
	];
}

const LISTS = ["writablePaths", "readablePaths", "maskedPaths", "tmpfs"] as const;

/** A path in two lists, or a tmpfs of two sizes. The same path twice in one list is harmless. */
function placedTwice(file: Rec): readonly Problem[] {
	const problems: Problem[] = [];
	const seen = new Map<string, { readonly list: string; readonly at: string; readonly size: unknown }>();
	for (const list of LISTS) {
		for (const [index, item] of items(file[list]).entries()) {
			const path = list === "tmpfs" ? record(item)["path"] : item;
			if (typeof path !== "string") continue;
			const first = seen.get(path);
			const size = record(item)["size"];
			seen.set(path, first ?? { list, at: `security.file.${list}[${index}]`, size });
			const same = first === undefined || (first.list === list && first.size === size);
			if (!same)
				problems.push({
					path: ["security", "file", list, index],
					message: `${show(path)} is in ${first.at} as well: keep one`,
				});
		}
	}
	return problems;
}

function maskedExecutables(file: Rec, process: Rec): readonly Problem[] {
	const masked = items(file["maskedPaths"]);
	return items(process["allow"]).flatMap((path, index) => {
		if (typeof path !== "string" || !masked.includes(parseProgram(path).path)) return [];
		return [
			{
				path: ["security", "process", "allow", index],
				message: `${show(path)} is masked by security.file.maskedPaths: it could never run`,
			},
		];
	});
}

/** Rules that another mode leaves unused take nothing away; a bound that is not held does. */
function rateOfHost(network: Rec): readonly Problem[] {
	if (network["mode"] !== "host" || record(network["policy"])["rate"] === undefined) return [];
	return [
		{
			path: ["security", "network", "policy", "rate"],
			message: 'nothing holds a rate with security.network.mode "host": use "hostwithpolicy", or leave the rate out',
		},
	];
}

function publishedTwice(rules: Rec): readonly Problem[] {
	const problems: Problem[] = [];
	const seen = new Map<string, unknown>();
	for (const [index, item] of items(rules["listen"]).entries()) {
		const { hostAddress, hostPort, jailPort } = record(item);
		if (typeof hostPort !== "number") continue;
		const outer = `${hostAddress}:${hostPort}`;
		const path: JsonPath = ["security", "network", "policy", "listen", index];
		if (seen.has(outer) && seen.get(outer) !== jailPort) {
			problems.push({
				path,
				message: `port ${hostPort} of ${hostAddress} is published for port ${seen.get(outer)} already`,
			});
		}
		seen.set(outer, jailPort);
	}
	return problems;
}
