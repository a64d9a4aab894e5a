import { join } from "node:path";
import { probeHost } from "../../src/host/probe.ts";
import { ociCliDriver } from "../../src/runtime/oci-cli/driver.ts";
import { runscDriver } from "../../src/runtime/runsc/driver.ts";
import { findRunsc, type Runsc } from "../../src/runtime/runsc/find.ts";
import { driverUnderTest, exists } from "./drivers.ts";
import type { RuntimeUnderTest } from "./runtime.ts";

const checkout = join(import.meta.dirname, "../..");

/** The builds of gVisor to test with: VMJAIL_RUNSC alone where it is set, else those that scripts/get-runsc.sh fetched. */
export function runscBuilds(): Promise<readonly Runsc[]> {
	const named = process.env["VMJAIL_RUNSC"];
	const fetched = ["runsc", "runsc-head"].map((name) => join(checkout, "build/peers", name, "runsc"));
	const paths = named === undefined || named === "" ? fetched.filter(exists) : [named];
	return Promise.all(paths.map((runsc) => findRunsc({ runsc, env: process.env })));
}

export async function runscRuntimes(): Promise<readonly RuntimeUnderTest[]> {
	const { caller } = probeHost();
	const builds = await runscBuilds();
	return builds.map((runsc) => {
		const driver = runscDriver({ runsc, accel: "systrap", caller });
		return driverUnderTest(`runsc ${runsc.abilities.version}`, driver, [
			"exact-status",
			"kills-itself",
			"terminal",
			"terminal-size",
		]);
	});
}

export function ociRuntimes(): readonly RuntimeUnderTest[] {
	const { caller } = probeHost();
	const folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
	return (["crun", "runc"] as const).flatMap((runtime) => {
		const path = folders.map((folder) => join(folder, runtime)).find(exists);
		if (path === undefined) return [];
		const size = runtime === "runc" ? (["terminal-size"] as const) : [];
		return [driverUnderTest(runtime, ociCliDriver({ runtime, path, caller }), ["terminal", "erofs-first", ...size])];
	});
}
