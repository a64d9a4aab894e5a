/** Formats that the administrator registered (binfmt_misc): the kernel runs an interpreter in the place of the file. */

import { readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, Place, ROOT, run, VMJAIL } from "../system/caller.ts";
import { buildPrograms, put } from "./programs.ts";

/** Since Linux 6.7 a user namespace can have formats of its own, so that a test registers none with the machine. */
function missingFormats(): string | undefined {
	const [major = 0, minor = 0] = release().split(".").map(Number);
	if (major < 6 || (major === 6 && minor < 7)) return "binfmt_misc of a user namespace needs Linux 6.7";
	const known = readFileSync("/proc/filesystems", "utf8").includes("\tbinfmt_misc\n");
	return known ? undefined : "this kernel has no binfmt_misc: modprobe binfmt_misc";
}

const missing = buildPrograms() ?? missingCaller(ROOT) ?? missingFormats();

describe.skipIf(requireOr(missing))("a registered format", () => {
	const place = new Place(CALLERS[0] ?? ROOT);
	afterAll(() => place.remove());

	it("runs neither a file nor an interpreter that is not listed", async () => {
		const file = place.write("formatted", "VMCANARY\n", 0o755);
		const canary = put(place, "static-canary");
		const formats = "/proc/sys/fs/binfmt_misc";
		const jail = (...lists: readonly string[]) =>
			`${VMJAIL} -q --ro ${place.work} ${lists.map((path) => `--exec ${path}`).join(" ")} -- sh -c '${file}; echo $?'`;
		const script = [
			"echo ready; until grep -q 0 /proc/self/uid_map && grep -q 0 /proc/self/gid_map; do :; done",
			`mount -t binfmt_misc none ${formats} && echo ':vmjail-test:M::VMCANARY::${canary}:' > ${formats}/register`,
			`${file}; echo $?`,
			jail(),
			jail("/bin/sh"),
			jail("/bin/sh", file),
			jail("/bin/sh", file, canary),
		].join("\n");
		const { stdout } = await run(place, ["unshare", "-U", "-m", "sh", "-c", script], {
			onOutput: (soFar, { pid }) => {
				if (soFar !== "ready\n") return;
				for (const map of ["uid_map", "gid_map"]) writeFileSync(join(`/proc/${pid}`, map), "0 0 65536\n");
			},
		});
		expect(stdout).toBe("ready\n222\n222\n126\n126\n222\n");
	});
});
