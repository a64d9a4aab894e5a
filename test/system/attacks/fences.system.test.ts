/** Writes outside the policy are held twice, by mounts that are read-only and by Landlock: either does it without the other. */

import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPrograms, withoutCalls, withoutCallsCommand } from "../../exec/programs.ts";
import { removeFolder } from "../../helpers/folder.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { missingCaller, missingPrograms, Place, ROOT, run, VMJAIL } from "../caller.ts";

const EOPNOTSUPP = 95;
const LANDLOCK_CALLS = "444,445,446";
/** The call by which mounts are made read-only is not made, and said to have worked. */
const WRITABLE_MOUNTS = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=mount_setattr:retval=0"];

const missing = buildPrograms() ?? missingPrograms("strace") ?? missingCaller(ROOT);

describe.skipIf(requireOr(missing))("a file of the host that no policy names", () => {
	const place = new Place(ROOT);
	const at = { folder: "", file: "" };
	beforeAll(() => {
		at.folder = mkdtempSync("/var/tmp/fences-");
		chmodSync(at.folder, 0o755);
		at.file = join(at.folder, "file");
	});
	afterAll(() => {
		place.remove();
		removeFolder(at.folder);
	});

	const args = () => ["-q", "--optional", "landlock", "--", "sh", "-c", `echo written > ${at.file}`];
	const jails = {
		both: () => run(place, [VMJAIL, ...args()]),
		mounts: () => withoutCalls(place, EOPNOTSUPP, LANDLOCK_CALLS, args()),
		landlock: () => run(place, [...WRITABLE_MOUNTS, VMJAIL, ...args()]),
		neither: () => run(place, [...WRITABLE_MOUNTS, ...withoutCallsCommand(EOPNOTSUPP, LANDLOCK_CALLS, args())]),
	} as const;

	it.each([
		["both", /Read-only file system/],
		["mounts", /Read-only file system/],
		["landlock", /Permission denied/],
		["neither", undefined],
	] as const)("held by %s", async (held, refusal) => {
		writeFileSync(at.file, "");
		const { status, stderr } = await jails[held]();
		const expected =
			refusal === undefined ? { status: 0, stderr: "" } : { status: 2, stderr: expect.stringMatching(refusal) };
		expect({ status, stderr }).toEqual(expected);
		expect(readFileSync(at.file, "utf8")).toBe(refusal === undefined ? "written\n" : "");
	});
});
