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
import type { Case, Judge, Tools } from "./judge.ts";
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

/** Judges share nothing: these run side by side, the cases of one judge one by one. */
const shared = { streams, files, neighbours, parallel };
/** Here the times are what is judged: nothing else runs. */
const alone = { ends };

const judges: readonly (readonly [Judge["name"], () => Judge | Promise<Judge>])[] = [
	["library", libraryJudge],
	["server", serverJudge],
	["command line", cliJudge],
];

/** The cases of these groups, by one judge. */
function judging(
	make: () => Judge | Promise<Judge>,
	groups: Readonly<Record<string, readonly Case[]>>,
	tools: Tools,
): void {
	const at: { judge?: Judge } = {};
	beforeAll(async () => {
		at.judge = await make();
	});
	afterAll(() => at.judge?.close());

	describe.sequential.each(Object.entries(groups))("%s", (_group, cases) => {
		it.each(cases.map((one) => [one.name, one] as const))(
			"%s",
			(_case, one) => one.run(at.judge as Judge, tools),
			240_000 * PATIENCE,
		);
	});
}

describe.skipIf(requireOr(missing))("judging", () => {
	const tools = missing === undefined ? build() : { helper: "", small: Buffer.alloc(0) };

	describe.each(judges)("by the %s, alone", (_name, make) => judging(make, alone, tools));
	describe.concurrent.each(judges)("by the %s", (_name, make) => judging(make, shared, tools));

	it("has names that are told apart", () => {
		const names = Object.values({ ...alone, ...shared }).flatMap((cases) => cases.map(({ name }) => name));
		expect(new Set(names).size).toBe(names.length);
	});
});
