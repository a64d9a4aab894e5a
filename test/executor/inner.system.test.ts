/** The executor as the first process of somebody else's jail: what it takes from its socket, and what it does not. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { loadAddon } from "../../src/executor/addon.ts";
import { decodeExit, decodeFailure } from "../../src/executor/frames.ts";
import { nativePath } from "../../src/executor/package-files.ts";
import { FRAME } from "../../src/executor/wire.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingPrograms } from "../system/caller.ts";
import { EXIT_7, frame, LAUNCH, Socket } from "./peer.ts";

/** Pid 1 of a pid namespace, as gVisor would have it. */
const AS_PID1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];

function start(before: readonly string[]) {
	const [here, there] = loadAddon().socketpair();
	const [program = "", ...args] = [...before, nativePath("vmjail-executor"), "inner", "3"];
	const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit", there] });
	closeSync(there);
	const exited = once(child, "exit");
	const socket = new Socket(loadAddon(), here);
	onTestFinished(async () => {
		socket.close();
		child.kill("SIGKILL");
		await exited;
	});
	return { socket, exited };
}

function streams(): readonly number[] {
	const all = [0, 1, 2].map(() => openSync("/dev/null", "r+"));
	onTestFinished(() => {
		for (const descriptor of all) closeSync(descriptor);
	});
	return all;
}

describe.skipIf(requireOr(missingPrograms("unshare")))("vmjail-executor inner", () => {
	it("sets up, runs a program, and ends with its peer", async () => {
		const { socket, exited } = start(AS_PID1);
		socket.send(frame({}, LAUNCH));
		socket.send(frame({ type: FRAME.exec, sequence: 2, descriptors: 3, last: false }, EXIT_7), streams());
		const exit = decodeExit((await socket.frame(FRAME.exited)) ?? new Uint8Array());
		expect(exit?.status).toBe(7 << 8);
		socket.close();
		expect(await exited).toEqual([0, null]);
	});

	it("copies a program from a memory file, whose seals it cannot see in gVisor", async () => {
		const { socket } = start(AS_PID1);
		const memory = loadAddon().memfd(LAUNCH);
		socket.send(frame({ descriptors: 1, memfd: true }), [memory]);
		const program = loadAddon().memfd(EXIT_7);
		const all = [...streams(), program];
		socket.send(frame({ type: FRAME.exec, sequence: 2, descriptors: 4, memfd: true, last: true }), all);
		for (const descriptor of [memory, program]) closeSync(descriptor);
		expect(decodeExit((await socket.frame(FRAME.exited)) ?? new Uint8Array())?.status).toBe(7 << 8);
	});

	it("does nothing where it is not the first process: it would kill others", async () => {
		const { socket, exited } = start([]);
		socket.send(frame({}, LAUNCH));
		expect(decodeFailure((await socket.frame(FRAME.failed)) ?? new Uint8Array())).toMatchObject({ error: 22 });
		expect(await exited).toEqual([1, null]);
	});

	it.each([
		["another request than a launch", frame({ type: FRAME.exec }, EXIT_7)],
		["a descriptor too few", frame({ descriptors: 1 }, LAUNCH)],
		["a program that is none", frame({}, LAUNCH.slice(0, -8))],
		["a few bytes", new Uint8Array([1, 2, 3])],
	])("leaves when it is first sent %s", async (_, message) => {
		const { socket, exited } = start(AS_PID1);
		socket.send(message);
		expect(await exited).toEqual([1, null]);
	});

	it("needs a socket", async () => {
		const child = spawn(nativePath("vmjail-executor"), ["inner", "77"], { stdio: "ignore" });
		expect(await once(child, "exit")).toEqual([2, null]);
	});
});
