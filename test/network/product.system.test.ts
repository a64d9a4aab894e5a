/** Network rules by the command line, the same on every runtime, and the ways around them that people try first. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { PATIENCE, SOON } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import type { LabEvent } from "../lab/events.ts";
import { leavesNothing, withLab } from "../lab/hooks.ts";
import type { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address } from "../lab/zone.ts";
import type { RuleTexts } from "./policy.ts";
import { Product, type ProductOptions, VMJAIL } from "./product.ts";
import { RUNLC, runcs, runscs } from "./runtimes.ts";

/** The talk's rules. */
const deck: RuleTexts = { tcp: ["1.1.1.1:"], udp: ["*:53"], dns: ["*.npm.org:*", "*.python.org:*"] };
/** The same without a way for other names to resolve. */
const strict: RuleTexts = { dns: ["*.npm.org:*", "*.python.org:*"] };

const curl = `curl -sS --max-time ${10 * PATIENCE}`;

/** A script for Python, as an argument of a shell command. */
const python = (...lines: readonly string[]) => `python3 -c '${lines.join("\n")}'`;

/** What comes of the work, and what the lab's Internet received meanwhile. */
async function observed<T>(lab: Lab, work: () => Promise<T>): Promise<readonly [T, readonly LabEvent[]]> {
	const mark = lab.log.length;
	const result = await work();
	return [result, await lab.since(mark)];
}

const asked = (events: readonly LabEvent[]) => events.flatMap((event) => (event.kind === "dns" ? [event.name] : []));
const visited = (events: readonly LabEvent[]) => events.flatMap((event) => (event.kind === "http" ? [event.host] : []));
const connections = (events: readonly LabEvent[]) => events.filter(({ kind }) => kind === "connection");

/** The vmjail that was started with this in its arguments. */
function nodeWith(mark: string): number | undefined {
	const found = readdirSync("/proc").find((pid) => {
		try {
			const [program = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
			return program.endsWith("node") && args.includes(mark);
		} catch {
			return false;
		}
	});
	return found === undefined ? undefined : Number(found);
}

const root = "root";
const user = "an ordinary user";
const natives = [RUNLC, ...(await runscs())];
const runtimes = [...natives, ...runcs()].map((runtime) => [runtime.name, runtime] as const);

/** Much of the time is waiting: the outer blocks run side by side, each in a lab of its own, and the tests of one block one by one. */
const it = test.sequential;

describe.skipIf(requireOr(labMissing()))("network rules, by the command line", () => {
	leavesNothing();

	describe.concurrent.each(natives)("on $name, with vmjail stopped", (runtime) => {
		let lab: Lab;
		withLab((started) => {
			lab = started;
		});

		it("nothing passes, neither what is refused nor what is allowed", async () => {
			const mark = `stopped-${process.pid}-${natives.indexOf(runtime)}`;
			const go = join(lab.folder, mark);
			const fetch = (target: string) => `curl -s --max-time ${2 * PATIENCE} http://${target} || echo $?`;
			const script = `${fetch("1.1.1.1:8080/inside")}; until [ -e ${go} ]; do sleep 0.1; done; (${fetch("8.8.8.8")}) & (${fetch("1.1.1.1:8080")}) & wait`;
			const from = lab.log.length;
			const running = new Product(lab, runtime).run(deck, script, { flags: ["--hostname", mark] });
			const pid = await vi.waitUntil(() => nodeWith(mark), SOON);
			const isInside = (event: LabEvent) => event.kind === "http" && event.url === "/inside";
			await vi.waitUntil(() => lab.log.slice(from).some(isInside), SOON);
			await delay(500);
			process.kill(pid, "SIGSTOP");
			writeFileSync(go, "");
			const [, seen] = await observed(lab, () => delay(3_000));
			process.kill(pid, "SIGCONT");
			expect(connections(seen)).toEqual([]);
			// Then they go on: what was allowed is served, unless it has lost its patience; nothing else ever is.
			expect((await running).stdout).toMatch(
				/^hello from 1\.1\.1\.1, 0 bytes\n((7|28|hello from 1\.1\.1\.1, 0 bytes)\n){2}$/,
			);
		});
	});

	describe.concurrent.each([root, user])("as %s", (who) => {
		let lab: Lab;
		withLab((started) => {
			lab = started;
		});
		const onHost = async (script: string) => (await lab.hostExec(["sh", "-c", script])).stdout;

		describe.sequential.each(runtimes)("on %s", (_name, runtime) => {
			const run = (texts: RuleTexts, script: string, options?: ProductOptions) => {
				const product = new Product(lab, runtime);
				return who === root ? product.run(texts, script, options) : product.runAsNobody(texts, script, options);
			};

			it("without a network nothing is reached, neither out there nor on the host: with the host's, all of it is", async () => {
				const datagram = python(
					"import socket",
					"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
					"s.settimeout(5)",
					`s.sendto(b"ping", ("${address.udp}", 7))`,
					"s.recv(9)",
				);
				const ways = [
					...[`${address.one}:8080`, `[${address.pypi6}]`, "127.0.0.1"].map((at) => `${curl} http://${at}`),
					"getent hosts pypi.org",
					datagram,
				];
				const script = ways.map((way) => `${way} >/dev/null 2>&1 && echo reached || echo nothing`).join("; ");
				const open = await run({}, script, { mode: "host" });
				expect(open.stdout, open.stderr).toBe("reached\n".repeat(5));
				const [{ stdout }, seen] = await observed(lab, () => run({}, script, { mode: "none" }));
				expect([stdout, seen]).toEqual(["nothing\n".repeat(5), []]);
			});

			it("a refused name does not resolve, and no question about it leaves the machine", async () => {
				const [{ status }, seen] = await observed(lab, () => run(strict, "getent hosts secret-data.pypi.org"));
				expect([status, asked(seen)]).toEqual([2, []]);
				const [, open] = await observed(lab, () => onHost("getent hosts secret-data.pypi.org"));
				expect(asked(open)).toContain("secret-data.pypi.org");
			});

			it("a name server of the program's own is not reached, by UDP or TCP", async () => {
				const question = `node -e 'const r=new (require("dns").Resolver)();r.setServers(["${address.eight}"]);r.resolve4("pypi.org",(e,a)=>console.log(e?e.code:a))'`;
				const byTcp = python(
					"import socket, struct",
					`s = socket.create_connection(("${address.eight}", 53), 5)`,
					'q = b"\\x01\\x02\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x04evil\\x04test\\x00\\x00\\x01\\x00\\x01"',
					's.sendall(struct.pack("!H", len(q)) + q)',
					"print(s.recv(100)[5] & 15)",
				);
				expect(await onHost(byTcp)).toBe("0\n");
				const [{ stdout }, seen] = await observed(lab, () => run(strict, `${question}; ${byTcp}`));
				expect([stdout, asked(seen)]).toEqual(["ENOTFOUND\n3\n", []]);
			});

			it("a hard-coded address is refused at once with one line, and reached where a rule names it", async () => {
				const fetch = python(
					"import socket, time",
					"begin = time.time()",
					"try:",
					`	socket.create_connection(("${address.one}", 80), 5)`,
					'	print("connected")',
					"except OSError as e:",
					"	print(e.strerror, time.time() - begin < 1)",
				);
				const refused = await run(strict, `${fetch}; ${fetch}`);
				expect(refused.stdout).toBe("Operation not permitted True\n".repeat(2));
				expect(refused.events).toEqual([
					expect.objectContaining({
						kind: "net.denied",
						destination: `${address.one}:80`,
						reason: "no-rule",
						wouldAllow: { flag: `--allow-tcp ${address.one}:80`, list: "tcp", entry: `${address.one}:80` },
					}),
				]);
				const [denied] = refused.events;
				// gVisor's kernel makes the calls of all its programs: which one it was is not known outside.
				const program = denied?.kind === "net.denied" ? denied.process?.exe : undefined;
				if (runtime.kind === "runsc") expect(program).toBeUndefined();
				else expect(program).toMatch(/python3/);
				expect((await run(deck, fetch)).stdout).toBe("connected\n");
			});

			it("a datagram that no rule covers is refused at once, and carried where one does", async () => {
				const exchange = (port: number) =>
					python(
						"import socket",
						"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
						"s.settimeout(5)",
						"try:",
						`	s.sendto(b"ping", ("${address.udp}", ${port}))`,
						"	print(s.recv(9).decode())",
						"except OSError as e:",
						"	print(e.strerror)",
					);
				expect((await run({ udp: [`${address.udp}:7`] }, `${exchange(7)}; ${exchange(8)}`)).stdout).toBe(
					"ping\nOperation not permitted\n",
				);
			});

			it("services of the host and metadata addresses are out of reach, also under a rule for every address", async () => {
				const { stdout } = await run(
					{ tcp: ["*:80"] },
					`for u in 127.0.0.1 ${address.metadata} ${address.private}; do ${curl} http://$u/ >/dev/null 2>&1; echo $?; done`,
				);
				expect(stdout).toBe("7\n7\n7\n");
			});

			it("no interface of the host is there", async () => {
				const { stdout } = await run({}, python("import socket", "print(sorted(n for _, n in socket.if_nameindex()))"));
				expect(stdout).toBe("['eth0', 'lo']\n");
			});

			it("neighbours on one address are not reached by the server name of TLS or the Host of HTTP", async () => {
				const fronts = [
					"https://denied.cdn.test --connect-to ::allowed.cdn.test:443",
					"http://allowed.cdn.test -H 'Host: denied.cdn.test'",
				].map((args) => `${curl} ${args}`);
				for (const front of fronts) expect(await onHost(front)).toContain("hello from denied.cdn.test");
				const neighbour = `${curl} --resolve denied.cdn.test:443:${address.cdn} https://denied.cdn.test`;
				expect(await onHost(neighbour)).toContain("hello from denied.cdn.test");
				const script = `${curl} https://allowed.cdn.test; ${[...fronts, neighbour].join("; ")}`;
				const [{ stdout, events }, seen] = await observed(lab, () => run({ dns: ["allowed.cdn.test:*"] }, script));
				expect(stdout).toBe("hello from allowed.cdn.test, 0 bytes\n");
				expect(visited(seen)).toEqual(["allowed.cdn.test"]);
				const reasons = events.flatMap((event) => (event.kind === "net.denied" ? [event.reason] : []));
				expect(reasons).toEqual(["server-name", "host-header", "no-rule"]);
			});

			it("a name that is rebound to the host or a private address is not followed", async () => {
				const names = ["loopback", "metadata", "private", "own"].map((kind) => `rebind-${kind}.test`);
				for (const name of names) expect(await onHost(`${curl} http://${name}`)).toContain(`hello from ${name}`);
				const script = names.map((name) => `${curl} http://${name} 2>/dev/null`).join("; ");
				const [{ stdout, events }, seen] = await observed(lab, () => run({ dns: ["*.test:*"] }, script));
				expect([stdout, connections(seen)]).toEqual(["", []]);
				expect(events.flatMap((event) => (event.kind === "net.denied" ? [event.destination] : []))).toEqual(
					names.map((name) => `${name}:80`),
				);
			});

			it("IPv6, raw and packet sockets, ping and netlink are no way out", async () => {
				const script = python(
					"import socket",
					"def attempt(name, how):",
					"	try:",
					"		how()",
					'		print(name, "went through")',
					"	except OSError as e:",
					'		print(name, "refused")',
					"def icmp(kind):",
					"	s = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)",
					"	s.settimeout(1)",
					`	s.sendto(b"\\x08\\x00\\xf7\\xfe\\x00\\x01\\x00\\x00", ("${address.one}", 0))`,
					"	s.recv(99)",
					"def packet():",
					"	s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))",
					'	s.bind(("eth0", 0))',
					'	s.send(b"x" * 60)',
					"def route():",
					"	import struct",
					"	s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)",
					"	s.settimeout(1)",
					// RTM_DELRULE of IPv4, acknowledged: nlmsghdr, fib_rule_hdr, FRA_PRIORITY 32765, which is where S says: prohibit.
					'	s.send(struct.pack("=IHHII8BIHHI", 36, 33, 5, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 8, 6, 32765))',
					"	answer = s.recv(999)",
					'	error = struct.unpack("=i", answer[16:20])[0]',
					'	if error: raise OSError(-error, "")',
					`attempt("ipv6", lambda: socket.create_connection(("${address.pypi6}", 80), 2))`,
					'attempt("ping", lambda: icmp(socket.SOCK_DGRAM))',
					'attempt("raw", lambda: icmp(socket.SOCK_RAW))',
					'attempt("packet", packet)',
					'attempt("netlink", route)',
				);
				// With a host's rights and no rules, each of them works.
				const there = await onHost(
					`ip rule add pref 32765 lookup main; sysctl -qw net.ipv4.ping_group_range="0 9"; ${script.replaceAll("eth0", "host0")}`,
				);
				expect(there.match(/went through/g)?.length).toBe(5);
				const [{ stdout }, seen] = await observed(lab, () => run(deck, script));
				expect(stdout).toBe("ipv6 refused\nping refused\nraw refused\npacket refused\nnetlink refused\n");
				expect(connections(seen)).toEqual([]);
			});

			it("a program with every right over its namespace rewrites it, and reaches nothing more", async () => {
				// Two buffers: not the call that vmjail looks at, so that S's routes and then G are what refuses.
				const send = python(
					"import socket",
					"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
					"s.settimeout(1)",
					"try:",
					`	s.sendmsg([b"pi", b"ng"], [], 0, ("${address.udp}", 7))`,
					"	print(s.recv(9).decode())",
					"except OSError:",
					'	print("refused")',
				);
				const targets = [address.eight, address.private, address.metadata, `[${address.pypi6}]`];
				const fetch = `for t in ${targets.join(" ")}; do ${curl} http://$t 2>/dev/null || echo refused; done`;
				const takeOver = [4, 6].map((v) => `ip -${v} rule flush; ip -${v} rule add pref 1 lookup main`).join("; ");
				expect(await onHost(`${send}; ${fetch}`)).toMatch(/^ping\n(hello from .*\n){4}$/);
				const rights = { capabilities: ["CAP_NET_ADMIN", "CAP_NET_RAW"] };
				const [{ stdout }, seen] = await observed(lab, () =>
					run(deck, `(${takeOver}) 2>/dev/null; ${send}; ${fetch}; ${curl} http://1.1.1.1:8080`, rights),
				);
				// What is allowed still works, unless the program has cut itself off.
				expect(stdout).toMatch(/^(refused\n){5}(hello from 1\.1\.1\.1, 0 bytes\n)?$/);
				const reached = seen.flatMap((event) => (event.kind === "connection" ? [event.address] : []));
				expect(reached.filter((one) => one !== address.one)).toEqual([]);
			});

			it("a published port is reached from the host, and no other", async () => {
				const serve =
					'node -e \'const h=require("http");for(const p of [80,81])h.createServer((q,r)=>r.end("inside",()=>setTimeout(()=>process.exit(),1000))).listen(p)\'';
				const jail = run({ listen: ["8080->80"] }, serve);
				const fetch = (port: number) =>
					onHost(`for i in $(seq 99); do ${curl} http://127.0.0.1:${port}/ && break; sleep 0.3; done`);
				expect(await fetch(8080)).toBe("inside");
				expect((await lab.hostExec(["curl", "-sS", "http://127.0.0.1:8081/"])).status).toBe(7);
				await jail;
			});
		});
	});

	describe("besides", () => {
		let lab: Lab;
		withLab((started) => {
			lab = started;
		});

		it("holds the policy's rate, of TCP and UDP together", async () => {
			const fetch = `${curl} -w "%{time_total}" -o /dev/null http://1.1.1.1:8080/bytes/1500000`;
			const rules: RuleTexts = { tcp: ["1.1.1.1:8080"], udp: [`${address.udp}:7`] };
			const product = new Product(lab);
			const free = await product.run(rules, fetch);
			expect(Number(free.stdout), free.stderr).toBeLessThan(1 * PATIENCE);
			const held = await product.run(rules, fetch, { flags: ["--net-rate", "1MB"] });
			expect(Number(held.stdout), held.stderr).toBeGreaterThan(1.2);
			// A flood of 2 MB in datagrams; what comes back within the next second is at most what a second and the burst hold.
			const flood = python(
				"import socket, time",
				"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
				`s.connect(("${address.udp}", 7))`,
				"s.setblocking(False)",
				"got = 0",
				`end = time.time() + ${PATIENCE}`,
				"for i in range(10**6):",
				"	if time.time() > end: break",
				"	try: s.send(bytes(1000))",
				"	except OSError: pass",
				"	try: got += len(s.recv(2000))",
				"	except OSError: pass",
				"print(got)",
			);
			const lost = await product.run(rules, flood, { flags: ["--net-rate", "100KB"] });
			expect(Number(lost.stdout), lost.stderr).toBeLessThan(120_000 * PATIENCE);
			// An emulated processor has little to give, rate or not.
			const open = await product.run(rules, flood);
			expect(Number(open.stdout), open.stderr).toBeGreaterThan(PATIENCE > 1 ? 0 : 200_000);
		});

		it("is refused with the remedy where there is no nft, or no user namespace", async () => {
			const vmjail = `${VMJAIL} -q --allow-tcp 1.1.1.1:80 -- echo ran`;
			const without = async (what: string, script: string) =>
				(await lab.hostExec(["unshare", what, "sh", "-c", `${script}; ${vmjail}`])).stderr;
			expect(await without("-m", "mount -t tmpfs none /usr/sbin")).toBe(
				"vmjail: network rules: nft cannot be run: ENOENT\n  Install nftables.\n",
			);
			expect(await without("-Ur", "echo 0 > /proc/sys/user/max_user_namespaces")).toMatch(
				/^vmjail: the gateway: start a process in new namespaces: ENOSPC\n.*raise user.max_user_namespaces/,
			);
		});

		it("goes on with IPv4 alone where the host has no IPv6", async () => {
			const product = new Product(lab);
			const rules: RuleTexts = { tcp: ["1.1.1.1:80"], udp: ["*:123"], dns: ["npm.org:*", "v6only.test:80"] };
			const look = `ip -6 rule | grep -c prohibit; ${curl} -L npm.org; ${curl} 1.1.1.1; ${curl} v6only.test; ${curl} 8.8.8.8 2>&1; getent ahosts npm.org | grep -c : `;
			// Jails mount a proc of their own, which the kernel permits where one is to be seen in full.
			const before =
				"mount -t tmpfs none /mnt && mkdir /mnt/whole && mount -t proc proc /mnt/whole && mount -t tmpfs none /proc/sys/net/ipv6";
			const { stdout, stderr } = await product.run(rules, look, { before });
			expect(stdout, stderr).toMatch(
				/^0\nhello from npm.org, 0 bytes\nhello from 1.1.1.1, 0 bytes\nhello from v6only.test.*\ncurl: \(7\).*\n0\n$/,
			);
			const both = await product.run(rules, "ip -6 rule | grep -c prohibit");
			expect(Number(both.stdout)).toBeGreaterThan(0);
		});
	});
});
