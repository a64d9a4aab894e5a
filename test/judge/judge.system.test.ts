import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeFolder } from "../helpers/folder.ts";
import { PATIENCE } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingPrograms } from "../system/caller.ts";
import { ends } from "./cases/ends.ts";
import { files } from "./cases/files.ts";
import { neighbours } from "./cases/neighbours.ts";
import { parallel } from "./cases/parallel.ts";
import { streams } from "./cases/streams.ts";
import { cliJudge } from "./cli.ts";
import type { Judge, Tools } from "./judge.ts";
import { libraryJudge } from "./library.ts";
import { serverJudge } from "./server.ts";

const missing =
	process.getuid?.() === 0
		? missingPrograms("cc", "gcc", "python3", "ps", "awk")
		: "the judge's limits need control groups: run the tests as root";

/** Where every jail sees it, and not below what its tmpfs cover. */
const folder = mkdtempSync("/var/tmp/vmjail-judge-");
afterAll(() => removeFolder(folder));

function build(): Tools {
	const programs = join(import.meta.dirname, "programs");
	const [helper, small] = [join(folder, "judge"), join(folder, "small")];
	execFileSync("cc", ["-O1", "-Wall", "-static", "-pthread", "-o", helper, join(programs, "judge.c")]);
	execFileSync("cc", ["-O1", "-Wall", "-static", "-nostdlib", "-s", "-o", small, join(programs, "small.c")]);
	chmodSync(folder, 0o755);
	return { helper, small: readFileSync(small) };
}

const groups = { ends, streams, files, neighbours, parallel };
const judges: readonly (readonly [Judge["name"], () => Judge | Promise<Judge>])[] = [
	["library", libraryJudge],
	["server", serverJudge],
	["command line", cliJudge],
];

describe.skipIf(requireOr(missing))("judging", () => {
	const tools = missing === undefined ? build() : { helper: "", small: Buffer.alloc(0) };

	describe.each(judges)("by the %s", (_name, make) => {
		const at: { judge?: Judge } = {};
		beforeAll(async () => {
			at.judge = await make();
		});
		afterAll(() => at.judge?.close());

		describe.each(Object.entries(groups))("%s", (_group, cases) => {
			it.each(cases.map((one) => [one.name, one] as const))(
				"%s",
				(_case, one) => one.run(at.judge as Judge, tools),
				240_000 * PATIENCE,
			);
		});
	});

	it("has names that are told apart", () => {
		const names = Object.values(groups).flatMap((cases) => cases.map(({ name }) => name));
		expect(new Set(names).size).toBe(names.length);
	});
});
