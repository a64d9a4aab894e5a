/** vmjail-confine as the host's kernel sees it; inside gVisor it is test/runtime/runsc/ that runs it. */

import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { nativePath } from "../../src/executor/package-files.ts";
import { compileSeccomp } from "../../src/plan/seccomp/compile.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingPrograms } from "../system/caller.ts";

const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
const noUname = {
	defaultAction: "SCMP_ACT_ALLOW",
	syscalls: [{ names: ["uname"], action: "SCMP_ACT_ERRNO", errnoRet: 71 }],
} as const;
const FILTER = Buffer.from(compileSeccomp(noUname, arch).bytes).toString("hex");

/** With descriptor 3 for its report. */
function confine(...args: readonly string[]) {
	const argv = ["--no-new-privs", "--", nativePath("vmjail-confine"), ...args];
	const { status, output } = spawnSync("setpriv", argv, {
		stdio: ["ignore", "pipe", "pipe", "pipe"],
		env: { GIVEN: "kept", LC_ALL: "C" },
		encoding: "utf8",
	});
	const [stdout = "", stderr = "", report = ""] = (output ?? []).slice(1).map((text) => text ?? "");
	return { status, stdout, stderr, report };
}

describe.skipIf(requireOr(missingPrograms("setpriv")))("vmjail-confine", () => {
	it("becomes the program, with its arguments and environment, the filter on and the report closed", () => {
		const script =
			'echo "$0 $1 $GIVEN"; grep ^Seccomp: /proc/self/status; uname; readlink /proc/$$/fd/3 || echo closed';
		const { status, stdout, stderr, report } = confine(
			"3",
			FILTER,
			"1",
			"/bin/sh",
			"name",
			"-c",
			script,
			"zero",
			"one",
		);
		expect({ status, report }).toEqual({ status: 0, report: "" });
		expect(stdout).toBe("zero one kept\nSeccomp:\t2\nclosed\n");
		expect(stderr).toContain("Protocol error");
	});

	it("tries files in turn, as long as they are not there or not executable", () => {
		expect(confine("3", FILTER, "3", "/nowhere", "/etc/passwd", "/bin/echo", "echo", "found").stdout).toBe("found\n");
	});

	it.each([
		["a file that is not there", ["3", FILTER, "1", "/nowhere", "x"], "execute 0002\n"],
		["the last one's error", ["3", FILTER, "2", "/nowhere", "/etc/passwd", "x"], "execute 0013\n"],
		["a filter that the kernel does not take", ["3", "0000000000000000", "1", "/bin/true", "x"], "filter 0022\n"],
		["text that is no filter", ["3", "060", "1", "/bin/true", "x"], "filter 0022\n"],
		["half an instruction", ["3", "06000000", "1", "/bin/true", "x"], "filter 0022\n"],
		["no filter", ["3", "", "1", "/bin/true", "x"], "filter 0022\n"],
		["more than a filter holds", ["3", "00".repeat(8 * 4097), "1", "/bin/true", "x"], "filter 0022\n"],
		["no program", ["3", FILTER, "1", "/bin/true"], "execute 0022\n"],
		["no file", ["3", FILTER, "0", "x"], "execute 0022\n"],
	])("executes nothing and reports %s", (_what, args, wanted) => {
		expect(confine(...args)).toEqual({ status: 127, stdout: "", stderr: "", report: wanted });
	});
});
