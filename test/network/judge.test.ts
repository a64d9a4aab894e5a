import { describe, expect, it } from "vitest";
import { parseIp } from "../../src/network/ip.ts";
import { judge } from "../../src/network/judge.ts";
import { compileRules } from "../../src/network/rules.ts";
import { policyOf } from "./policy.ts";

describe("what the notifier lets pass", () => {
	const allows = judge(compileRules(policyOf({ tcp: ["1.1.1.1:443"] })), [4, 6]);
	const to = (text: string, port: number) => {
		const ip = parseIp(text);
		if (ip === undefined) throw new Error(text);
		return { ip, port };
	};

	it.each([
		["1.1.1.1", 443],
		["127.0.0.1", 80],
		["::1", 80],
		["0.0.0.0", 80],
		["::", 80],
		["8.8.8.8", 53],
		["8.8.8.8", 0],
	])("%s port %d", (address, port) => {
		expect(allows(to(address, port))).toBe(true);
	});

	it.each([
		["1.1.1.1", 80],
		["0.0.0.1", 80],
		["8.8.8.8", 443],
		["2606:4700::1", 443],
	])("not %s port %d", (address, port) => {
		expect(allows(to(address, port))).toBe(false);
	});
});
