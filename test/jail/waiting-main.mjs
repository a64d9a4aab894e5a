/**
 * What a jail of the built library is like between two programs, whoever the caller is: prints one line of JSON. With "stay"
 * it prints the jail's processes and then waits to be killed.
 */

import { readdirSync, readFileSync } from "node:fs";
import { Jail, parsePolicy } from "../../dist/index.js";

const optional = ["memory", "swap", "cpu", "cpuset", "pids", "io"];
const policy = parsePolicy(
	JSON.stringify({
		system: { memory: { max: "256MiB" }, pids: { max: 64 }, optional, cwd: "/tmp" },
		security: { file: { tmpfs: [{ path: "/tmp", size: "16MiB" }] } },
	}),
);

function statusOf(pid) {
	try {
		const lines = readFileSync(`/proc/${pid}/status`, "utf8").split("\n");
		return Object.fromEntries(lines.map((line) => line.split(/:\s*/)));
	} catch {
		return {};
	}
}

const pids = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));
const childrenOf = (parent) => pids().filter((pid) => statusOf(pid).PPid === String(parent));
const [program, ...more] = ["sh", "-c", "id -u; ls /tmp; ulimit -s; echo x > /tmp/left"];
const exec = async (options = {}) => {
	const { kind, exitCode, signal, stdout } = await jail.exec([program, ...more], {
		stdin: "ignore",
		stdout: "collect",
		stderr: "ignore",
		...options,
	});
	return { kind, exitCode, signal, stdout: stdout?.toString() };
};

/** The process that waits; pid 1 makes it after the result was told. */
async function waiting(pid1, not) {
	for (let i = 0; i < 400; i++) {
		const found = childrenOf(pid1).find((pid) => pid !== not && statusOf(pid).Name === "vmjail-waiting");
		if (found !== undefined && statusOf(found).Seccomp === "2") return found;
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	return undefined;
}

const jail = await Jail.open(policy);
const first = await exec();
const zygote = childrenOf(process.pid).find((pid) => statusOf(pid).Name === "vmjail-executor");
const [pid1] = childrenOf(zygote);
const pid = await waiting(pid1);
if (process.argv[2] === "stay") {
	process.stdout.write(`${JSON.stringify({ pids: [zygote, pid1, pid] })}\n`);
	setInterval(() => {}, 1000);
} else {
	const { NoNewPrivs, Seccomp, CapEff, CapPrm, CapBnd, NSpid } = statusOf(pid);
	const descriptors = () => {
		try {
			return readdirSync(`/proc/${pid}/fd`).length;
		} catch (error) {
			return error.code;
		}
	};
	const state = {
		NoNewPrivs,
		Seccomp,
		CapEff,
		CapPrm,
		CapBnd,
		inside: NSpid?.split("\t").length,
		descriptors: descriptors(),
	};
	const narrow = await exec({ limits: { stackBytes: 2 ** 20 } });
	const wide = await exec();
	const killed = await waiting(pid1);
	process.kill(Number(killed), "SIGKILL");
	await new Promise((resolve) => setTimeout(resolve, 30));
	const afterKill = await exec();
	process.kill(Number(await waiting(pid1)), "SIGKILL");
	const atOnce = await exec();
	const again = await exec();
	await jail.close();
	const left = [pid, killed].filter((one) => statusOf(one).Name === "vmjail-waiting");
	process.stdout.write(`${JSON.stringify({ state, runs: [first, narrow, wide, afterKill], atOnce, again, left })}\n`);
}
