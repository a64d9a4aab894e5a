/** A jail that was made ahead of its use: until it is finished pid 1 does nothing else, whoever asks. */

import { closeSync, constants, openSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { decodeFailure } from "../../src/executor/frames.ts";
import { FRAME } from "../../src/executor/wire.ts";
import { leftovers, leftSince } from "../helpers/clean.ts";
import {
	childrenOf,
	EXIT_7,
	EXIT_BY_MASK,
	Executor,
	FAILING_REST,
	frame,
	LAUNCH,
	REST,
	type Socket,
	UNFINISHED,
} from "./peer.ts";

const open = { null: -1 };
let before: readonly string[] = [];

beforeAll(() => {
	before = leftovers();
	open.null = openSync("/dev/null", constants.O_RDWR);
});
afterAll(async () => {
	closeSync(open.null);
	expect(await leftSince(before)).toEqual([]);
});

const exec = (sequence: number, program: Uint8Array) => frame({ type: FRAME.exec, sequence, descriptors: 3 }, program);
const setup = (sequence: number, program: Uint8Array) => frame({ type: FRAME.setup, sequence }, program);
const finish = (sequence: number) => frame({ type: FRAME.finish, sequence });
const streams = () => [open.null, open.null, open.null];

function unfinished(): { executor: Executor; jail: Socket } {
	const executor = new Executor();
	onTestFinished(() => executor.close());
	return { executor, jail: executor.launch(1, UNFINISHED) };
}

describe("an unfinished jail", () => {
	it("runs a program once it has been finished, and not before the last step is done", async () => {
		const { jail } = unfinished();
		// The later program counts.
		jail.send(setup(18, FAILING_REST));
		jail.send(setup(19, REST));
		jail.send(finish(20));
		jail.send(exec(21, EXIT_BY_MASK), streams());
		expect((await jail.frame(FRAME.exited))?.slice(0, 4)).toEqual(new Uint8Array([0, 7, 0, 0]));
		// In one that lacks the step the same program sees the difference.
		const other = new Executor();
		onTestFinished(() => other.close());
		const without = other.launch(1);
		without.send(exec(21, EXIT_BY_MASK), streams());
		expect((await without.frame(FRAME.exited))?.slice(0, 4)).toEqual(new Uint8Array([0, 1, 0, 0]));
	});

	const signal = new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0]);
	it.each<[string, () => Uint8Array, boolean]>([
		["a program", () => exec(20, EXIT_7), true],
		["a last program", () => frame({ type: FRAME.exec, sequence: 20, descriptors: 3, last: true }, EXIT_7), true],
		["vmjail's own steps", () => frame({ type: FRAME.exec, sequence: 20, descriptors: 3, errand: true }, EXIT_7), true],
		["a program to keep", () => frame({ type: FRAME.keep, sequence: 20 }, LAUNCH), false],
		["a renewal", () => frame({ type: FRAME.reset, sequence: 20 }), false],
		["an end of nothing", () => finish(20), false],
		["a signal", () => frame({ type: FRAME.signal, sequence: 20 }, signal), false],
		["a half that leaves it unfinished", () => setup(20, UNFINISHED), false],
		["half a half", () => setup(20, REST.slice(0, -1)), false],
		["a half with a descriptor", () => frame({ type: FRAME.setup, sequence: 20, descriptors: 1 }, REST), false],
	])("ends at %s", async (name, bytes, withStreams) => {
		const { executor, jail } = unfinished();
		const descriptors = withStreams ? streams() : name === "a half with a descriptor" ? [open.null] : [];
		jail.send(bytes(), descriptors);
		await jail.gone();
		expect(jail.types).toEqual([]);
		const ended = await executor.socket.frame(FRAME.ended);
		expect(ended?.slice(0, 4)).toEqual(new Uint8Array([0, 1, 0, 0]));
		await vi.waitUntil(() => childrenOf(executor.pid).length === 0);
	});

	it.each([
		["a program", () => exec(21, EXIT_7), true],
		["a signal", () => frame({ type: FRAME.signal, sequence: 21 }, signal), false],
	])("that knows how it will be finished, and is not, ends at %s", async (_, bytes, withStreams) => {
		const { jail } = unfinished();
		jail.send(setup(20, REST));
		jail.send(bytes(), withStreams ? streams() : []);
		await jail.gone();
		expect(jail.types).toEqual([]);
	});

	it("is finished once: at a second time it ends, and so does one that never was unfinished", async () => {
		const { executor, jail } = unfinished();
		for (const [at, second] of [setup(30, REST), finish(30)].entries()) {
			const one = at === 0 ? jail : executor.launch(2, UNFINISHED);
			one.send(setup(20, REST));
			one.send(finish(21));
			one.send(second);
			await one.gone();
			expect(one.types).toEqual([]);
			const other = executor.launch(3 + at);
			other.send(second);
			await other.gone();
			expect(other.types).toEqual([]);
		}
	});

	it("tells which step failed and ends; nothing runs in it", async () => {
		const { jail } = unfinished();
		jail.send(setup(19, FAILING_REST));
		jail.send(finish(20));
		jail.send(exec(21, EXIT_7), streams());
		await jail.gone();
		expect(jail.types).toEqual([FRAME.failed]);
		expect(decodeFailure(jail.payloads[0] ?? new Uint8Array())).toMatchObject({ section: "child", step: 1, error: 2 });
	});

	it("ends with its peer, and with the executor", async () => {
		const { executor, jail } = unfinished();
		await executor.socket.frame(FRAME.hello);
		const other = executor.launch(2, UNFINISHED);
		await vi.waitUntil(() => childrenOf(executor.pid).length === 2);
		jail.close();
		await vi.waitUntil(() => childrenOf(executor.pid).length === 1);
		process.kill(executor.pid, "SIGKILL");
		await other.gone();
	});
});
