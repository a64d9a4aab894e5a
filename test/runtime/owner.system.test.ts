import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeFolder } from "../helpers/folder.ts";
import { requireOr } from "../helpers/requirement.ts";

const checkout = join(import.meta.dirname, "../..");
const RUNSC = join(checkout, "build/peers/runsc/runsc");
const NOBODY = 65534;

function missing(runtime: string): string | undefined {
	if (process.getuid?.() !== 0) return "only root can give files away";
	if (runtime === "runsc") return existsSync(RUNSC) ? undefined : "scripts/get-runsc.sh has not fetched runsc";
	return spawnSync(runtime, ["--version"]).status === 0 ? undefined : `${runtime} is not installed`;
}

/** Left alone, crun and runsc give the files behind standard streams to the program's user. */
describe.each(["crun", "runc", "runsc"])("a program that another user runs under %s", (runtime) => {
	let folder = "";
	beforeAll(() => {
		folder = mkdtempSync(join(tmpdir(), "vmjail-owner-"));
		chmodSync(folder, 0o755);
		writeFileSync(join(folder, "in"), "read\n");
	});
	afterAll(() => removeFolder(folder));

	it.skipIf(requireOr(missing(runtime)))("leaves the files behind its standard streams to their owners", () => {
		const [input, output] = [openSync(join(folder, "in"), "r"), openSync(join(folder, "out"), "w")];
		const errors = openSync("/dev/null", "w");
		const owners = () => [join(folder, "in"), join(folder, "out"), "/dev/null"].map((path) => statSync(path).uid);
		const before = owners();
		const args = ["-q", "--runtime", runtime, "--user", `${NOBODY}:${NOBODY}`, "--", "cat"];
		// A cache of its own: runsc is tried out first, which must leave /dev/null alone as well.
		const env = { ...process.env, VMJAIL_RUNSC: RUNSC, XDG_RUNTIME_DIR: mkdtempSync(join(folder, "cache-")) };
		const { status } = spawnSync(join(checkout, "vmjail"), args, { env, stdio: [input, output, errors] });
		for (const descriptor of [input, output, errors]) closeSync(descriptor);
		expect(status).toBe(0);
		expect(execFileSync("cat", [join(folder, "out")], { encoding: "utf8" })).toBe("read\n");
		expect(owners()).toEqual(before);
	});
});
