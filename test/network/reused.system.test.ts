/** Network rules in jails that are used again: the same as in jails of one program, and nothing of one program for the next. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { requireOr } from "../helpers/requirement.ts";
import { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address } from "../lab/zone.ts";
import { type ReusedOptions, reused, type Shown } from "./reused.ts";

const strict = { dns: ["*.npm.org:*", "*.python.org:*"] };
const curl = "curl -sS --max-time 10";

/** A script for Python, as an argument of a shell command in a string of JavaScript's. */
const python = (...lines: readonly string[]) => JSON.stringify(`python3 -c '${lines.join("\n")}'`);

let lab: Lab;

describe.skipIf(requireOr(labMissing()))("network rules in jails that are used again", () => {
	let before: readonly string[];

	beforeAll(async () => {
		before = leftovers();
		lab = await Lab.start();
	});
	afterAll(async () => {
		await lab?.[Symbol.asyncDispose]();
		expect(await leftSince([...before])).toEqual([]);
	});

	describe.each([
		["root", false],
		["an ordinary user", true],
	] as const)("as %s", (_who, asUser) => {
		const inLab = <T>(body: string, options: Partial<ReusedOptions> = {}) =>
			reused<T>(lab, { texts: strict, asUser, ...options }, body);

		it("what a rule names is fetched, all else is refused at once, and each program is told of its own", async () => {
			const body = `
				const jail = await lib.open();
				const fetch = "${curl} http://registry.npm.org/ && ${curl} https://registry.npm.org/";
				const refused = "${curl} http://${address.one}/; getent hosts pypi.org";
				const all = [];
				for (const script of [fetch, refused, refused, fetch]) all.push(await lib.sh(jail, script));
				await jail.close();
				return all;`;
			const [first, second, third, fourth] = await inLab<Shown[]>(body);
			const page = "hello from registry.npm.org, 0 bytes\n";
			expect([first, fourth]).toMatchObject(Array(2).fill({ exitCode: 0, stdout: page + page, denials: [] }));
			const denials = [
				expect.stringMatching(/^network: \/usr\/bin\/curl \(process \d+\): tcp 1\.1\.1\.1:80 refused/),
				expect.stringMatching(/^network: dns pypi\.org refused/),
			];
			expect([second, third]).toMatchObject(Array(2).fill({ exitCode: 2, stdout: "", denials }));
		});

		it("an address that stood for a name stands for it in that program alone", async () => {
			const body = `
				const jail = await lib.open();
				const named = "getent ahostsv4 registry.npm.org | { read -r a _; echo $a; ${curl} -H Host:registry.npm.org http://$a/; }";
				const first = await lib.sh(jail, named);
				const [granted] = first.stdout.split("\\n");
				const hard = "${curl} -H Host:registry.npm.org http://" + granted + "/";
				const second = await lib.sh(jail, hard);
				const third = await lib.sh(jail, "getent hosts python.org; " + hard);
				await jail.close();
				return [first, second, third];`;
			const mark = lab.log.length;
			const [first, second, third] = await inLab<Shown[]>(body);
			expect(first).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("hello from registry.npm.org") });
			expect(second).toMatchObject({ stdout: "", denials: [expect.stringContaining("never looked up")] });
			// The same address, for another name by now.
			expect(third).toMatchObject({ denials: [expect.stringMatching(/python\.org:80.*asks|HTTP request is for/)] });
			expect((await lab.since(mark)).filter(({ kind }) => kind === "http")).toHaveLength(1);
		});
	});
});
