/** Ways for the load's client to its server: without a sandbox, through vmjail, and through its peers. */

import { spawn, spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "../build.mjs";
import { say } from "../setup.mjs";
import { NAME, PORT, SERVER } from "./lab.mjs";

export const LOOPBACK = "bare loopback";
export const DIRECT = "no sandbox";
export const VMJAIL = "vmjail, by address";
export const VMJAIL_NAME = "vmjail, by name";
export const SLIRP = "slirp4netns";
const PASTA = "pasta";

function installed(name) {
	const found = spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
	if (!found) say(`${name} is not installed: left out (apt-get install ${name === "pasta" ? "passt" : name})`);
	return found;
}

export function mostFiles() {
	return Number(spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout);
}

/**
 * `prefix` and the load's mode, `host`, port and arguments are a command line. `relay()`: the process whose memory counts, from the
 * pid of that command, if there is one.
 */
export async function contenders(lab) {
	const { onHost, load, folder } = lab;
	const file = join(folder, "policy.json");
	writeFileSync(file, JSON.stringify({ extends: "default", system: { rlimits: { nofile: mostFiles() } } }));
	const vmjail = (...rule) => [
		...onHost,
		join(checkout, "vmjail"),
		"-q",
		"-c",
		file,
		...rule,
		"--ro",
		folder,
		"--",
		load,
	];
	const list = [
		{ name: LOOPBACK, host: "127.0.0.1", prefix: [...onHost, load] },
		{ name: DIRECT, host: SERVER, prefix: [...onHost, load] },
		{ name: VMJAIL, host: SERVER, prefix: vmjail("--allow-tcp", `${SERVER}:${PORT}`), relay: (pid) => pid },
		{ name: VMJAIL_NAME, host: NAME, prefix: vmjail("--allow-dns", `${NAME}:${PORT}`), relay: (pid) => pid },
	];
	if (existsSync("/dev/net/tun") && installed("slirp4netns")) list.push(await slirp(lab));
	if (existsSync("/dev/net/tun") && installed("pasta"))
		list.push({
			name: PASTA,
			host: SERVER,
			prefix: [...onHost, "unshare", "-Ur", "pasta", "--config-net", "-q", "-f", "--", load],
			quiet: true,
		});
	return list;
}

/** One for all: a namespace that slirp4netns serves. */
async function slirp({ onHost, load, keep }) {
	const inside = keep(
		spawn(onHost[0], [...onHost.slice(1), "unshare", "-n", "sh", "-c", "read -r _"], {
			stdio: ["pipe", "ignore", "inherit"],
		}),
	);
	await new Promise((resolve) => setTimeout(resolve, 300));
	const args = [
		"slirp4netns",
		"--configure",
		"--mtu=65520",
		"--disable-host-loopback",
		"-r",
		"3",
		`${inside.pid}`,
		"tap0",
	];
	const served = keep(
		spawn(onHost[0], [...onHost.slice(1), ...args], { stdio: ["ignore", "ignore", "ignore", "pipe"] }),
	);
	await new Promise((resolve) => served.stdio[3].once("data", resolve));
	return {
		name: SLIRP,
		host: SERVER,
		prefix: ["nsenter", "-t", `${inside.pid}`, "-n", "--", load],
		relay: () => served.pid,
	};
}
