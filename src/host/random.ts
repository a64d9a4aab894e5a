/** Random bytes of the kernel's. By its device: Node's crypto takes milliseconds to load, and nothing else here needs it. */

import { closeSync, openSync, readSync } from "node:fs";

/** Enough for some thirty jails: the device is opened once for all of them. */
const POOL = 1024;

const pool: { bytes: Buffer; used: number } = { bytes: Buffer.alloc(0), used: 0 };

function refill(): void {
	const bytes = Buffer.alloc(POOL);
	const device = openSync("/dev/urandom", "r");
	try {
		// Up to 256 bytes come whole (random(4)); beyond, a signal may cut the read short.
		for (let read = 0; read < POOL; ) read += readSync(device, bytes, read, POOL - read, null);
	} finally {
		closeSync(device);
	}
	pool.bytes = bytes;
	pool.used = 0;
}

/**
 * Bytes that nobody can guess, each given out once.
 *
 * @throws Error with `code` where /dev/urandom cannot be read
 */
export function randomBytes(size: number): Buffer {
	if (size > POOL) throw new RangeError(`${size} random bytes`);
	if (pool.used + size > pool.bytes.length) refill();
	const taken = Buffer.from(pool.bytes.subarray(pool.used, pool.used + size));
	pool.bytes.fill(0, pool.used, pool.used + size);
	pool.used += size;
	return taken;
}
