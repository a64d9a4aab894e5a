import { closeSync, constants, mkdtempSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { FLAG_RESET, FRAME, MAX_FRAME } from "../../src/executor/wire.ts";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { removeFolder } from "../helpers/folder.ts";
import { SOON } from "../helpers/patience.ts";
import { childrenOf, EXIT_7, Executor, frame, LAUNCH, SLEEP, TOKEN } from "./peer.ts";

const O_PATH = 0o10000000;

/** Descriptors of every kind that a test may send, open for the whole file. */
const open = { null: -1, folder: -1, path: -1, unsealed: -1, sealed: -1, socket: -1, far: -1 };
let memory = "";
let before: readonly string[] = [];

beforeAll(() => {
	before = leftovers();
	// A file of tmpfs can be sealed like a memfd, and is not.
	memory = mkdtempSync("/dev/shm/unsealed-");
	writeFileSync(join(memory, "program"), LAUNCH);
	const { addon, close } = { addon: new Executor(), close: (executor: Executor) => executor.close() };
	open.null = openSync("/dev/null", constants.O_RDWR);
	open.folder = openSync("/", "r");
	open.path = openSync("/dev/null", O_PATH);
	open.unsealed = openSync(join(memory, "program"), constants.O_RDWR);
	open.sealed = addon.addon.memfd(LAUNCH);
	[open.socket, open.far] = addon.addon.socketpair();
	return close(addon);
});

afterAll(async () => {
	for (const descriptor of Object.values(open)) closeSync(descriptor);
	removeFolder(memory);
	expect(await leftSince(before)).toEqual([]);
});

type Kind = keyof typeof open;
type Message = readonly [name: string, bytes: () => Uint8Array, descriptors: readonly Kind[]];

const changed = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
	const copy = bytes.slice();
	copy[at] = value;
	return copy;
};

/** What nobody may send to anybody, given a frame that would be right. */
function broken(right: () => Uint8Array, descriptors: readonly Kind[]): readonly Message[] {
	return [
		["a few bytes", () => new Uint8Array([1, 2, 3]), []],
		["a header cut short", () => right().slice(0, 31), descriptors],
		["a frame cut short", () => right().slice(0, -1), descriptors],
		["a frame longer than it says", () => new Uint8Array([...right(), 0]), descriptors],
		["a frame that says it is longer", () => changed(right(), 3, 1), descriptors],
		["a frame larger than the largest", () => frame({}, new Uint8Array(MAX_FRAME)), []],
		["a type that there is not", () => changed(right(), 4, 99), descriptors],
		["a type that only the executor sends", () => changed(right(), 4, FRAME.ended), descriptors],
		["a flag that there is not", () => changed(right(), 6, 0x80), descriptors],
		["fewer descriptors than it says", right, descriptors.slice(1)],
		["more descriptors than it says", right, [...descriptors, "null"]],
		["sequence number 0", () => changed(right(), 8, 0), descriptors],
		["a program that is none", () => changed(right(), 32, 0), descriptors],
		["a program of another version", () => changed(right(), 36, 77), descriptors],
		["no program", () => changed(changed(right().slice(0, 32), 0, 32), 1, 0).fill(0, 2, 4), descriptors],
	];
}

const send = (kinds: readonly Kind[] = []): readonly number[] => kinds.map((kind) => open[kind]);
const sequenceOf = (bytes: Uint8Array, sequence: number): Uint8Array => changed(bytes, 8, sequence);

describe("the zygote", () => {
	const right = () => frame({ descriptors: 1 }, LAUNCH);
	const memfd = (payload?: Uint8Array) => frame({ descriptors: 2, memfd: true }, payload);

	it.each<Message>([
		...broken(right, ["socket"]),
		["a descriptor too many", () => frame({ descriptors: 2 }, LAUNCH), ["socket", "null"]],
		["a request for pid 1", () => changed(right(), 4, FRAME.exec), ["socket"]],
		["a control descriptor that is no socket", right, ["null"]],
		["a memfd that is not sealed", () => memfd(), ["socket", "unsealed"]],
		["a memfd that is none", () => memfd(), ["socket", "null"]],
		["a memfd and a payload", () => memfd(LAUNCH), ["socket", "sealed"]],
	])("ends at %s", async (_, bytes, descriptors) => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		await executor.socket.frame(FRAME.hello);
		expect(executor.socket.send(bytes(), send(descriptors))).toBe(true);
		expect(await executor.ended()).toBe(0);
		expect(executor.socket.types).toEqual([FRAME.hello]);
	});

	it.each<[string, (sequence: number) => Uint8Array]>([
		["a replayed sequence number", () => sequenceOf(right(), 3)],
		["a smaller sequence number", () => sequenceOf(right(), 2)],
		["another token than the first", () => frame({ sequence: 4, token: new Uint8Array(16), descriptors: 1 }, LAUNCH)],
	])("ends at %s, and its jails with it", async (_, bytes) => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		const jail = executor.launch(3);
		await executor.socket.frame(FRAME.hello);
		executor.socket.send(bytes(4), send(["socket"]));
		expect(await executor.ended()).toBe(0);
		await jail.gone();
	});

	it("takes a program from a sealed memfd", async () => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		const [here, there] = executor.addon.socketpair();
		executor.socket.send(memfd(), [there, open.sealed]);
		closeSync(there);
		closeSync(here);
		expect((await executor.socket.frame(FRAME.ended))?.[0]).toBe(0);
	});

	it("ends with every jail when its peer is gone", async () => {
		const executor = new Executor();
		const jails = [executor.launch(1), executor.launch(2)];
		for (const jail of jails)
			jail.send(
				frame({ type: FRAME.exec, sequence: 9, jail: 1, descriptors: 3 }, SLEEP),
				send(["null", "null", "null"]),
			);
		await executor.socket.frame(FRAME.hello);
		executor.socket.close();
		expect(await executor.ended()).toBe(0);
		for (const jail of jails) await jail.gone();
	});
});

describe("pid 1 of a jail", () => {
	const streams: readonly Kind[] = ["null", "null", "null"];
	const right = () => frame({ type: FRAME.exec, sequence: 20, descriptors: 3 }, EXIT_7);
	const request = (type: number, ...bytes: readonly number[]) => frame({ type, sequence: 20 }, new Uint8Array(bytes));

	it.each<Message>([
		...broken(right, streams),
		["a request for the zygote", () => changed(right(), 4, FRAME.launch), streams],
		[
			"another token",
			() => frame({ type: FRAME.exec, sequence: 20, token: TOKEN.map((byte) => byte ^ 1), descriptors: 3 }, EXIT_7),
			streams,
		],
		["a folder as standard input", right, ["folder", "null", "null"]],
		["a folder as standard error", right, ["null", "null", "folder"]],
		["too few descriptors", () => frame({ type: FRAME.exec, sequence: 20, descriptors: 2 }, EXIT_7), ["null", "null"]],
		["an O_PATH descriptor", right, ["null", "path", "null"]],
		[
			"a memfd that is not sealed",
			() => frame({ type: FRAME.exec, sequence: 20, descriptors: 4, memfd: true }),
			[...streams, "unsealed"],
		],
		["a signal that there is not", () => request(FRAME.signal, 65, 0, 0, 0, 0, 0, 0, 0), []],
		["signal 0", () => request(FRAME.signal, 0, 0, 0, 0, 0, 0, 0, 0), []],
		["a signal request of the wrong size", () => request(FRAME.signal, 9, 0, 0, 0), []],
		[
			"a signal with a descriptor",
			() => frame({ type: FRAME.signal, sequence: 20, descriptors: 1 }, new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0])),
			["null"],
		],
		["a window size of the wrong size", () => request(FRAME.resize, 1, 0), []],
		["a renewal where nothing is kept", () => request(FRAME.reset), []],
		["a renewal after a program where nothing is kept", () => changed(right(), 6, FLAG_RESET), streams],
		["a program to keep that is none", () => frame({ type: FRAME.keep, sequence: 20 }, EXIT_7.slice(1)), []],
		[
			"a program to keep with a descriptor",
			() => frame({ type: FRAME.keep, sequence: 20, descriptors: 1 }, LAUNCH),
			["null"],
		],
	])("ends its jail, and nothing else, at %s", async (_, bytes, descriptors) => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		const jail = executor.launch(1);
		await executor.socket.frame(FRAME.hello);
		jail.send(bytes(), send(descriptors));
		await jail.gone();
		expect(jail.types).toEqual([]);
		const ended = await executor.socket.frame(FRAME.ended);
		expect(new DataView(ended?.buffer ?? new ArrayBuffer(4), ended?.byteOffset).getUint32(0, true)).toBe(0x100);

		const next = executor.launch(2);
		next.send(sequenceOf(right(), 21), send(streams));
		const exited = await next.frame(FRAME.exited);
		expect(exited?.slice(0, 4)).toEqual(new Uint8Array([0, 7, 0, 0]));
	});

	it("runs no program in what another one left, and renews between them", async () => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		const exec = (sequence: number, reset: boolean) =>
			frame({ type: FRAME.exec, sequence, descriptors: 3, reset }, EXIT_7);
		const jail = executor.launch(1);
		// Anything sound may be kept: here nothing is to be done.
		jail.send(frame({ type: FRAME.keep, sequence: 30 }, LAUNCH));
		jail.send(frame({ type: FRAME.reset, sequence: 31 }));
		expect(await jail.frame(FRAME.ready)).toHaveLength(0);
		const exits = () => jail.types.filter((type) => type === FRAME.exited).length;
		jail.send(exec(32, true), send(streams));
		await vi.waitUntil(() => exits() === 1, SOON);
		jail.send(exec(33, false), send(streams));
		await vi.waitUntil(() => exits() === 2, SOON);
		jail.send(exec(34, false), send(streams));
		await jail.gone();
		expect(jail.types).toEqual([FRAME.ready, FRAME.exited, FRAME.exited]);
		const unrenewed = executor.launch(2);
		unrenewed.send(frame({ type: FRAME.keep, sequence: 30 }, LAUNCH));
		unrenewed.send(exec(31, true), send(streams));
		await unrenewed.gone();
		expect(unrenewed.types).toEqual([]);
	});

	it("ends at a second program while the first runs, and at a replayed request", async () => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		for (const [launch, sequence] of [
			[1, 31],
			[2, 30],
		] as const) {
			const jail = executor.launch(launch);
			jail.send(frame({ type: FRAME.exec, sequence: 30, descriptors: 3 }, SLEEP), send(streams));
			jail.send(frame({ type: FRAME.exec, sequence, descriptors: 3 }, SLEEP), send(streams));
			await jail.gone();
			expect(jail.types).toEqual([]);
		}
		await vi.waitUntil(() => childrenOf(executor.pid).length === 0, SOON);
	});

	it("leaves without a word when its peer is gone", async () => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		const jail = executor.launch(1);
		jail.send(frame({ type: FRAME.exec, sequence: 30, descriptors: 3 }, SLEEP), send(streams));
		jail.close();
		expect((await executor.socket.frame(FRAME.ended))?.slice(0, 8)).toEqual(new Uint8Array(8));
	});

	it("when it is killed is reaped by the zygote, which says so and serves on", async () => {
		const executor = new Executor();
		onTestFinished(() => executor.close());
		const jail = executor.launch(1);
		jail.send(frame({ type: FRAME.exec, sequence: 30, descriptors: 3 }, SLEEP), send(streams));
		const pid = await vi.waitUntil(() => childrenOf(executor.pid)[0], SOON);
		process.kill(pid, "SIGKILL");
		await jail.gone();
		expect((await executor.socket.frame(FRAME.ended))?.[0]).toBe(9);
		const next = executor.launch(2);
		next.send(sequenceOf(right(), 21), send(streams));
		expect(await next.frame(FRAME.exited)).toBeDefined();
	});
});
