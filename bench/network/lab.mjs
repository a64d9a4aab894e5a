/** A host and an Internet of two network namespaces, with the load's server and a DNS server: nothing leaves them. Needs root. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkout } from "../build.mjs";

export const SERVER = "104.16.6.6";
export const NAME = "bench.test";
export const PORT = "7001";
const RESOLVER = "9.9.9.10";

function must(command, args) {
	const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
	if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}

/** A process in namespaces of its own, that ends with this one's end of its input. */
async function namespace(prepare) {
	const script = `ip link set lo up && ${prepare} && echo ready && read -r _`;
	const child = spawn("unshare", ["--net", "--mount", "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] });
	const [first] = await Promise.race([once(child.stdout, "data"), once(child, "exit").then(() => [""])]);
	if (!String(first).startsWith("ready")) throw new Error("a network namespace could not be made (root?)");
	return child;
}

/**
 * `onHost`: what comes before a command that is to run on the lab's host. `keep`: a process that ends with the lab.
 */
export async function startLab() {
	const folder = mkdtempSync(join(tmpdir(), "vmjail-bench-"));
	chmodSync(folder, 0o755);
	const load = join(folder, "load");
	const flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"];
	const sources = ["load.c", "serve.c"].map((name) => join(checkout, "bench/network", name));
	const children = [];
	const close = () => {
		for (const child of children.reverse()) child.kill("SIGKILL");
		rmSync(folder, { recursive: true, force: true });
	};
	try {
		must("cc", [...flags, "-o", load, ...sources]);
		writeFileSync(join(folder, "resolv.conf"), `nameserver ${RESOLVER}\n`);
		const internet = await namespace("true");
		children.push(internet);
		const host = await namespace(`mount --make-rprivate / && mount --bind ${folder}/resolv.conf /etc/resolv.conf`);
		children.push(host);
		wire(internet.pid, host.pid);
		const onHost = ["nsenter", "-t", `${host.pid}`, "-n", "-m", "--"];
		const onInternet = ["nsenter", "-t", `${internet.pid}`, "-n", "--"];
		for (const command of [
			[...onInternet, load, "serve", PORT],
			[...onInternet, process.execPath, join(checkout, "bench/network/dns.mjs"), RESOLVER, SERVER],
			[...onHost, load, "serve", PORT],
		]) {
			const child = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
			children.push(child);
			await once(child.stdout, "data");
		}
		const keep = (child) => {
			children.push(child);
			return child;
		};
		return { folder, load, onHost, keep, close };
	} catch (error) {
		close();
		throw error;
	}
}

function wire(internet, host) {
	const at = (pid, line) => must("nsenter", ["-t", `${pid}`, "-n", "ip", ...line.split(" ")]);
	// The loopback's own packet size: the link is to be no bottleneck that the bare loopback lacks.
	at(internet, `link add inet0 mtu 65535 type veth peer name host0 mtu 65535 netns ${host}`);
	at(internet, "addr add 45.33.32.1/30 dev inet0");
	at(internet, "link set inet0 up");
	for (const address of [SERVER, RESOLVER]) at(internet, `addr add ${address}/32 dev lo`);
	at(host, "addr add 45.33.32.2/30 dev host0");
	at(host, "link set host0 up");
	// Client and relay of several contenders in turn, whose closed connections hold their ports for a minute.
	must("nsenter", ["-t", `${host}`, "-n", "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535"]);
	at(host, "route add default via 45.33.32.1");
}
