/** System calls that no jail may make. Outside they succeed: the programs are right, and the kernel has them. */

import { afterAll, describe, expect, it } from "vitest";
import { requireOr } from "../../helpers/requirement.ts";
import { buildAttacks, expectRefused, expectSucceeded, inJail, inTheOpen } from "../attack.ts";
import { CALLERS, type Caller, missingCaller, Place, ROOT, USER } from "../caller.ts";

const unbuilt = buildAttacks();

/** Name of the call, what the jail answers, who may make it outside. */
const CALLS: readonly (readonly [string, RegExp, Caller])[] = [
	["io_uring", /EPERM/, USER],
	["userfaultfd", /EPERM/, ROOT],
	["bpf", /EPERM/, ROOT],
	["perf", /EPERM/, ROOT],
	["keyctl", /EPERM/, USER],
	["add_key", /EPERM/, USER],
	["unshare", /EPERM/, USER],
	["clone", /EPERM/, USER],
	["clone3", /ENOSYS/, USER],
	["vsock", /EAFNOSUPPORT/, USER],
	["packet", /EAFNOSUPPORT/, ROOT],
	["raw", /EPERM/, ROOT],
	["capset", /EPERM/, ROOT],
	["syslog", /EPERM/, ROOT],
];

for (const caller of CALLERS) {
	describe.skipIf(requireOr(unbuilt ?? missingCaller(caller)))(`forbidden system calls as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());

		it.each(CALLS)("%s", async (name, error, mayOutside) => {
			if (mayOutside.name === "user" || caller.name === "root") expectSucceeded(await inTheOpen(place, ["call", name]));
			expectRefused(await inJail(place, ["call", name]), error);
		});

		it("a profile that allows everything does not allow them", async () => {
			const policy = place.write("loose.json", '{ "security": { "syscalls": { "defaultAction": "SCMP_ACT_ALLOW" } } }');
			for (const [name, error] of CALLS.filter(([call]) => !["vsock", "packet"].includes(call))) {
				expectRefused(await inJail(place, ["call", name], ["-c", policy]), error);
			}
			// These two are the profile's to refuse: the control that is off here.
			expectSucceeded(await inJail(place, ["call", "vsock"], ["-c", policy]));
		});

		it.skipIf(process.arch !== "x64")("the 32-bit table: the program ends by SIGSYS", async () => {
			expectSucceeded(await inTheOpen(place, ["call", "getpid-i386"]));
			for (const name of ["getpid-i386", "unshare-i386"]) {
				expect(await inJail(place, ["call", name])).toMatchObject({ status: 159, stdout: "" });
			}
		});

		it.skipIf(process.arch !== "x64")("the x32 table: no such call, as in a kernel without it", async () => {
			expectRefused(await inJail(place, ["call", "unshare-x32"]), "ENOSYS");
		});
	});
}
