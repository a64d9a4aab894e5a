import { describe, expect, it } from "vitest";
import { type ArgvInput, runArgv } from "../../../src/runtime/runsc/argv.ts";

const abilities = { version: "1", platforms: ["systrap"], ownUid: true, flags: new Set<string>() } as const;
const input: ArgvInput = {
	runsc: { path: "/bin/runsc", abilities },
	...{ state: "/s", log: "/l/log", accel: "systrap", network: "none", rootless: false, bundle: "/b", id: "abc" },
};

describe("runArgv", () => {
	it("is this, as root", () => {
		expect(runArgv(input)).toEqual([
			"/bin/runsc",
			"--root=/s",
			"--log=/l/log",
			"--log-format=json",
			"--debug",
			"--debug-log=/l/log.%COMMAND%",
			"--debug-log-format=json",
			"--debug-command=run",
			"--panic-log=/l/log.panic",
			"--platform=systrap",
			"--network=none",
			"--ignore-cgroups",
			"--oci-seccomp",
			"--directfs=false",
			"--overlay2=none",
			"--file-access=shared",
			"run",
			"--bundle=/b",
			"abc",
		]);
	});

	it("says --rootless for a caller without privileges", () => {
		expect(runArgv({ ...input, rootless: true })).toContain("--rootless");
	});

	it("passes newer flags to builds that have them only", () => {
		const newer = {
			path: "/bin/runsc",
			abilities: { ...abilities, flags: new Set(["host-settings", "gofer-network-namespace"]) },
		};
		expect(runArgv({ ...input, runsc: newer })).toEqual(
			expect.arrayContaining(["--host-settings=ignore", "--gofer-network-namespace=new"]),
		);
	});

	it("logs everything, elsewhere, where that is asked for", () => {
		const argv = runArgv({ ...input, debugLog: "/d" });
		expect(argv).toContain("--debug-log=/d/%COMMAND%.log");
		expect(argv).not.toContain("--debug-command=run");
	});

	it("passes descriptors and a trace session", () => {
		const argv = runArgv({ ...input, passDescriptors: [{ host: 4, inside: 3 }], podInitConfig: "/t.json" });
		expect(argv.slice(-4)).toEqual(["run", "--bundle=/b", "--pass-fd=4:3", "abc"]);
		expect(argv).toContain("--pod-init-config=/t.json");
	});
});
