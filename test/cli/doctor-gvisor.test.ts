import { describe, expect, it } from "vitest";
import { findingOf, gvisorFinding } from "../../src/cli/doctor-gvisor.ts";

const abilities = {
	version: "0.0~20240729.0",
	platforms: ["systrap", "ptrace"],
	ownUid: false,
	flags: new Set<string>(),
} as const;
const runsc = { path: "/opt/runsc", abilities };
const runtime = { path: "/opt/runsc", version: "0.0~20240729.0", platforms: ["systrap", "ptrace"], remembered: false };

describe("what the doctor says of gVisor", () => {
	it("names the build, and whether it ran now or earlier", () => {
		const now = { works: true, runsc, remembered: false, forget: () => undefined } as const;
		expect(findingOf(now)).toEqual({
			name: "runsc (gVisor)",
			ok: "yes",
			detail: "/opt/runsc, 0.0~20240729.0: ran a program just now (systrap)",
			needed: false,
			runtime,
		});
		expect(findingOf({ ...now, remembered: true })).toMatchObject({
			detail: expect.stringContaining("has run a program since the machine started"),
			runtime: { ...runtime, remembered: true },
		});
	});

	it("says in one line why it does not work, and what to do", () => {
		expect(findingOf({ works: false, why: "runsc is not in PATH", remedy: "Install it." })).toEqual({
			name: "runsc (gVisor)",
			ok: "no",
			detail: "runsc is not in PATH",
			fix: "Install it.",
			needed: false,
		});
		expect(findingOf({ works: false, why: "it failed:\n  badly\n", runsc })).toMatchObject({
			ok: "no",
			detail: "/opt/runsc, 0.0~20240729.0: it failed:; badly",
			fix: expect.stringContaining("--debug-log"),
			runtime,
		});
	});

	it("does not try without an executor", async () => {
		expect(await gvisorFinding(undefined)).toMatchObject({
			ok: "no",
			detail: expect.stringContaining("not tried"),
			fix: "npm run build",
		});
	});
});
