import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { probeAll, runDoctor } from "../../src/cli/doctor.ts";
import type { Finding } from "../../src/host/findings/types.ts";
import { probeHost } from "../../src/host/probe.ts";
import { closeSession } from "../../src/jail/session.ts";
import { requireOr } from "../helpers/requirement.ts";

function ownGroups(): readonly string[] {
	const { v1, v2 } = probeHost().cgroup;
	const folders = [...v1.map(({ path }) => path), ...(v2 === undefined ? [] : [v2.path])];
	return [...new Set(folders)]
		.filter((folder) => existsSync(folder))
		.flatMap((folder) => readdirSync(folder).filter((name) => name.startsWith(`vmjail-${process.pid}-`)));
}

afterAll(() => closeSession());

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

	const runsc = join(import.meta.dirname, "../../build/peers/runsc/runsc");
	const skipped = requireOr(existsSync(runsc) ? undefined : "no runsc to try: sh scripts/get-runsc.sh");

	it.skipIf(skipped)("tries gVisor by running a program in it, and remembers that it worked", async () => {
		const cache = mkdtempSync(join(tmpdir(), "doctor-cache-"));
		onTestFinished(() => rmSync(cache, { recursive: true }));
		vi.stubEnv("XDG_RUNTIME_DIR", cache);
		const look = async () => (await probeAll({ runsc })).find(({ name }) => name === "runsc (gVisor)");
		const first = await look();
		const second = await look();
		const text = JSON.stringify(await probeAll({ runsc: "/bin/true" }));
		vi.unstubAllEnvs();
		expect(first).toMatchObject({ ok: "yes", runtime: { path: runsc, remembered: false } });
		expect(first?.detail).toMatch(/20240729.*ran a program just now \(systrap\)/);
		expect(second).toMatchObject({ ok: "yes", runtime: { path: runsc, remembered: true } });
		expect(text).toContain("this is not gVisor's runsc");
	});
});
