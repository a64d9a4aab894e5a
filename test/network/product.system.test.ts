/** The network policy through the command line: the talk's demonstrations, and the ways around it that people try first. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { requireOr } from "../helpers/requirement.ts";
import type { LabEvent } from "../lab/events.ts";
import { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address } from "../lab/zone.ts";
import type { JailOptions, JailResult } from "./harness.ts";
import type { RuleTexts } from "./policy.ts";
import { Product } from "./product.ts";

/** The talk's policy. */
const deck: RuleTexts = { tcp: ["1.1.1.1:"], udp: ["*:53"], dns: ["*.npm.org:*", "*.python.org:*"] };
/** The same without a way for other names to resolve. */
const strict: RuleTexts = { dns: ["*.npm.org:*", "*.python.org:*"] };

const curl = "curl -sS --max-time 10";

let lab: Lab;
let product: Product;

async function observed<T>(work: () => Promise<T>): Promise<readonly [T, readonly LabEvent[]]> {
	const mark = lab.log.length;
	const result = await work();
	return [result, await lab.since(mark)];
}

const asked = (events: readonly LabEvent[]) => events.flatMap((event) => (event.kind === "dns" ? [event.name] : []));
const visited = (events: readonly LabEvent[]) => events.flatMap((event) => (event.kind === "http" ? [event.host] : []));

describe.skipIf(requireOr(labMissing()))("network policy, by the command line", () => {
	let before: readonly string[];

	beforeAll(async () => {
		before = leftovers();
		lab = await Lab.start();
		product = new Product(lab);
	});
	afterAll(async () => {
		await lab?.[Symbol.asyncDispose]();
		expect(await leftSince([...before])).toEqual([]);
	});

	describe.each(["root", "an ordinary user"] as const)("as %s", (who) => {
		const run = (texts: RuleTexts, script: string, options?: JailOptions): Promise<JailResult> =>
			who === "root" ? product.run(texts, script, options) : product.runAsNobody(texts, script, options);

		it("plays the talk: npm.org is fetched over HTTPS", async () => {
			const { status, stdout, stderr } = await run(deck, "wget -O- npm.org");
			expect([status, stdout], stderr).toEqual([0, "hello from npm.org, 0 bytes\n"]);
			expect(stderr).toMatch(/Connecting to npm.org.*:443\.\.\. connected/);
		});

		it("plays the talk: python.org redirects to www.python.org", async () => {
			const { stdout, stderr } = await run(deck, "wget -O- python.org");
			expect(stderr).toContain("Location: https://www.python.org/");
			expect(stdout).toBe("hello from www.python.org, 0 bytes\n");
		});

		it("plays the talk: pypi.org resolves and is refused at once, by both families", async () => {
			expect((await lab.hostExec(["curl", "-sSL", "pypi.org"])).stdout).toBe("hello from pypi.org, 0 bytes\n");
			const [{ status, stderr, events }, seen] = await observed(() => run(deck, "wget -t 1 -O- pypi.org"));
			expect(stderr).toContain(`|${address.pypi}|:80... failed: Operation not permitted.`);
			expect(stderr).toContain(`|${address.pypi6}|:80... failed: Operation not permitted.`);
			expect([status, visited(seen)]).toEqual([4, []]);
			expect(events).toContainEqual(expect.objectContaining({ kind: "net.denied", destination: "pypi.org:80" }));
		});

		it("a refused name does not resolve, and no question about it leaves the machine", async () => {
			const [{ status }, seen] = await observed(() => run(strict, "getent hosts secret-data.pypi.org"));
			expect([status, asked(seen)]).toEqual([2, []]);
			const [, open] = await observed(() => lab.hostExec(["getent", "hosts", "secret-data.pypi.org"]));
			expect(asked(open)).toContain("secret-data.pypi.org");
		});

		it("a name server of the program's own is not reached", async () => {
			const question = `node -e 'const r=new (require("dns").Resolver)();r.setServers(["${address.eight}"]);r.resolve4("pypi.org",(e,a)=>console.log(e?e.code:a))'`;
			const [{ stdout }, seen] = await observed(() => run(strict, question));
			expect([stdout.trim(), asked(seen)]).toEqual(["ENOTFOUND", []]);
		});

		it("a hard-coded address is refused, and reached where a rule names it", async () => {
			const fetch = `${curl} http://${address.one}/`;
			const refused = await run(strict, fetch);
			expect(refused.status).toBe(7);
			expect(refused.events).toContainEqual(
				expect.objectContaining({
					kind: "net.denied",
					destination: `${address.one}:80`,
					process: expect.objectContaining({ exe: expect.stringContaining("curl") }),
				}),
			);
			expect((await run(deck, fetch)).status).toBe(0);
		});

		it("services of the host and metadata addresses are out of reach, also under a rule for every address", async () => {
			const { stdout } = await run(
				{ tcp: ["*:80"] },
				`for u in 127.0.0.1 ${address.metadata} ${address.private}; do ${curl} http://$u/ >/dev/null 2>&1; echo $?; done`,
			);
			expect(stdout.trim().split("\n")).toEqual(["7", "7", "7"]);
		});

		it("no interface of the host is there", async () => {
			const { stdout } = await run({}, "ls /sys/class/net");
			expect(stdout.trim().split(/\s+/).toSorted()).toEqual(["eth0", "lo"]);
		});

		it("a published port is reached from the host, and no other", async () => {
			const serve =
				'node -e \'const h=require("http");for(const p of [80,81])h.createServer((q,r)=>r.end("inside")).listen(p);setTimeout(()=>process.exit(),4000)\'';
			const jail = run({ listen: ["8080->80"] }, serve);
			const fetch = (port: number) =>
				lab.hostExec([
					"sh",
					"-c",
					`for i in 1 2 3 4 5 6 7 8; do ${curl} http://127.0.0.1:${port}/ && break; sleep 0.3; done`,
				]);
			expect((await fetch(8080)).stdout).toBe("inside");
			expect((await lab.hostExec(["curl", "-sS", "http://127.0.0.1:8081/"])).status).toBe(7);
			await jail;
		});
	});

	it("leaves nothing after many jails, half of them killed", async () => {
		const kill = "timeout -s KILL 0.6";
		await lab.hostExec(
			[
				"sh",
				"-c",
				`for i in 1 2 3 4 5 6 7 8; do ${kill} $V -q --allow-dns npm.org:443 -- sleep 5; $V -q --allow-dns npm.org:443 -- true; done`,
			],
			{ env: { V: `${import.meta.dirname}/../../vmjail` }, timeoutMs: 120_000 },
		);
		expect(await leftSince([...before])).toEqual([]);
	}, 120_000);
});
