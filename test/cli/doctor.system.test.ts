import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { probeAll, runDoctor } from "../../src/cli/doctor.ts";
import type { Finding } from "../../src/host/findings/types.ts";
import { probeHost } from "../../src/host/probe.ts";

function ownGroups(): readonly string[] {
	const { v1, v2 } = probeHost().cgroup;
	const folders = [...v1.map(({ path }) => path), ...(v2 === undefined ? [] : [v2.path])];
	return [...new Set(folders)]
		.filter((folder) => existsSync(folder))
		.flatMap((folder) => readdirSync(folder).filter((name) => name.startsWith(`vmjail-${process.pid}-`)));
}

describe("vmjail doctor on this machine", () => {
	it("finds something about everything, and a remedy for what is missing", async () => {
		const findings = await probeAll();
		expect(new Set(findings.map(({ name }) => name)).size).toBe(findings.length);
		expect(findings.every(({ detail }) => detail !== "" && !detail.includes("\n"))).toBe(true);
		expect(findings.filter(({ ok, fix }) => ok === "no" && !fix)).toEqual([]);
		expect(ownGroups()).toEqual([]);
	});

	it("prints the same as JSON, and ends with 1 where the executor is missing", async () => {
		const written: string[] = [];
		const stdout = { write: (text: string) => written.push(text), isTTY: true };
		expect(await runDoctor({ json: true, stdout, executorPath: "/nonexistent/executor" })).toBe(1);
		const findings: readonly Finding[] = JSON.parse(written.join(""));
		expect(findings.find(({ name }) => name === "executor")).toMatchObject({ ok: "no", needed: true });
	});
});
