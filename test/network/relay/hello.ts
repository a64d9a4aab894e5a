/** ClientHellos, built by hand. */

function vector(width: number, body: Buffer): Buffer {
	const length = Buffer.alloc(width);
	length.writeUIntBE(body.length, 0, width);
	return Buffer.concat([length, body]);
}

export function extension(type: number, body: Buffer): Buffer {
	return Buffer.concat([Buffer.from([type >> 8, type & 255]), vector(2, body)]);
}

export function serverNames(...names: readonly string[]): Buffer {
	return extension(
		0,
		vector(
			2,
			Buffer.concat(names.map((name) => Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(name, "latin1"))]))),
		),
	);
}

/** A handshake message. */
export function clientHello(extensions: readonly Buffer[] | undefined): Buffer {
	const body = [
		Buffer.from([3, 3]),
		Buffer.alloc(32, 7),
		vector(1, Buffer.alloc(32)),
		vector(2, Buffer.from([0x13, 1])),
		vector(1, Buffer.from([0])),
	];
	if (extensions !== undefined) body.push(vector(2, Buffer.concat(extensions)));
	return Buffer.concat([Buffer.from([1]), vector(3, Buffer.concat(body))]);
}

/** The message in records of at most `size` bytes. */
export function records(message: Buffer, size = 16_384): Buffer {
	const parts: Buffer[] = [];
	for (let at = 0; at < message.length; at += size)
		parts.push(Buffer.concat([Buffer.from([22, 3, 1]), vector(2, message.subarray(at, at + size))]));
	return Buffer.concat(parts);
}
