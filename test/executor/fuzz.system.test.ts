import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { encodePlan, encodeWorkload } from "../../src/executor/encode.ts";
import { removeFolder } from "../helpers/folder.ts";
import { policyOf } from "../helpers/policy.ts";
import { requireOr } from "../helpers/requirement.ts";
import { planned } from "../plan/fixtures.ts";

const root = join(import.meta.dirname, "../..");
const SECONDS = 3;

const folder = mkdtempSync(join(tmpdir(), "fuzz-test-"));
afterAll(() => removeFolder(folder));

/** Why nothing can be linked with the sanitisers here, with the remedy; undefined where it can. */
function missingSanitizers(): string | undefined {
	const source = join(folder, "empty.c");
	writeFileSync(source, "int main(void) { return 0; }\n");
	const { status } = spawnSync("cc", ["-fsanitize=address,undefined", "-o", join(folder, "empty"), source]);
	return status === 0 ? undefined : "no C compiler with sanitisers: apt-get install gcc libc6-dev";
}

/** Real programs to mutate. */
function seeds(): readonly string[] {
	const { plan, workload } = planned(policyOf(), { command: ["sh", "-c", "id"] });
	const jail = encodePlan(plan, "x86_64");
	return [jail, encodeWorkload(workload, jail, plan, "x86_64")].map(({ bytes }, i) => {
		const file = join(folder, `seed-${i}`);
		writeFileSync(file, bytes);
		return file;
	});
}

describe.skipIf(requireOr(missingSanitizers()))("under the address and undefined behaviour sanitisers", () => {
	it("the executor reads mutated programs and frames without a fault, and refuses what points outside", () => {
		const build = spawnSync("make", ["-s", "-C", "native", "asan"], { cwd: root, encoding: "utf8" });
		expect([build.status, build.status === 0 ? "" : build.stderr]).toEqual([0, ""]);
		const seed = String(1 + (process.pid % 1000));
		const fuzz = spawnSync("build/asan/program", [String(SECONDS), seed, ...seeds()], { cwd: root, encoding: "utf8" });
		expect([fuzz.status, `seed ${seed}: ${fuzz.stderr}`]).toEqual([0, `seed ${seed}: `]);
		const [rounds = 0, sound = 0] = (fuzz.stdout.match(/\d+/g) ?? []).map(Number);
		expect(rounds).toBeGreaterThan(1000);
		expect(sound).toBeGreaterThan(100);
	});
});
