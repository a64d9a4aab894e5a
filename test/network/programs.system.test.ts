/** Programs that know nothing of proxies and find their own way: each reaches what the rules name, and nothing else. */

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NetworkEvent } from "../../src/network/events.ts";
import { requireOr } from "../helpers/requirement.ts";
import { Lab } from "../lab/lab.ts";
import { labMissing } from "../lab/requirements.ts";
import { address } from "../lab/zone.ts";
import type { RuleTexts } from "./policy.ts";
import { Product } from "./product.ts";

const rules: RuleTexts = { dns: ["npm.org:443", "*.python.org:*", "ssh.test:22", "v6broken.test:80"] };

const python = (...lines: readonly string[]) => `python3 -c '${lines.join("\n")}'`;
const node = (script: string) => `node -e '${script}'`;

let lab: Lab;
let product: Product;

/** With the lab's authority for programs that have ways of their own to name one. */
const run = (script: string, texts: RuleTexts = rules) => {
	const authority = join(lab.folder, "ca.pem");
	return product.run(texts, script, {
		env: { NODE_EXTRA_CA_CERTS: authority, GIT_SSL_CAINFO: authority, HOME: "/tmp" },
	});
};

const addressesOf = (events: readonly NetworkEvent[]) =>
	events.flatMap((event) => (event.kind === "net.connect" ? [event.address] : []));

/** A repository as a plain web server shows it. */
function makeRepository(folder: string): void {
	const work = mkdtempSync(join(folder, "work"));
	const git = (...args: readonly string[]) =>
		execFileSync("git", ["-c", "user.name=lab", "-c", "user.email=lab@lab.test", ...args], {
			cwd: work,
			stdio: "pipe",
		});
	git("init", "-q");
	execFileSync("sh", ["-c", "echo cloned > file"], { cwd: work });
	git("add", "file");
	git("commit", "-qm", "first");
	git("clone", "-q", "--bare", work, join(folder, "repository.git"));
	git("--git-dir", join(folder, "repository.git"), "update-server-info");
}

describe.skipIf(requireOr(labMissing()))("a program that ignores proxies", () => {
	beforeAll(async () => {
		lab = await Lab.start();
		product = new Product(lab);
		makeRepository(lab.folder);
	});
	afterAll(async () => {
		await lab?.[Symbol.asyncDispose]();
	});

	it("Python's sockets and TLS", async () => {
		const fetch = (name: string) =>
			python(
				"import os, socket, ssl",
				"try:",
				`	s = socket.create_connection(("${name}", 443), 5)`,
				`	s = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]).wrap_socket(s, server_hostname="${name}")`,
				`	s.sendall(b"GET / HTTP/1.0\\r\\nHost: ${name}\\r\\n\\r\\n")`,
				'	print(s.makefile("rb").read().split(b"\\r\\n\\r\\n")[1].decode(), end="")',
				"except OSError as e:",
				"	print(type(e).__name__)",
			);
		const { stdout, stderr } = await run(`${fetch("npm.org")}; ${fetch("pypi.org")}`);
		expect(stdout, stderr).toBe("hello from npm.org, 0 bytes\ngaierror\n");
	});

	it("Node's fetch", async () => {
		const fetch = (url: string) =>
			node(
				`fetch("${url}").then((r) => r.text()).then((t) => process.stdout.write(t), (e) => console.log(e.cause.code))`,
			);
		const { stdout, stderr } = await run(
			`${fetch("https://npm.org")}; ${fetch("https://python.org")}; ${fetch("https://pypi.org")}; ${fetch(`http://${address.one}`)}`,
		);
		expect(stdout, stderr).toBe("hello from npm.org, 0 bytes\nhello from www.python.org, 0 bytes\nENOTFOUND\nEPERM\n");
	});

	it("git clone by https", async () => {
		const clone = (name: string) =>
			`git clone -q https://${name}/repository.git /tmp/${name} 2>&1 && cat /tmp/${name}/file`;
		expect(
			(
				await lab.hostExec(["sh", "-c", "git ls-remote https://pypi.org/repository.git"], {
					env: { GIT_SSL_CAINFO: join(lab.folder, "ca.pem") },
				})
			).stdout,
		).toContain("HEAD");
		const { stdout, stderr } = await run(`${clone("npm.org")}; ${clone("pypi.org")}; echo $?`);
		expect(stdout, stderr).toMatch(/^cloned\n.*Could not resolve host: pypi.org\n128\n$/s);
	});

	it("raw TCP to a server that speaks first, like ssh", async () => {
		const talk = python(
			"import socket",
			's = socket.create_connection(("ssh.test", 22), 5)',
			"print(s.recv(99).decode().strip())",
			's.sendall(b"SSH-2.0-client\\r\\n")',
			"print(s.recv(99).decode().strip())",
		);
		expect((await run(talk)).stdout).toBe("SSH-2.0-lab\nSSH-2.0-client\n");
	});

	/** As Go's own resolver: A and AAAA at once from one socket with EDNS, and by TCP; then a connection to what was answered. */
	const resolve = (name: string) =>
		python(
			"import socket, struct",
			'server = open("/etc/resolv.conf").read().split()[1]',
			"def query(name, kind, number):",
			'	labels = b"".join(bytes([len(l)]) + l for l in name.encode("latin1").split(b"."))',
			'	return struct.pack("!6H", number, 0x0120, 1, 0, 0, 1) + labels + b"\\0" + struct.pack("!2H", kind, 1) + b"\\0" + struct.pack("!2HIH", 41, 1232, 0, 0)',
			"def answers(m):",
			'	code, count = m[3] & 15, struct.unpack("!H", m[6:8])[0]',
			"	at = 12",
			"	while m[at]: at += m[at] + 1",
			"	at += 5",
			"	found = []",
			"	for i in range(count):",
			"		while 0 < m[at] < 192: at += m[at] + 1",
			"		at += 2 if m[at] else 1",
			'		kind, _, _, size = struct.unpack("!2HIH", m[at:at+10])',
			"		found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, m[at+10:at+10+size]))",
			"		at += 10 + size",
			"	return code, found",
			"udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
			"udp.settimeout(5)",
			"udp.connect((server, 53))",
			`name = "${name}"`,
			"udp.send(query(name, 1, 7)); udp.send(query(name, 28, 8))",
			"both = sorted(udp.recv(1232) for i in range(2))",
			"tcp = socket.create_connection((server, 53), 5)",
			"q = query(name, 1, 9)",
			'tcp.sendall(struct.pack("!H", len(q)) + q)',
			'm = tcp.recv(2); m = tcp.recv(struct.unpack("!H", m)[0])',
			"four, six, by_tcp = answers(both[0]), answers(both[1]), answers(m)",
			"print(four[0], four == by_tcp, len(four[1]), len(six[1]))",
			"for family, found in ((socket.AF_INET, four[1]), (socket.AF_INET6, six[1])):",
			"	for a in found:",
			"		s = socket.socket(family); s.settimeout(5); s.connect((a, 22)); print(s.recv(99).decode().strip())",
		);

	it("a resolver of its own, by UDP and TCP, as Go's", async () => {
		const { stdout, stderr } = await run(`${resolve("ssh.test")}; ${resolve("pypi.org")}`);
		expect(stdout, stderr).toBe("0 True 1 1\nSSH-2.0-lab\nSSH-2.0-lab\n3 True 0 0\n");
	});

	it("a resolver that spells names oddly gets one name, or none", async () => {
		const mark = lab.log.length;
		const odd = [
			"SSH.Test",
			"ssh\\u0435.test",
			"evil\\0.ssh.test",
			"ssh.test\\0",
			"s\\u0455h.test",
			`${"a".repeat(63)}.ssh.test`,
		];
		const { stdout } = await run(
			odd
				.map(
					(name) =>
						`${resolve(name).replace("for family, found in ((", "for family, found in () if name else ((")} 2>/dev/null`,
				)
				.join("; "),
		);
		expect(stdout.split("\n")[0]).toBe("0 True 1 1");
		const codes = stdout.trim().split("\n").slice(1);
		expect(
			codes.every((line) => /^[1-5] True 0 0$/.test(line)),
			stdout,
		).toBe(true);
		const asked = (await lab.since(mark)).flatMap((event) => (event.kind === "dns" ? [event.name] : []));
		expect(new Set(asked)).toEqual(new Set(["ssh.test"]));
	});

	it("c-ares, which asks the servers of its choice", async () => {
		const ask = (name: string) =>
			node(
				`const r = new (require("dns").promises.Resolver)(); r.setServers(["${address.eight}"]); r.resolve4("${name}").then((a) => console.log(a.length), (e) => console.log(e.code))`,
			);
		expect((await run(`${ask("npm.org")}; ${ask("pypi.org")}`)).stdout).toBe("1\nENOTFOUND\n");
	});

	it("happy eyeballs, over either family, also where one of the server's is dead", async () => {
		const by = (flags: string, url: string) => `curl -sS --max-time 10 ${flags} ${url}`;
		const { stdout, stderr, events } = await run(
			`${by("-4", "https://www.python.org")}; ${by("-6", "https://www.python.org")}; ${by("", "http://v6broken.test")}; ${node(`require("net").connect({ port: 443, host: "www.python.org", autoSelectFamily: true }, () => { console.log("connected"); process.exit(); })`)}`,
		);
		expect(stdout, stderr).toBe(
			"hello from www.python.org, 0 bytes\nhello from www.python.org, 0 bytes\nhello from v6broken.test, 0 bytes\nconnected\n",
		);
		expect(addressesOf(events)).toEqual([address.wwwPython6, address.wwwPython6, address.fallback, address.wwwPython6]);
	});

	it("DNS over HTTPS, by address or name, and the name by which browsers ask for it", async () => {
		const doh = `curl -sSk --max-time 5 -H 'content-type: application/dns-message' --data-binary xx`;
		expect((await lab.hostExec(["sh", "-c", `${doh} https://${address.eight}/dns-query`])).stdout).toContain("2 bytes");
		const { stdout, stderr } = await run(
			`${doh} https://${address.eight}/dns-query; echo $?; ${doh} https://evil.test/dns-query; echo $?; getent hosts use-application-dns.net; echo $?`,
			{ ...rules, udp: ["*:53"] },
		);
		expect(stdout, stderr).toBe("7\n7\n2\n");
	});
});
