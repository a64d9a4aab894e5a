import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FRAME, FrameReader, frame } from "../../../src/server/broker/frames.ts";

describe("frames", () => {
	it("come out as they went in, however the stream is cut", () => {
		const frames = fc.array(fc.tuple(fc.constantFrom(...Object.values(FRAME)), fc.uint8Array({ maxLength: 300 })));
		fc.assert(
			fc.property(frames, fc.integer({ min: 1, max: 64 }), (sent, size) => {
				const stream = Buffer.concat(sent.map(([type, payload]) => frame(type, payload)));
				const got: [number, Uint8Array][] = [];
				const reader = new FrameReader((type, payload) => got.push([type, new Uint8Array(payload)]));
				for (let at = 0; at < stream.length; at += size) reader.push(stream.subarray(at, at + size));
				expect(got).toEqual(sent);
			}),
		);
	});

	it("that are too long are refused before they arrive", () => {
		const reader = new FrameReader(() => {});
		expect(() => reader.push(Buffer.from([FRAME.input, 0xff, 0xff, 0xff, 0xff]))).toThrow(RangeError);
	});
});
