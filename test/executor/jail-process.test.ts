import { describe, expect, it } from "vitest";
import type { Addon } from "../../src/executor/addon.ts";
import { encodeFrame, type StepFailure } from "../../src/executor/frames.ts";
import { type ExecReply, type ExecRequest, JailProcess } from "../../src/executor/jail-process.ts";
import { FRAME } from "../../src/executor/wire.ts";

const LAUNCHED = 10;
const TOKEN = new Uint8Array(16);

/** A jail whose executor the test plays. */
function jail() {
	const control: { arrive: (message: Buffer | null, descriptors: number[]) => void; sent: Uint8Array[] } = {
		arrive: () => {},
		sent: [],
	};
	const addon: Pick<Addon, "watch" | "send"> = {
		send: (_socket, message) => control.sent.push(message) > 0,
		watch: (_socket, callback) => {
			control.arrive = callback;
			return () => {};
		},
	};
	const process = new JailProcess(addon as Addon, 99, { jail: LAUNCHED, token: TOKEN }, LAUNCHED);
	const arrive = (type: number, sequence: number, payload: Uint8Array) =>
		control.arrive(
			Buffer.from(encodeFrame({ type, sequence, jail: LAUNCHED, token: TOKEN, descriptors: 0 }, payload)),
			[],
		);
	return { process, arrive, gone: () => control.arrive(null, []), sent: control.sent };
}

const request: ExecRequest = {
	program: { bytes: new Uint8Array(8), reports: [], slots: new Map() },
	descriptors: [0, 1, 2],
	last: true,
};
const exited = new Uint8Array(48);
const failed = new Uint8Array(new Uint32Array([2, 3, 13, 0]).buffer);
const failure: StepFailure = { section: "child", step: 3, error: 13, denied: 0 };
const ended = { status: 9, cleanupFailures: 0, reports: new Map() };

/** The reply, where there is one by now. */
function settled(reply: Promise<ExecReply>): Promise<ExecReply | undefined> {
	return Promise.race([reply, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))]);
}

describe("a jail", () => {
	it("runs one program at a time", async () => {
		const { process, arrive } = jail();
		const reply = process.exec(request);
		expect(() => process.exec(request)).toThrow(expect.objectContaining({ code: "JAIL_CLOSED" }));
		arrive(FRAME.exited, LAUNCHED + 1, exited);
		expect(await reply).toMatchObject({ kind: "exited", exit: { status: 0 } });
		const next = process.exec(request);
		arrive(FRAME.exited, LAUNCHED + 2, exited);
		expect(await next).toMatchObject({ kind: "exited" });
	});

	it("takes no answer to another request, and none that is malformed", async () => {
		const { process, arrive } = jail();
		const reply = process.exec(request);
		arrive(FRAME.exited, LAUNCHED + 2, exited);
		arrive(FRAME.exited, LAUNCHED + 1, exited.subarray(1));
		arrive(FRAME.failed, LAUNCHED + 2, failed);
		arrive(99, LAUNCHED + 1, exited);
		expect(await settled(reply)).toBeUndefined();
	});

	it("tells a program's failed step from the jail's own", async () => {
		const ofProgram = jail();
		const first = ofProgram.process.exec(request);
		ofProgram.arrive(FRAME.failed, LAUNCHED + 1, failed);
		expect(await first).toEqual({ kind: "failed", of: "workload", failure });

		const ofJail = jail();
		const second = ofJail.process.exec(request);
		ofJail.arrive(FRAME.failed, LAUNCHED, failed);
		ofJail.gone();
		expect(await settled(second)).toBeUndefined();
		ofJail.process.ended(ended);
		expect(await second).toEqual({ kind: "failed", of: "jail", failure });
	});

	it("gives a reply up only when pid 1 is gone and the zygote has said all it knows", async () => {
		for (const order of ["gone first", "ended first"]) {
			const { process, gone } = jail();
			const reply = process.exec(request);
			if (order === "gone first") gone();
			else process.ended(ended);
			expect(await settled(reply)).toBeUndefined();
			if (order === "gone first") process.ended(ended);
			else gone();
			expect(await reply).toEqual({ kind: "lost" });
			expect(await process.end).toBe(ended);
		}
	});

	it("that is closed loses its program, and one asked of it later", async () => {
		const { process } = jail();
		const reply = process.exec(request);
		process.close();
		process.ended(undefined);
		expect(await reply).toEqual({ kind: "lost" });
		expect(await process.end).toBeUndefined();
		expect(await process.exec(request)).toEqual({ kind: "lost" });
	});

	it("numbers every request higher than the one before", () => {
		const { process, sent } = jail();
		void process.exec(request);
		process.signal(15);
		process.resize(24, 80);
		expect(sent.map((message) => message[8])).toEqual([11, 12, 13]);
	});
});
