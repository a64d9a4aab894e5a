/** Where a text stands in bytes. */
export function placesOf(text: string, bytes: Uint8Array): readonly number[] {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
	const places: number[] = [];
	for (let at = buffer.indexOf(text); at >= 0; at = buffer.indexOf(text, at + 1)) places.push(at);
	return places;
}
