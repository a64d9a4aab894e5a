/** The same cases with vmjail started by an ordinary user: what a runtime needs root for is left out by `gives`. */

import { describe, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { missingCaller, USER } from "../system/caller.ts";
import { exits } from "./cases/exits.ts";
import { files } from "./cases/files.ts";
import { processes } from "./cases/processes.ts";
import { rootlessRuntimes } from "./runtimes.ts";
import { withScratch } from "./scratch.ts";

const cases = [...exits, ...files, ...processes];
const skipped = requireOr(missingCaller(USER));
const runtimes = skipped ? [] : await rootlessRuntimes();

describe.skipIf(skipped).each(runtimes.map((runtime) => [runtime.name, runtime] as const))(
	"%s for an ordinary user",
	{ concurrent: true },
	(_, runtime) => {
		const own = cases.filter(({ needs = [] }) => needs.every((need) => runtime.gives.has(need)));
		it.sequential.each(own.map((one) => [one.name, one] as const))("%s", (_name, one) =>
			withScratch(runtime.caller, (scratch) => one.run(runtime, scratch)),
		);
	},
);
