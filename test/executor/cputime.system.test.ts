/**
 * The limit of CPU time where pid 1 reads it from a group that it is in itself: the group's figure lags behind pid 1's own clock,
 * so that what is left of it may be less than nothing. A file of the test's stands for the group's.
 */

import { closeSync, constants, mkdtempSync, openSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { decodeExit, type ExitReport } from "../../src/executor/frames.ts";
import { FRAME } from "../../src/executor/wire.ts";
import { AT_FDCWD } from "../../src/plan/constants.ts";
import { cstring } from "../../src/plan/steps.ts";
import { removeFolder } from "../helpers/folder.ts";
import { SOON } from "../helpers/patience.ts";
import { childrenOf, Executor, frame, jailOf } from "./peer.ts";

const SECOND = 1_000_000_000;
const LIMIT_MS = 100;

const at = { folder: "", usage: "", null: -1 };
beforeAll(() => {
	at.folder = mkdtempSync(join(tmpdir(), "cputime-test-"));
	at.usage = join(at.folder, "cpuacct.usage");
	at.null = openSync("/dev/null", constants.O_RDWR);
});
afterAll(() => {
	closeSync(at.null);
	removeFolder(at.folder);
});

/** What becomes of a program that sleeps, and ends with 7, where the group's nanoseconds are `before` and, once it runs, `after`. */
async function ending(seconds: number, before: number, after: number): Promise<ExitReport | undefined> {
	const executor = new Executor();
	onTestFinished(() => executor.close());
	const { launch, exec } = jailOf({
		child: [{ label: "open", call: "openat", args: [AT_FDCWD, cstring(at.usage), constants.O_RDONLY], save: "usage" }],
		keep: ["usage"],
		cpuUsage: { slot: "usage", format: "shared" },
	});
	writeFileSync(at.usage, `${before}\n`);
	const jail = executor.launch(1, launch);
	const sleeper = exec(["/bin/sh", "-c", `sleep ${seconds}; exit 7`], { cpuLimitMs: LIMIT_MS });
	jail.send(frame({ type: FRAME.exec, sequence: 20, descriptors: 3 }, sleeper), [at.null, at.null, at.null]);
	await vi.waitUntil(() => childrenOf(executor.pid).flatMap(childrenOf).length > 0, SOON);
	writeFileSync(at.usage, `${after}\n`);
	const exited = await jail.frame(FRAME.exited);
	return exited === undefined ? undefined : decodeExit(exited);
}

it("holds where the group began with less than pid 1 had used itself", async () => {
	expect(await ending(20, 0, 60 * SECOND)).toMatchObject({ status: 9, cause: "cpu-time" });
});

it("is not met by a group whose figure falls behind pid 1's own", async () => {
	expect(await ending(0.5, 60 * SECOND, 0)).toMatchObject({ status: 7 << 8, cause: "none" });
});

it("is not met by what a program has not used", async () => {
	expect(await ending(0.5, 60 * SECOND, 60 * SECOND)).toMatchObject({ status: 7 << 8, cause: "none" });
});
