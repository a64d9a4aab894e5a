import { describe, expect, it } from "vitest";
import { canRun, table } from "../../src/cli/doctor.ts";
import type { Finding } from "../../src/host/findings/types.ts";

const good: Finding = { name: "kernel", ok: "yes", detail: "6.1", needed: true };
const lacking: Finding = {
	name: "nft",
	ok: "no",
	detail: "not installed",
	fix: "sudo apt-get install nftables",
	needed: false,
};
const half: Finding = {
	name: "seccomp",
	ok: "partly",
	detail: "no notifications",
	fix: "Start a kernel.",
	needed: true,
};
const fatal: Finding = { ...half, ok: "no" };

describe("the doctor's table", () => {
	it("is aligned, and shows what to do below what falls short", () => {
		expect(table([good, half, lacking], false).split("\n")).toEqual([
			"✓ kernel   6.1",
			"– seccomp  no notifications",
			"           → Start a kernel.",
			"✗ nft      not installed",
			"           → sudo apt-get install nftables",
			"",
			"runlc can run here. 2 of 3 checks fall short (✗, –).",
			"",
		]);
	});

	it("shows a remedy of several neighbours once", () => {
		const lines = table([lacking, { ...lacking, name: "ip" }], false).split("\n");
		expect(lines.filter((line) => line.includes("→"))).toHaveLength(1);
		expect(lines[1]).toContain("ip");
	});

	it("names what keeps runlc from running", () => {
		expect(table([good, fatal], false)).toContain("runlc cannot run here: seccomp.");
		expect(table([good], false)).toContain("runlc can run here. Nothing is missing.");
	});

	it("colours on request only", () => {
		expect(table([good, lacking], false)).not.toContain("\u001b");
		expect(table([good, lacking], true)).toContain("\u001b");
	});

	it("counts only what is needed", () => {
		expect([canRun([good, half, lacking]), canRun([good, fatal])]).toEqual([true, false]);
	});
});
