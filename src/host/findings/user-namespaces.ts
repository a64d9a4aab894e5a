/** Checks of what an unprivileged user may do in a user namespace: by doing it. */

import type { HostFacts } from "../types.ts";
import { sysctl } from "./kernel.ts";
import type { Check, Examination, Finding, RunResult } from "./types.ts";

const APPARMOR = "kernel.apparmor_restrict_unprivileged_userns";
const CLONE = "kernel.unprivileged_userns_clone";
const MAX = "user.max_user_namespaces";

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";

/** Runs a program as root of new namespaces; undefined where util-linux's unshare is missing. */
async function inNamespace(
	{ run, find }: Examination,
	flags: readonly string[],
	argv: readonly string[],
): Promise<RunResult | undefined> {
	const unshare = find("unshare");
	return unshare === undefined ? undefined : await run(unshare, ["--user", "--map-root-user", ...flags, "--", ...argv]);
}

/** A profile that lets this one program make user namespaces, and confines it no further (AppArmor 4). */
function apparmorFix(executorPath = "/path/to/vmjail-executor"): string {
	const profile = `abi <abi/4.0>,\\nprofile vmjail "${executorPath}" flags=(unconfined) {\\n  userns,\\n}\\n`;
	return `printf '${profile}' | sudo tee /etc/apparmor.d/vmjail && sudo apparmor_parser -r /etc/apparmor.d/vmjail (or, for every program: sudo sysctl -w ${APPARMOR}=0)`;
}

/** The switch that explains a failure, likeliest first. */
function fixFor({ fs, executorPath }: Examination): string {
	if (sysctl(fs, MAX) === "0") return `sudo sysctl -w ${MAX}=15000`;
	if (sysctl(fs, CLONE) === "0") return `sudo sysctl -w ${CLONE}=1`;
	if (sysctl(fs, APPARMOR) === "1") return apparmorFix(executorPath);
	return "In a container: start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined. Else: start a kernel with CONFIG_USER_NS=y.";
}

export const userNamespaces: Check = async (examination) => {
	const name = "user namespaces";
	const { executor } = examination;
	const no = (detail: string): Finding => ({ name, ok: "no", detail, fix: fixFor(examination), needed: true });
	const yes = (by: string): Finding => ({
		name,
		ok: "yes",
		detail: `made one and mounted in it (${by})`,
		needed: true,
	});
	if (executor !== undefined) {
		const { ok, step, errno } = executor.userNamespace;
		return ok ? yes("executor") : no(`the executor made none: ${step ?? "?"}: ${errno ?? "?"}`);
	}
	const mount = examination.find("mount");
	const tried = mount && (await inNamespace(examination, ["--mount"], [mount, "-t", "tmpfs", "tmpfs", "/tmp"]));
	if (!tried) {
		const detail = "not tried: neither the executor nor util-linux's unshare and mount are there";
		return { name, ok: "no", detail, fix: "npm run build", needed: true };
	}
	return tried.status === 0 ? yes("unshare") : no(lastLine(tried.stderr) || "unshare failed");
};

const explains = (facts: HostFacts): string => (facts.caller.privileged ? ", which does not bind this caller" : "");

export const apparmorRestriction: Check = ({ fs, facts, executor, executorPath }) => {
	const name = "AppArmor on user namespaces";
	const value = sysctl(fs, APPARMOR);
	if (value !== "1") {
		return {
			name,
			ok: "yes",
			detail: value === undefined ? "no such restriction" : `${APPARMOR}=${value}`,
			needed: false,
		};
	}
	const detail = `${APPARMOR}=1`;
	if (facts.caller.privileged) return { name, ok: "yes", detail: `${detail}${explains(facts)}`, needed: false };
	if (executor?.userNamespace.ok === true)
		return { name, ok: "yes", detail: `${detail}; a profile lets the executor pass`, needed: false };
	return {
		name,
		ok: "no",
		detail: `${detail}, and no profile lets the executor pass`,
		fix: apparmorFix(executorPath),
		needed: false,
	};
};

export const maxUserNamespaces: Check = ({ fs }) => {
	const value = sysctl(fs, MAX);
	if (value !== "0") {
		return { name: MAX, ok: "yes", detail: value === undefined ? "no such limit" : value, needed: false };
	}
	return { name: MAX, ok: "no", detail: "0: nobody can make one", fix: `sudo sysctl -w ${MAX}=15000`, needed: false };
};

export const unprivilegedClone: Check = ({ fs, facts }) => {
	const value = sysctl(fs, CLONE);
	if (value !== "0") {
		return { name: CLONE, ok: "yes", detail: value === undefined ? "no such switch" : value, needed: false };
	}
	if (facts.caller.privileged) return { name: CLONE, ok: "yes", detail: `0${explains(facts)}`, needed: false };
	return {
		name: CLONE,
		ok: "no",
		detail: "0: only root can make one",
		fix: `sudo sysctl -w ${CLONE}=1`,
		needed: false,
	};
};

/**
 * A process may mount proc in its user namespace only where it already sees one with nothing mounted over parts of it
 * (mount_too_revealing in the kernel's fs/namespace.c); container runtimes mount over parts.
 */
export const procMount: Check = async (examination) => {
	const name = "proc in a namespace";
	const mount = examination.find("mount");
	const flags = ["--mount", "--pid", "--fork"];
	const tried = mount && (await inNamespace(examination, flags, [mount, "-t", "proc", "proc", "/proc"]));
	if (!tried) {
		const detail = "not tried: util-linux's unshare and mount are not there";
		return { name, ok: "partly", detail, fix: "sudo apt-get install util-linux", needed: true };
	}
	if (tried.status === 0) return { name, ok: "yes", detail: "mounted one", needed: true };
	const over = examination.fs
		.readFile("/proc/self/mountinfo")
		.split("\n")
		.flatMap((line) => line.split(" ")[4] ?? [])
		.filter((path) => path.startsWith("/proc/"));
	const why = over.length === 0 ? lastLine(tried.stderr) : `mounted over: ${over.join(" ")}`;
	const fix =
		"Start the container with --security-opt systempaths=unconfined (docker) or --security-opt unmask=ALL (podman).";
	return { name, ok: "no", detail: `refused: ${why}`, fix, needed: true };
};

/** Does nft work as root of a user namespace with a network of its own? */
export const nft: Check = async (examination) => {
	const name = "nft";
	const needed = false;
	const path = examination.find(name);
	if (path === undefined) {
		const detail = "not installed: needed for a network policy";
		return { name, ok: "no", detail, fix: "sudo apt-get install nftables", needed };
	}
	const tried = await inNamespace(examination, ["--net"], [path, "add", "table", "inet", "vmjail_probe"]);
	if (tried === undefined) return { name, ok: "partly", detail: `${path}, not tried: there is no unshare`, needed };
	if (tried.status === 0) return { name, ok: "yes", detail: `${path} works in a namespace`, needed };
	const detail = `${path} fails in a namespace: ${lastLine(tried.stderr) || "no reason given"}`;
	return { name, ok: "no", detail, fix: "sudo modprobe nf_tables", needed };
};
