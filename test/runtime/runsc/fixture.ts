/** Runs one program in gVisor and writes how it ended to standard error, as JSON. Arguments: runsc, an OCI spec as JSON. */

import { VmjailError } from "../../../src/errors.ts";
import { probeHost } from "../../../src/host/probe.ts";
import type { Spec } from "../../../src/oci/types.ts";
import { runscDriver } from "../../../src/runtime/runsc/driver.ts";
import { findRunsc } from "../../../src/runtime/runsc/find.ts";

const [path = "", json = ""] = process.argv.slice(2);
try {
	const runsc = await findRunsc({ runsc: path, env: {} });
	const driver = runscDriver({ runsc, accel: "systrap", caller: probeHost().caller });
	const handle = await driver.start(JSON.parse(json) as Spec, { stdin: 0, stdout: 1, stderr: 1 });
	process.stderr.write(JSON.stringify(await handle.wait()));
} catch (error) {
	const { code, message } = error as VmjailError;
	process.stderr.write(JSON.stringify({ error: error instanceof VmjailError ? code : "bug", message }));
}
