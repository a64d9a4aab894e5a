import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	chownSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nativePath } from "../../../src/executor/package-files.ts";
import type { Mount, Spec } from "../../../src/oci/types.ts";
import { defaultParent } from "../../../src/runtime/run-dir.ts";
import type { Runsc } from "../../../src/runtime/runsc/find.ts";
import { probeRunsc } from "../../../src/runtime/runsc/probe.ts";
import { runscBuilds } from "../../conformance/runtimes.ts";
import { removeFolder } from "../../helpers/folder.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { missingPrograms, PATH, VMJAIL } from "../../system/caller.ts";

const builds = await runscBuilds();
const skipped = requireOr(builds.length > 0 ? undefined : "no runsc to test with: sh scripts/get-runsc.sh");
const noCompiler = requireOr(missingPrograms("cc"));
const notRoot = requireOr(
	process.getuid?.() === 0 ? undefined : "needs root, to become other users: run the tests by sudo",
);

/** Builds before this let a program remount what the host gave it read-only. */
const FIXED = 2026_07_00;
const hasTheFault = ({ abilities }: Runsc) => Number(/\d{8}/.exec(abilities.version)?.[0] ?? FIXED) < FIXED;

let folder = "";
beforeAll(() => {
	folder = mkdtempSync("/var/tmp/vmjail-runsc-");
	chmodSync(folder, 0o755);
});
afterAll(() => removeFolder(folder));

/** What a probe concludes from a success; that runs succeed is what the other tests are about. */
const tryOut = () => Promise.resolve({ kind: "exited", exitCode: 0 } as const);

const confine = nativePath("vmjail-confine");

const namespaces = (["pid", "mount", "ipc", "uts", "network"] as const).map((type) => ({ type }));
function specFor(args: readonly string[], mounts: readonly Mount[] = [], user = { uid: 0, gid: 0 }): Spec {
	return {
		ociVersion: "1.2.0",
		process: { cwd: "/", env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], args, user, noNewPrivileges: true },
		root: { path: "/", readonly: true },
		mounts: [
			{ destination: "/proc", type: "proc", source: "proc" },
			{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
			...mounts,
		],
		linux: { namespaces },
	};
}
const bind = (path: string, ...options: readonly string[]): Mount => ({
	destination: path,
	type: "bind",
	source: path,
	options: ["rbind", ...options],
});

/** `./vmjail` with this runsc. */
function vmjailWith(runsc: Runsc, args: readonly string[], before: readonly string[] = []) {
	const [file = "", ...rest] = [...before, VMJAIL, "--quiet", "--runtime", "runsc", "--runsc", runsc.path, ...args];
	return spawnSync(file, rest, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], cwd: "/", env: { PATH } });
}

/** Processes whose command line holds the text. */
function processesWith(text: string): readonly string[] {
	return readdirSync("/proc").filter((pid) => {
		if (!/^\d+$/.test(pid) || pid === String(process.pid)) return false;
		try {
			return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
		} catch {
			return false;
		}
	});
}

function pidNamespace(): string {
	return readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
}

async function until(condition: () => boolean): Promise<void> {
	for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe.skipIf(skipped || notRoot).each(builds.map((runsc) => [runsc.abilities.version, runsc] as const))(
	"runsc %s",
	(_, runsc) => {
		const victim = () => join(folder, "victim");
		const attack = () => [
			"/bin/sh",
			"-c",
			"unshare -Urm sh -c 'mount -o remount,bind,rw,exec $1; echo changed >$1/file; $1/program && echo executed' sh $1",
			"sh",
			victim(),
		];
		const protectedBind = () => bind(victim(), "ro", "noexec", "nosuid", "nodev");
		function prepare(): void {
			mkdirSync(victim(), { recursive: true });
			chmodSync(victim(), 0o777);
			writeFileSync(join(victim(), "file"), "kept\n", { mode: 0o666 });
			writeFileSync(join(victim(), "program"), "#!/bin/sh\n");
			chmodSync(join(victim(), "program"), 0o755);
			chmodSync(join(victim(), "file"), 0o666);
		}
		const content = () => readFileSync(join(victim(), "file"), "utf8");

		/** As somebody would run it who has not read about the fault. */
		function unguarded(directfs: boolean): string {
			const bundle = mkdtempSync(join(folder, "bundle-"));
			// The root as a mount of its own: newer builds ignore binds over "/".
			const spec = {
				...specFor(attack(), [protectedBind()], { uid: 65534, gid: 65534 }),
				root: { path: join(bundle, "root"), readonly: true },
			};
			mkdirSync(join(bundle, "root"));
			writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
			const run = [
				runsc.path,
				`--root=${bundle}/state`,
				"--network=none",
				"--ignore-cgroups",
				"--overlay2=none",
				`--directfs=${directfs}`,
				"run",
				`--bundle=${bundle}`,
				"unguarded",
			];
			const script = 'mount --rbind / "$1" && shift && exec "$@"';
			const args = [
				"--mount",
				"--pid",
				"--fork",
				"--kill-child",
				"--mount-proc",
				"sh",
				"-c",
				script,
				"sh",
				join(bundle, "root"),
				...run,
			];
			return spawnSync("unshare", args, { encoding: "utf8" }).stdout;
		}

		it.runIf(hasTheFault(runsc))(
			"without our measures, a program writes through a read-only bind and executes from a noexec one",
			() => {
				prepare();
				unguarded(true);
				expect(content()).toBe("changed\n");
				prepare();
				expect(unguarded(false)).toContain("executed");
			},
		);

		it("with them, it does neither", () => {
			prepare();
			for (const user of [0, 65534]) {
				const place = ["--user", `${user}:${user}`, "--ro", victim()];
				const { stdout, status } = vmjailWith(runsc, [...place, "--", ...attack()]);
				expect([stdout.includes("executed"), content()]).toEqual([false, "kept\n"]);
				expect(status).not.toBe(125);
			}
		});

		it("answers with the errors of the policy's filter, and leaves nothing of the program that installs it", () => {
			const file = join(folder, "filter.json");
			const script =
				'uname; ls /proc/1/fd; readlink /proc/self/fd/3 >/dev/null; tr "\\0" " " </proc/1/cmdline; exit 127';
			const answers = (errnoRet: number | undefined) => {
				const syscalls = errnoRet === undefined ? [] : [{ names: ["uname"], action: "SCMP_ACT_ERRNO", errnoRet }];
				const security = { syscalls: { defaultAction: "SCMP_ACT_ALLOW", syscalls } };
				writeFileSync(file, JSON.stringify({ extends: "default", security }));
				const { stdout, stderr, status } = vmjailWith(runsc, ["-c", file, "--", "/bin/sh", "-c", script]);
				expect([status, stdout.replace(/^Linux\n/, "")]).toEqual([127, `0\n1\n2\n/bin/sh -c ${script} `]);
				return stderr;
			};
			expect(answers(71)).toMatch(/uname: .*Protocol error/);
			expect(answers(38)).toMatch(/uname: .*Function not implemented/);
			expect(answers(undefined)).toBe("");
		});

		it("runs a program that may not execute another one", () => {
			const file = join(folder, "no-exec.json");
			const syscalls = [{ names: ["execve"], action: "SCMP_ACT_ERRNO" }];
			const security = { syscalls: { defaultAction: "SCMP_ACT_ALLOW", syscalls } };
			writeFileSync(file, JSON.stringify({ extends: "default", security }));
			const { stdout, status } = vmjailWith(runsc, ["-c", file, "--", "/bin/sh", "-c", "echo runs; /bin/true"]);
			expect([stdout, status]).toEqual(["runs\n", 126]);
		});

		it.each([
			["is not there", ["/nowhere"], 127, "/nowhere is not in the jail"],
			["is in no folder of PATH", ["nowhere"], 127, "nowhere is not in the jail"],
			["is no program", ["/etc/passwd"], 126, "/etc/passwd may not be executed: EACCES"],
		])("says of a file that it %s", (_what, command, wanted, said) => {
			const { status, stderr } = vmjailWith(runsc, ["--", ...command]);
			expect([status, stderr.split("\n")[0]]).toEqual([wanted, `vmjail: ${said}`]);
		});

		it("runs where few files may be open, and where more may, runsc holds a descriptor that makes its children's tables large", async () => {
			expect(vmjailWith(runsc, ["--", "/bin/true"], ["prlimit", "--nofile=300:300", "--"]).status).toBe(0);
			const args = ["--runtime", "runsc", "--runsc", runsc.path, "--", "/bin/sh", "-c", "echo ready; exec sleep 1000"];
			const child = spawn(VMJAIL, args, { stdio: ["ignore", "pipe", "ignore"], cwd: "/", env: { PATH } });
			await once(child.stdout, "data");
			const ours = processesWith(`${pidNamespace()}-${child.pid}-`);
			const room = ours.filter((pid) => existsSync(`/proc/${pid}/fd/320`));
			const targets = room.map((pid) => readlinkSync(`/proc/${pid}/fd/320`));
			child.kill("SIGTERM");
			await once(child, "exit");
			// Of runsc's own process: the gofer and the Sentry have a larger table, and not what made it so.
			expect(targets).toEqual(["anon_inode:[eventfd]"]);
		});

		it("runs for an ordinary user, whose files stay his", () => {
			const own = join(folder, "own");
			mkdirSync(own, { recursive: true });
			chownSync(own, 1234, 1234);
			const script = `id -u; echo hi >${own}/new; touch /etc/new /usr/new 2>/dev/null || echo refused`;
			const asUser = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "--"];
			const { stdout, status } = vmjailWith(runsc, ["--rw", own, "--", "/bin/sh", "-c", script], asUser);
			expect(status).toBe(0);
			expect(stdout).toBe(`${runsc.abilities.ownUid ? 1234 : 0}\nrefused\n`);
			expect(readFileSync(join(own, "new"), "utf8")).toBe("hi\n");
			expect(execFileSync("stat", ["-c", "%u:%g", join(own, "new")], { encoding: "utf8" })).toBe("1234:1234\n");
			removeFolder(own);
		});

		it("dies with vmjail, however vmjail dies, with all that it started", async () => {
			const script = "sleep 1000 & echo ready; sleep 1000";
			const args = ["--runtime", "runsc", "--runsc", runsc.path, "--", "/bin/sh", "-c", script];
			const child = spawn(VMJAIL, args, { stdio: ["ignore", "pipe", "ignore"], cwd: "/", env: { PATH } });
			await once(child.stdout, "data");
			// Every process of a run names its folder, and that names vmjail's process.
			const own = `${pidNamespace()}-${child.pid}-`;
			// runsc, the gofer and the Sentry.
			expect(processesWith(own).length).toBeGreaterThanOrEqual(3);
			child.kill("SIGKILL");
			await until(() => processesWith(own).length === 0);
			expect(processesWith(own)).toEqual([]);
			// The folder is the next run's to remove.
			vmjailWith(runsc, ["--", "/bin/true"]);
			expect(
				readdirSync(defaultParent()).filter((name) => name.startsWith("vmjail-run-") && name.includes(own)),
			).toEqual([]);
		});

		it("takes a signal by the Sentry's socket, also while it is starting", async () => {
			const args = ["--runtime", "runsc", "--runsc", runsc.path, "--", "/bin/sh", "-c", "echo ready; exec sleep 1000"];
			const child = spawn(VMJAIL, args, { stdio: ["ignore", "pipe", "ignore"], cwd: "/", env: { PATH } });
			await once(child.stdout, "data");
			child.kill("SIGTERM");
			expect(await once(child, "exit")).toEqual([143, null]);
		});

		// Other processors have no such instruction.
		it.skipIf(noCompiler || process.arch !== "x64")("answers CPUID as the processor does", () => {
			const program = join(folder, "cpuid");
			const source = `
				#include <cpuid.h>
				#include <stdio.h>
				int main(void)
				{
					unsigned a, b, c, d;
					/* The hypervisor's name: a leaf that gVisor's own answers lack. */
					__cpuid(0x40000000, a, b, c, d);
					printf("%x %x %x\\n", b, c, d);
					return 0;
				}`;
			execFileSync("cc", ["-x", "c", "-static", "-o", program, "-"], { input: source });
			const inside = vmjailWith(runsc, ["--ro", folder, "--", program]);
			expect(inside.stdout).toBe(execFileSync(program, { encoding: "utf8" }));
		});

		it("is seen to work once, and remembered", async () => {
			const cache = mkdtempSync(join(folder, "cache-"));
			const caller = { uid: 0, gid: 0, privileged: true };
			const options = {
				runsc: runsc.path,
				env: { XDG_CACHE_HOME: cache },
				accel: "systrap",
				arch: "x86_64",
				caller,
				confine,
				tryOut,
			} as const;
			expect(await probeRunsc(options)).toMatchObject({ works: true });
			const [name = ""] = readdirSync(join(cache, "vmjail"));
			const file = join(cache, "vmjail", name);
			writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), version: "from the cache" }));
			expect(await probeRunsc(options)).toMatchObject({
				works: true,
				runsc: { abilities: { version: "from the cache" } },
			});
			// What another user could have written is not believed.
			chmodSync(file, 0o666);
			expect(await probeRunsc(options)).toMatchObject({
				works: true,
				runsc: { abilities: { version: runsc.abilities.version } },
			});
		});
	},
);

describe("probeRunsc", () => {
	it("says why there is no gVisor here", async () => {
		const caller = { uid: 0, gid: 0, privileged: true };
		const asked = { accel: "systrap", arch: "x86_64", caller, confine, tryOut } as const;
		const none = await probeRunsc({ ...asked, env: { PATH: "/nowhere" } });
		expect(none).toMatchObject({ works: false, why: expect.stringContaining("runsc is not in PATH") });
		const other = await probeRunsc({ ...asked, runsc: "/bin/true", env: {} });
		expect(other).toMatchObject({ works: false, why: expect.stringContaining("not gVisor's runsc") });
	});
});
