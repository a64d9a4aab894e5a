/** Network rules in jails that are used again: the same as in jails of one program, and nothing of one program for the next. */

import { describe, expect, test } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { leavesNothing, withLab } from "../lab/hooks.ts";
import type { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address, LATE_ECHO_PORT } from "../lab/zone.ts";
import { type ReusedOptions, reused, reusedCommand, type Shown } from "./reused.ts";
import { RUNLC, runscs } from "./runtimes.ts";

const strict = { dns: ["*.npm.org:*", "*.python.org:*"] };
const curl = "curl -sS --max-time 10";

/** A script for Python, as an argument of a shell command in a string of JavaScript's. */
const python = (...lines: readonly string[]) => JSON.stringify(`python3 -c '${lines.join("\n")}'`);

const stages = [RUNLC, ...(await runscs())].flatMap((runtime) =>
	[false, true].map((asUser) => [runtime.name, asUser ? "an ordinary user" : "root", runtime, asUser] as const),
);

/** Most of the time is waiting: the stages run side by side, each in a lab of its own, and the tests of a stage one by one. */
const it = test.sequential;

describe.skipIf(requireOr(labMissing()))("network rules in jails that are used again", () => {
	leavesNothing();

	describe.concurrent.each(stages)("on %s as %s", (_name, _who, runtime, asUser) => {
		let lab: Lab;
		withLab((started) => {
			lab = started;
		});
		const native = runtime.kind === "runlc";
		const runsc = runtime.flags[3];
		const own = { texts: strict, asUser, ...(runsc === undefined ? {} : { runsc }) };
		const inLab = <T>(body: string, options: Partial<ReusedOptions> = {}) =>
			reused<T>(lab, { ...own, ...options }, body);

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
				expect.stringMatching(
					native
						? /^network: \/usr\/bin\/curl \(process \d+\): tcp 1\.1\.1\.1:80 refused/
						: /^network: tcp 1\.1\.1\.1:80 refused/,
				),
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

		(native && !asUser ? it : it.skip)(
			"the process that waits holds nothing but its ways to be told and to tell",
			async () => {
				const body = `
				const { readdirSync, readFileSync, readlinkSync } = await lib.import("node:fs");
				const waiting = async () => {
					for (;;) {
						const found = readdirSync("/proc").find((pid) => { try { return readFileSync("/proc/" + pid + "/comm", "utf8") === "vmjail-waiting\\n"; } catch { return false; } });
						const held = found === undefined ? [] : readdirSync("/proc/" + found + "/fd").map((fd) => readlinkSync("/proc/" + found + "/fd/" + fd).replace(/:.*/, ""));
						if (held.length === 5) return [Number(found), held.sort()];
						await lib.sleep(10);
					}
				};
				const jail = await lib.open();
				const all = [];
				for (let i = 0; i < 2; i++) {
					const [pid, held] = await waiting();
					all.push(held);
					if (i === 1) process.kill(pid, "SIGKILL");
					const told = await lib.sh(jail, "curl -s http://${address.one}/; ls /proc/self/fd | wc -l");
					all.push(told.stdout, told.denials.length);
				}
				await jail.close();
				return all;`;
				const each = [["/dev/null", "/dev/null", "/dev/null", "socket", "socket"], "4\n", 1];
				expect(await inLab(body)).toEqual([...each, ...each]);
			},
		);

		it("a name that one program looked up is looked up again for the next", async () => {
			const body = `
				const jail = await lib.open();
				for (let i = 0; i < 3; i++) await lib.sh(jail, "getent hosts registry.npm.org; getent hosts registry.npm.org");
				await jail.close();
				return null;`;
			const mark = lab.log.length;
			await inLab(body);
			const asked = (await lab.since(mark)).filter((one) => one.kind === "dns" && one.type === "A");
			expect(asked).toHaveLength(3);
		});

		it("a flood of questions to a name server that is not ours is over with its program", async () => {
			const flood = python(
				"import socket",
				'q = b"\\x01\\x02\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x04evil\\x04test\\x00\\x00\\x01\\x00\\x01"',
				"for i in range(9000):",
				"	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
				`	s.sendto(q, ("${address.eight}", 53))`,
				"	s.close()",
			);
			const body = `
				const jail = await lib.open();
				const look = "timeout 2 getent hosts registry.npm.org > /dev/null; echo $?";
				const first = await lib.sh(jail, ${flood} + "; " + look);
				const second = await lib.sh(jail, look);
				await jail.close();
				return [first.stdout, second.stdout];`;
			expect(await inLab<string[]>(body)).toEqual(["124\n", "0\n"]);
		});

		it("an answer to a datagram of the last program reaches nobody", async () => {
			// Perl starts at once, also in gVisor: it has to listen by the time that the answer would come.
			const socket = "socket(S, AF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(5555, INADDR_ANY)) or die $!";
			const send = JSON.stringify(
				`perl -MSocket -e '${socket}; send(S, "late", 0, sockaddr_in(${LATE_ECHO_PORT}, inet_aton("${address.udp}")))'`,
			);
			const hear = JSON.stringify(
				`perl -MSocket -e '${socket}; $SIG{ALRM} = sub { print "nothing\\n"; exit }; alarm 4; recv(S, $_, 9, 0); print "$_\\n"'`,
			);
			const body = `
				const jail = await lib.open();
				const both = await lib.sh(jail, ${send} + "; " + ${hear});
				await lib.sh(jail, ${send});
				const other = await lib.sh(jail, ${hear});
				await jail.close();
				return [both.stdout, other.stdout];`;
			const texts = { udp: [`${address.udp}:${LATE_ECHO_PORT}`] };
			expect(await inLab<string[]>(body, { texts })).toEqual(["late\n", "nothing\n"]);
		});

		it("the rate is each program's own: the debt of one is not the next one's", async () => {
			// SIZE:SECONDS, how long to wait for as many bytes to come back.
			const exchange = python(
				"import socket, sys",
				"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
				`s.connect(("${address.udp}", 7))`,
				"for size, seconds in (word.split(chr(58)) for word in sys.argv[1:]):",
				"	s.settimeout(float(seconds))",
				"	s.send(bytes(int(size)))",
				"	try: print(len(s.recv(65535)))",
				"	except OSError: print(chr(45))",
			);
			// Five minutes' worth in one datagram, which passes since there was some left.
			const body = `
				const jail = await lib.open();
				const first = await lib.sh(jail, ${exchange} + " 1:10 30000:0.5 1:0.5");
				const second = await lib.sh(jail, ${exchange} + " 1:10");
				await jail.close();
				return [first.stdout, second.stdout];`;
			const texts = { udp: [`${address.udp}:7`] };
			expect(await inLab(body, { texts, rate: 100 })).toEqual(["1\n-\n-\n", "1\n"]);
		});

		it("connections end with their program, at the server too, and the kernel tells the next of none", async () => {
			const hold = python(
				"import socket, time",
				`s = socket.create_connection(("${address.ssh}", 22))`,
				"s.recv(99)",
				"time.sleep(1000)",
			);
			const body = `
				const { readFileSync } = await lib.import("node:fs");
				const open = () => readFileSync("/proc/self/net/tcp", "utf8").split("\\n").filter((line) => /:0016 01 /.test(line)).length;
				const jail = await lib.open();
				const stop = new AbortController();
				const running = lib.sh(jail, ${hold}, { signal: stop.signal });
				while (open() === 0) await lib.sleep(10);
				stop.abort();
				const { kind } = await running;
				const left = open();
				const told = await lib.sh(jail, ${JSON.stringify(native ? "ip tcp_metrics show; ss -tanH" : "true")});
				await jail.close();
				return [kind, left, told.stdout];`;
			expect(await inLab(body, { texts: { tcp: [`${address.ssh}:22`] } })).toEqual(["cancelled", 0, ""]);
		});

		it("a published port is the running program's, and its connections end with it", async () => {
			const body = `
				const { connect } = await lib.import("node:net");
				const http = await lib.import("node:http");
				const get = () => new Promise((resolve) => {
					const asked = http.get({ port: 18080, host: "127.0.0.1", agent: false }, (answer) => answer.setEncoding("utf8").once("data", resolve).on("error", () => undefined));
					asked.on("error", () => resolve("nobody"));
				});
				const until = async (text) => { for (;;) { const seen = await get(); if (seen.includes(text)) return text; await lib.sleep(20); } };
				const serve = (text) => "echo " + text + " > index.html; exec python3 -m http.server 8080";
				const jail = await lib.open();
				const seen = [];
				for (const text of ["first", "second"]) {
					const stop = new AbortController();
					const running = lib.sh(jail, serve(text), { signal: stop.signal });
					seen.push(await until(text));
					const client = connect(18080, "127.0.0.1");
					client.on("error", () => undefined);
					const gone = new Promise((resolve) => client.once("close", () => resolve("gone")));
					client.write("GET /");
					await lib.sleep(100);
					stop.abort();
					await running;
					seen.push(await gone, await get());
				}
				await jail.close();
				return seen;`;
			const seen = await inLab(body, { texts: { listen: ["18080->8080"] } });
			expect(seen).toEqual(["first", "gone", "nobody", "second", "gone", "nobody"]);
		});

		it("a pool of several jails cannot publish one port, one jail can, again and again", async () => {
			const body = `
				let refused;
				try { lib.pool({ size: 2 }); } catch (error) { refused = [error.code, error.message]; }
				const pool = lib.pool({ size: 1, maxUses: 1 });
				const all = [];
				for (let i = 0; i < 3; i++) all.push((await lib.sh(pool, "true")).exitCode);
				await pool.close();
				return [refused, all];`;
			expect(await inLab(body, { texts: { listen: ["18080->8080"] } })).toEqual([
				["USAGE", expect.stringContaining("security.network.policy.listen")],
				[0, 0, 0],
			]);
		});

		it("a pool runs programs side by side, and each is told of its own refusals", async () => {
			const body = `
				const pool = lib.pool({ size: 2 });
				const ports = [1001, 1002, 1003, 1004, 1005, 1006];
				const all = await Promise.all(ports.map((port) => lib.sh(pool, "${curl} http://${address.one}:" + port + "/; ${curl} http://registry.npm.org/")));
				await pool.close();
				return all.map(({ stdout, denials }, i) => [stdout, denials.length, denials[0].includes(":" + ports[i] + " refused")]);`;
			expect(await inLab(body)).toEqual(Array(6).fill(["hello from registry.npm.org, 0 bytes\n", 1, true]));
		});

		const most = native ? (asUser ? 80 : 200) : 20;
		it(`${most} programs leave memory, threads and descriptors as they were`, async () => {
			const body = `
				const { readdirSync } = await lib.import("node:fs");
				const count = () => [readdirSync("/proc/self/fd").length, readdirSync("/proc/self/task").length];
				const jail = await lib.open();
				const some = async (n) => { for (let i = 0; i < n; i++) await lib.sh(jail, "${curl} -o /dev/null http://registry.npm.org/bytes/100000; ${curl} http://${address.one}/"); };
				await some(${most / 5});
				const [before, memory] = [count(), process.memoryUsage.rss()];
				await some(${(most * 4) / 5});
				const grown = process.memoryUsage.rss() - memory;
				const after = count();
				await jail.close();
				return [before, after, grown];`;
			const [first, last, grown] = await inLab<[number[], number[], number]>(body, { timeoutMs: 120_000 });
			for (const [i, count] of last.entries()) expect(count - (first[i] ?? 0)).toBeLessThanOrEqual(2);
			expect(grown).toBeLessThan(24 * 2 ** 20);
		});

		it("a jail whose gateway dies ends with it, also while a program runs, and a pool replaces it", async () => {
			const body = `
				const { readdirSync, readFileSync } = await lib.import("node:fs");
				const gateways = () => readdirSync("/proc").filter((pid) => {
					try { return /^\\d+$/.test(pid) && readFileSync("/proc/" + pid + "/net/dev", "utf8").includes("jail0"); } catch { return false; }
				});
				const end = () => { for (const pid of gateways()) process.kill(Number(pid), "SIGKILL"); };
				const failure = (promise) => promise.then(() => "no error", (error) => [error.code, error.message]);
				const idle = await lib.open();
				end();
				await lib.sleep(100);
				const first = await failure(lib.sh(idle, "true"));
				await idle.close();
				const busy = await lib.open();
				const running = failure(lib.sh(busy, "sleep 1000"));
				await lib.sleep(100);
				end();
				const second = await running;
				await busy.close();
				const pool = lib.pool({ size: 1 });
				await lib.sh(pool, "true");
				end();
				await lib.sleep(100);
				const third = (await lib.sh(pool, "${curl} http://registry.npm.org/")).stdout;
				await pool.close();
				return [first[0], second, third, gateways()];`;
			expect(await inLab(body)).toEqual([
				"JAIL_CLOSED",
				["JAIL_CLOSED", expect.stringContaining("gateway")],
				"hello from registry.npm.org, 0 bytes\n",
				[],
			]);
		});

		it("vmjail killed at any time leaves no process, whatever runs", async () => {
			const victim = reusedCommand(
				lab,
				{ ...own, texts: { ...strict, listen: ["18080->8080"] } },
				`const pool = lib.pool({ size: 1, maxUses: 3 });
				for (;;) { await lib.sh(pool, "${curl} http://registry.npm.org/; sleep 1000 &"); process.stdout.write("x"); }`,
			);
			const body = `
				const { spawn } = await lib.import("node:child_process");
				const { once } = await lib.import("node:events");
				const { readdirSync, readFileSync } = await lib.import("node:fs");
				const others = () => readdirSync("/proc").filter((pid) => /^\\d+$/.test(pid) && pid !== "1" && Number(pid) !== process.pid).filter((pid) => {
					try { return !/^ Z /.test(readFileSync("/proc/" + pid + "/stat", "utf8").replace(/^.*\\)/, "")); } catch { return false; }
				});
				const [program, ...args] = ${JSON.stringify(victim)};
				for (let i = 0; i < ${native ? 12 : 6}; i++) {
					const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
					if (i % 3 > 0) await once(child.stdout, "data");
					await lib.sleep(i * 13);
					child.kill("SIGKILL");
					await once(child, "exit");
				}
				for (let i = 0; i < 100 && others().length > 0; i++) await lib.sleep(50);
				const left = others().map((pid) => readFileSync("/proc/" + pid + "/cmdline", "utf8"));
				// Folders of a runtime's that was killed are the next vmjail's to remove.
				await (await lib.open()).close();
				return left;`;
			expect(await inLab(body)).toEqual([]);
		});
	});
});
