import { describe, expect, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { exits } from "./cases/exits.ts";
import { files } from "./cases/files.ts";
import { limits } from "./cases/limits.ts";
import { processes } from "./cases/processes.ts";
import { ociRuntimes, runlc, runscRuntimes } from "./runtimes.ts";
import { withScratch } from "./scratch.ts";

const runsc = await runscRuntimes();
const oci = ociRuntimes();

requireOr(runsc.length > 0 ? undefined : "no runsc to test with: sh scripts/get-runsc.sh");
requireOr(oci.length > 0 ? undefined : "neither crun nor runc is installed: apt-get install crun runc");

const groups = { exits, files, processes, limits };

/** Runtimes share nothing: they run side by side, the cases of one runtime one by one. */
const runtimes = [runlc, ...runsc, ...oci].map((runtime) => [runtime.name, runtime] as const);

describe.concurrent.each(runtimes)("%s", (_, runtime) => {
	describe.sequential.each(Object.entries(groups))("%s", (_group, cases) => {
		// A case that a runtime is known not to fulfil is run nowhere: `gives` in runtimes.ts is that list, docs/runsc.md says why.
		const own = cases.filter(({ needs = [] }) => needs.every((need) => runtime.gives.has(need)));
		it.each(own.map((one) => [one.name, one] as const))("%s", (_name, one) =>
			withScratch(runtime.caller, (scratch) => one.run(runtime, scratch)),
		);
	});
});

describe("the suite", () => {
	it("has names that are told apart", () => {
		const names = Object.values(groups).flatMap((cases) => cases.map(({ name }) => name));
		expect(new Set(names).size).toBe(names.length);
	});
});
