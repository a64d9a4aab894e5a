import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	decodeDenial,
	decodeEnd,
	decodeExit,
	decodeFailure,
	decodeFrame,
	decodeHello,
	encodeFrame,
	encodeResize,
	encodeSignal,
} from "../../src/executor/frames.ts";
import { AT } from "./offsets.ts";

const TOKEN = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

/** A structure: numbers by name, of 2, 4 or 8 bytes. */
function structure(
	size: number,
	fields: readonly (readonly [at: number, bytes: 2 | 4 | 8, value: number])[],
): Uint8Array {
	const view = new DataView(new ArrayBuffer(size));
	for (const [at, bytes, value] of fields) {
		if (bytes === 2) view.setUint16(at, value, true);
		else if (bytes === 4) view.setUint32(at, value, true);
		else view.setBigUint64(at, BigInt(value), true);
	}
	return new Uint8Array(view.buffer);
}

const header = { type: 2, sequence: 7, jail: 9, token: TOKEN, descriptors: 4 };
const payload = new Uint8Array([1, 2, 3]);

describe("frames", () => {
	it("begin with a header as in wire.h", () => {
		const bytes = encodeFrame({ ...header, memfd: true, last: true }, payload);
		const view = new DataView(bytes.buffer);
		const { frame_header: at } = AT;
		expect(view.getUint32(at.length, true)).toBe(35);
		expect(view.getUint16(at.type, true)).toBe(2);
		expect([bytes[at.flags], bytes[at.descriptors]]).toEqual([3, 4]);
		expect([view.getUint32(at.sequence, true), view.getUint32(at.jail, true)]).toEqual([7, 9]);
		expect(bytes.slice(at.token, at.token + 16)).toEqual(TOKEN);
		expect(bytes.slice(32)).toEqual(payload);
	});

	it("are read as they were written, also from inside a larger buffer", () => {
		const bytes = encodeFrame(header, payload);
		const larger = new Uint8Array(100);
		larger.set(bytes, 11);
		const frame = decodeFrame(larger.subarray(11, 11 + bytes.length));
		const { token: _, ...received } = header;
		expect(frame).toEqual({ header: received, payload });
	});

	it("are none where they are cut short, or are longer than they say", () => {
		const bytes = encodeFrame(header, payload);
		for (let length = 0; length < bytes.length; length++)
			expect(decodeFrame(bytes.subarray(0, length))).toBeUndefined();
		expect(decodeFrame(new Uint8Array([...bytes, 0]))).toBeUndefined();
	});
});

describe("what the executor says", () => {
	it("when it starts", () => {
		const hello = (version: number) =>
			structure(16, [
				[AT.hello.version, 4, version],
				[AT.hello.landlock_abi, 4, 6],
			]);
		expect(decodeHello(hello(3))).toEqual({ version: 3, landlockAbi: 6 });
		expect(decodeHello(hello(3).subarray(1))).toBeUndefined();
		// Of another build: its programs are not ours.
		expect(decodeHello(hello(1))).toBeUndefined();
	});

	const failure = (section: number, step: number, error: number, denied = 0) =>
		structure(16, [
			[AT.failure.section, 4, section],
			[AT.failure.step, 4, step],
			[AT.failure.error, 4, error],
			[AT.failure.denied, 4, denied],
		]);

	it("when a step failed", () => {
		expect(decodeFailure(failure(2, 5, 2, 13))).toEqual({ section: "child", step: 5, error: 2, denied: 13 });
		expect(decodeFailure(failure(1, 0xffff_ffff, 1))).toEqual({ section: "parent", error: 1, denied: 0 });
		expect(decodeFailure(failure(0x12, 1, 1))).toEqual({ section: "child", kept: true, step: 1, error: 1, denied: 0 });
		expect(decodeFailure(failure(7, 0, 1))).toBeUndefined();
		expect(decodeFailure(failure(0, 0, 0))).toBeUndefined();
		expect(decodeFailure(failure(0, 0, 4096))).toBeUndefined();
		expect(decodeFailure(failure(0, 0, 1).subarray(0, 15))).toBeUndefined();
	});

	it("when a program has ended", () => {
		const exited = (cause: number, cgroup: number) =>
			structure(48, [
				[AT.exited.status, 4, 0x0700],
				[AT.exited.cause, 4, cause],
				[AT.exited.user_us, 8, 1500],
				[AT.exited.system_us, 8, 2500],
				[AT.exited.max_rss_bytes, 8, 2 ** 40],
				[AT.exited.wall_ns, 8, 3_000_000],
				[AT.exited.cgroup_cpu_ns, 8, cgroup],
			]);
		const plain = {
			status: 0x0700,
			cause: "none",
			userMs: 1.5,
			systemMs: 2.5,
			maxRssBytes: 2 ** 40,
			wallMs: 3,
			reports: new Map(),
		};
		expect(decodeExit(exited(0, 0))).toEqual(plain);
		expect(decodeExit(exited(1, 4_000_000))).toEqual({ ...plain, cause: "cpu-time", cgroupCpuMs: 4 });
		expect(decodeExit(exited(2, 0))).toMatchObject({ cause: "wall-time" });
		expect(decodeExit(exited(3, 0))).toMatchObject({ cause: "denied" });
		expect(decodeExit(exited(4, 0))).toBeUndefined();
		expect(decodeExit(exited(0, 0).subarray(8))).toBeUndefined();
	});

	it("when it refused a program", () => {
		const denied = structure(264, [
			[AT.denied.pid, 4, 17],
			[AT.denied.killed, 2, 1],
		]);
		denied.set(new TextEncoder().encode("/bin/é"), AT.denied.path);
		expect(decodeDenial(denied)).toEqual({ pid: 17, killed: true, launching: false, path: "/bin/é" });
		const nasty = new TextEncoder().encode("/x\u001b[31m\nvmjail: \u202e\u0000");
		denied.set(nasty, AT.denied.path);
		expect(decodeDenial(denied)?.path).toBe("/x\\x1b[31m\\x0avmjail: \\u{202e}");
		expect(decodeDenial(denied.fill(120, AT.denied.path))).toMatchObject({ path: "x".repeat(256) });
		expect(decodeDenial(denied.subarray(1))).toBeUndefined();
	});

	const ended = (failures: number, ...reports: readonly Uint8Array[]) =>
		new Uint8Array([
			...structure(24, [
				[AT.ended.status, 4, 9],
				[AT.ended.cleanup_failures, 4, failures],
			]).subarray(0, AT.ended.cleanup),
			...failure(4, 3, 16),
			...reports.flatMap((report) => [...report]),
		]);
	const report = (id: number, text: string) => {
		const bytes = structure(8 + Math.ceil(text.length / 8) * 8, [
			[AT.report.id, 2, id],
			[AT.report.length, 2, text.length],
		]);
		bytes.set(new TextEncoder().encode(text), 8);
		return bytes;
	};

	it("when a jail has ended, with what was read", () => {
		const { reports, ...rest } = decodeEnd(ended(0, report(1, "123456789"), report(0, ""), report(4, "ab\n"))) ?? {};
		expect(rest).toEqual({ status: 9, cleanupFailures: 0 });
		expect([...(reports ?? [])].map(([id, bytes]) => [id, new TextDecoder().decode(bytes)])).toEqual([
			[1, "123456789"],
			[0, ""],
			[4, "ab\n"],
		]);
	});

	it("when cleaning up failed", () => {
		expect(decodeEnd(ended(2))).toMatchObject({
			cleanupFailures: 2,
			cleanup: { section: "cleanup", step: 3, error: 16 },
		});
		expect(decodeEnd(ended(2).subarray(1))).toBeUndefined();
	});

	it("may be anything without harm", () => {
		const decoders = [decodeFrame, decodeHello, decodeFailure, decodeExit, decodeEnd, decodeDenial];
		const messages = fc.oneof(
			fc.uint8Array({ maxLength: 300 }),
			fc.uint8Array({ minLength: 264, maxLength: 264 }),
			fc.uint8Array({ maxLength: 64 }).map((tail) => ended(1, tail)),
			fc.uint8Array({ minLength: 16, maxLength: 16 }),
		);
		fc.assert(
			fc.property(messages, fc.integer({ min: 0, max: 8 }), (message, offset) => {
				const inside = new Uint8Array(message.length + 16);
				inside.set(message, offset);
				for (const decode of decoders) decode(inside.subarray(offset, offset + message.length));
			}),
			{ numRuns: 2000 },
		);
	});
});

describe("what pid 1 is asked", () => {
	it("is laid out as in wire.h", () => {
		const signal = new DataView(encodeSignal(15, true).buffer);
		expect([signal.byteLength, signal.getUint32(AT.signal_request.signal, true)]).toEqual([8, 15]);
		expect(signal.getUint32(AT.signal_request.everyone, true)).toBe(1);
		expect(encodeSignal(15, false)[AT.signal_request.everyone]).toBe(0);
		const size = new DataView(encodeResize(24, 80).buffer);
		expect(size.byteLength).toBe(8);
		expect([size.getUint16(AT.resize_request.rows, true), size.getUint16(AT.resize_request.columns, true)]).toEqual([
			24, 80,
		]);
	});
});
