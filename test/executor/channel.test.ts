import { closeSync, fstatSync, openSync } from "node:fs";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Addon } from "../../src/executor/addon.ts";
import { Channel, type Incoming } from "../../src/executor/channel.ts";
import { encodeFrame } from "../../src/executor/frames.ts";
import { MAX_FRAME, SIZE } from "../../src/executor/wire.ts";
import { SOON } from "../helpers/patience.ts";

const TOKEN = new Uint8Array(16).fill(7);

interface Sent {
	readonly message: Uint8Array;
	readonly descriptors: readonly number[];
}

/** A socket that the test plays the other side of. */
class FakeAddon implements Pick<Addon, "memfd" | "send" | "watch"> {
	readonly sent: Sent[] = [];
	readonly actions: string[] = [];
	/** What the next sends answer: false (full), an errno, or true. */
	readonly answers: (boolean | string)[] = [];
	arrive: (message: Buffer | null, descriptors: number[]) => void = () => {};

	memfd = (): number => openSync("/dev/null", "r");

	send(_socket: number, message: Uint8Array, descriptors: readonly number[]): boolean {
		const answer = this.answers.shift() ?? true;
		if (typeof answer === "string") throw Object.assign(new Error(answer), { code: answer });
		if (answer) this.sent.push({ message, descriptors });
		return answer;
	}

	watch(_socket: number, callback: (message: Buffer | null, descriptors: number[]) => void) {
		this.arrive = callback;
		return (action: string) => void this.actions.push(action);
	}
}

function isOpen(descriptor: number): boolean {
	try {
		fstatSync(descriptor);
		return true;
	} catch {
		return false;
	}
}

const frame = (descriptors: number): Buffer =>
	Buffer.from(encodeFrame({ type: 18, sequence: 1, jail: 1, token: TOKEN, descriptors }, new Uint8Array(4)));
const request = (payload = new Uint8Array(8)) => ({ type: 2, sequence: 3, payload });

let addon = new FakeAddon();
let frames: Incoming[] = [];
let ends = 0;
let channel: Channel;

beforeEach(() => {
	addon = new FakeAddon();
	frames = [];
	ends = 0;
	const on = { frame: (got: Incoming) => void frames.push(got), end: () => void ends++ };
	channel = new Channel(addon, 99, { jail: 5, token: TOKEN }, on);
});

describe("a channel that sends", () => {
	it("puts jail, token, sequence and the number of descriptors into the header", () => {
		const descriptor = openSync("/dev/null", "r");
		channel.send({ ...request(), descriptors: [descriptor], close: [descriptor], last: true });
		const [{ message, descriptors } = { message: new Uint8Array(), descriptors: [] }] = addon.sent;
		const view = new DataView(message.buffer);
		expect([view.getUint16(4, true), message[6], message[7]]).toEqual([2, 2, 1]);
		expect([view.getUint32(8, true), view.getUint32(12, true)]).toEqual([3, 5]);
		expect(message.slice(16, 32)).toEqual(TOKEN);
		expect(descriptors).toEqual([descriptor]);
		expect(isOpen(descriptor)).toBe(false);
	});

	it("puts what is too large for a frame into a memfd, which is closed here", () => {
		const most = MAX_FRAME - SIZE.frameHeader;
		channel.send(request(new Uint8Array(most)));
		channel.send(request(new Uint8Array(most + 1)));
		expect(addon.sent.map(({ message, descriptors }) => [message.length, descriptors.length, message[6]])).toEqual([
			[MAX_FRAME, 0, 0],
			[SIZE.frameHeader, 1, 1],
		]);
		expect(isOpen(addon.sent[1]?.descriptors[0] ?? 0)).toBe(false);
	});

	it("waits while the socket is full, and keeps the order", async () => {
		const descriptor = openSync("/dev/null", "r");
		addon.answers.push(false, false);
		channel.send({ ...request(), close: [descriptor] });
		channel.send({ ...request(), sequence: 4 });
		expect(addon.sent).toEqual([]);
		expect(isOpen(descriptor)).toBe(true);
		await vi.waitFor(() => expect(addon.sent.map(({ message }) => message[8])).toEqual([3, 4]), SOON);
		expect(isOpen(descriptor)).toBe(false);
	});

	it.each(["EPIPE", "ECONNRESET"])("leaves %s to the watch, which says that the peer is gone", (code) => {
		addon.answers.push(code);
		channel.send(request());
		channel.send(request());
		expect([addon.sent.length, addon.actions, ends]).toEqual([1, [], 0]);
		addon.arrive(null, []);
		expect([addon.actions, ends]).toEqual([["close"], 1]);
	});

	it("ends where something cannot be sent at all, once, and drops what follows", async () => {
		const descriptor = openSync("/dev/null", "r");
		addon.answers.push("EBADF");
		channel.send(request());
		channel.send({ ...request(), close: [descriptor] });
		await Promise.resolve();
		expect([addon.sent, addon.actions, ends]).toEqual([[], ["close"], 1]);
		expect(isOpen(descriptor)).toBe(false);
	});
});

describe("a channel that receives", () => {
	it("hands over frames with their descriptors", () => {
		addon.arrive(frame(2), [11, 12]);
		expect(frames).toMatchObject([{ header: { type: 18, sequence: 1 }, descriptors: [11, 12] }]);
	});

	it.each<[string, Buffer]>([
		["is no frame", Buffer.from("hello")],
		["is cut short", frame(1).subarray(0, 33)],
		["has another number of descriptors than it says", frame(0)],
	])("ends where what arrives %s, and closes what came with it", (_, message) => {
		const descriptor = openSync("/dev/null", "r");
		addon.arrive(message, [descriptor]);
		expect([frames, addon.actions, ends]).toEqual([[], ["close"], 1]);
		expect(isOpen(descriptor)).toBe(false);
	});

	it("uses its control no more once it is closed", () => {
		channel.ref();
		channel.unref();
		channel.close();
		channel.close();
		channel.ref();
		channel.unref();
		expect(addon.actions).toEqual(["ref", "unref", "close"]);
		expect(() => closeSync(99)).toThrow();
	});
});
