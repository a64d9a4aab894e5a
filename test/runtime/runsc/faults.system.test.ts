/** A runsc that is not there, dies, or hangs: given up after a bound, cleaned up, and replaced or reported. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { run } from "../../../src/jail/run.ts";
import { closeSession } from "../../../src/jail/session.ts";
import { defaultParent } from "../../../src/runtime/run-dir.ts";
import { runscBuilds } from "../../conformance/runtimes.ts";
import { removeFolder } from "../../helpers/folder.ts";
import { policyOf } from "../../helpers/policy.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { PATH, VMJAIL } from "../../system/caller.ts";

const [build] = await runscBuilds();
const skipped = requireOr(build === undefined ? "no runsc to test with: sh scripts/get-runsc.sh" : undefined);

const quiet = { stdin: "ignore", stdout: "collect", stderr: "ignore" } as const;
const system = { runtime: "runsc", rollback: "", env: { pass: [], set: { PATH } } } as const;
const strict = policyOf({ system });
const lenient = policyOf({ system: { ...system, rollback: "runlc" } });

/** Folders of runs of this process. */
const runDirs = () =>
	readdirSync(defaultParent()).filter(
		(name) => name.startsWith("vmjail-run-") && name.split("-")[3] === String(process.pid),
	);

/** Processes whose command line holds the text. */
const processesWith = (text: string) =>
	readdirSync("/proc").filter((pid) => {
		try {
			return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
		} catch {
			return false;
		}
	});

describe.skipIf(skipped)("a runsc", () => {
	let folder = "";
	beforeAll(() => {
		folder = mkdtempSync("/var/tmp/vmjail-faults-");
		chmodSync(folder, 0o755);
		vi.stubEnv("XDG_RUNTIME_DIR", "");
	});
	afterEach(() => {
		expect(runDirs()).toEqual([]);
	});
	afterAll(async () => {
		await closeSession();
		vi.unstubAllEnvs();
		removeFolder(folder);
	});

	/** As the real one in everything that is asked of it, but for what `start` does in the place of `run`. */
	const fake = (start: string): string => {
		const path = mkdtempSync(join(folder, "runsc-"));
		const file = join(path, "runsc");
		// A file decides, so that what is remembered of this runsc stays true of the file.
		writeFileSync(
			file,
			`#!/bin/sh\ncase "$*" in *" run "*) [ -e "${path}/works" ] || { ${start}; } ;; esac\nexec "${build?.path}" "$@"\n`,
		);
		chmodSync(file, 0o755);
		return file;
	};
	const works = (file: string) => join(file, "../works");

	/** A cache of its own for what is remembered of a runsc. */
	const freshCache = () => vi.stubEnv("XDG_CACHE_HOME", mkdtempSync(join(folder, "cache-")));

	const attempt = (policy: typeof strict, runsc: string) =>
		run(["echo", "ran"], { policy, ...quiet, runsc, startTimeoutMs: 3_000 });

	it.each([
		["dies", "exit 3", /runsc: ended without saying why|probe/],
		["is killed", "kill -9 $$", /signal 9|probe/],
		["hangs", "exec sleep 1000.71", /did not start the program within 3 s/],
	])("that %s at its start is reported, or replaced where the policy says by what", async (_, start, why) => {
		freshCache();
		const runsc = fake(start);
		await expect(attempt(strict, runsc)).rejects.toMatchObject({
			code: "HOST_UNSUPPORTED",
			message: expect.stringMatching(why),
		});
		const replaced = await attempt(lenient, runsc);
		expect(replaced).toMatchObject({
			kind: "exited",
			exitCode: 0,
			runtime: "runlc",
			rolledBackFrom: "runsc",
			rolledBackWhy: expect.stringMatching(why),
		});
		expect(replaced.stdout?.toString()).toBe("ran\n");
		expect(processesWith("1000.71")).toEqual([]);
	});

	it.each([
		["dies", "exit 3", /ended without saying why/],
		["hangs", "exec sleep 1000.72", /did not start the program within 3 s/],
	])("that worked once and then %s is reported, and not believed the next time", async (_, start, why) => {
		freshCache();
		const runsc = fake(start);
		writeFileSync(works(runsc), "");
		expect(await attempt(strict, runsc)).toMatchObject({ kind: "exited", runtime: "runsc" });
		rmSync(works(runsc));
		await expect(attempt(lenient, runsc)).rejects.toMatchObject({
			code: "LAUNCH_FAILED",
			message: expect.stringMatching(why),
		});
		expect(processesWith("1000.72")).toEqual([]);
		expect(await attempt(lenient, runsc)).toMatchObject({ kind: "exited", runtime: "runlc", rolledBackFrom: "runsc" });
	});

	it("that works is not given up, however long the program takes", async () => {
		freshCache();
		const options = { policy: strict, ...quiet, runsc: build?.path ?? "", startTimeoutMs: 3_000 };
		expect(await run(["sleep", "4"], options)).toMatchObject({ kind: "exited", exitCode: 0, runtime: "runsc" });
	});
});

describe("no runsc at all", () => {
	const vmjail = (...args: readonly string[]) =>
		spawnSync(VMJAIL, [...args, "--", "echo", "ran"], { encoding: "utf8", cwd: "/", env: { PATH: `${PATH}` } });
	const there = spawnSync("sh", ["-c", "command -v runsc"], { env: { PATH } }).status === 0;
	const without = requireOr(there ? "a runsc is installed on this machine" : undefined);

	it.skipIf(without)("is one clear line, and how to install it", () => {
		const { status, stdout, stderr } = vmjail("--runtime", "runsc");
		expect([status, stdout]).toEqual([125, ""]);
		expect(stderr.trimEnd().split("\n")).toEqual([
			expect.stringMatching(/^vmjail: system\.runtime: .*runsc is not in PATH$/),
			expect.stringMatching(/^ {2}Install gVisor .*--runsc.*rollback/),
		]);
	});

	it.skipIf(without)("runs on what the policy falls back to, and says so", () => {
		const { status, stdout, stderr } = vmjail("--runtime", "runsc", "--rollback", "runlc");
		expect([status, stdout]).toEqual([0, "ran\n"]);
		expect(stderr).toMatch(/runlc.*runsc.*not in PATH/);
	});
});
