import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { guardOf, type RequestHead, readToken } from "../../src/server/auth.ts";
import { parseListen, refuseOpenDoor } from "../../src/server/listen.ts";
import { settingsOf } from "../../src/server/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "door-"));
afterAll(() => rmSync(folder, { recursive: true }));

const head = (given: Partial<RequestHead>): RequestHead => ({
	authorization: undefined,
	host: "localhost:5050",
	origin: undefined,
	fetchSite: undefined,
	...given,
});

describe("--listen", () => {
	it.each([
		["127.0.0.1:5050", { kind: "tcp", host: "127.0.0.1", port: 5050 }],
		["localhost:80", { kind: "tcp", host: "127.0.0.1", port: 80 }],
		["[::1]:5050", { kind: "tcp", host: "::1", port: 5050 }],
		["unix:/run/vmjail.sock", { kind: "unix", path: "/run/vmjail.sock" }],
	])("%s", (text, expected) => expect(parseListen(text)).toEqual(expected));

	it.each([
		"",
		"5050",
		":5050",
		"127.0.0.1",
		"127.0.0.1:65536",
		"[127.0.0.1]:1",
		"::1:5050",
		"example.org:80",
		"unix:x",
	])("refuses %j", (text) => expect(() => parseListen(text)).toThrow(`--listen ${text}:`));

	it("beyond this machine needs a token", () => {
		for (const text of ["0.0.0.0:5050", "[::]:5050", "10.0.0.1:5050"]) {
			expect(() => refuseOpenDoor(parseListen(text), false)).toThrow("there is no token");
			expect(() => refuseOpenDoor(parseListen(text), true)).not.toThrow();
		}
		for (const text of ["127.0.0.1:5050", "127.1.2.3:1", "[::1]:1", "unix:/x"]) {
			expect(() => refuseOpenDoor(parseListen(text), false)).not.toThrow();
		}
	});
});

describe("a token", () => {
	const guard = guardOf("0123456789abcdef", true);

	it("opens, and nothing else does", () => {
		expect(() => guard(head({ authorization: "Bearer 0123456789abcdef" }))).not.toThrow();
		for (const authorization of [undefined, "", "Bearer ", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef"]) {
			expect(() => guard(head({ authorization }))).toThrow("Authorization");
		}
	});

	it("is read from a file that only its owner can open", () => {
		const file = join(folder, "token");
		writeFileSync(file, "0123456789abcdef\n", { mode: 0o600 });
		expect(readToken(file)).toBe("0123456789abcdef");
		chmodSync(file, 0o640);
		expect(() => readToken(file)).toThrow("other users can open it");
		chmodSync(file, 0o600);
		writeFileSync(file, "short");
		expect(() => readToken(file)).toThrow("fewer than 16");
		writeFileSync(file, "two words that are long enough");
		expect(() => readToken(file)).toThrow("not one word");
		expect(() => readToken(join(folder, "none"))).toThrow("ENOENT");
	});
});

describe("without a token", () => {
	const guard = guardOf(undefined, true);

	it("programs on this machine may ask", () => {
		for (const host of ["localhost", "localhost:5050", "127.0.0.1:5050", "[::1]:5050", "LOCALHOST.:1"]) {
			expect(() => guard(head({ host }))).not.toThrow();
		}
	});

	it("web pages may not, by their origin or by a name that leads here", () => {
		expect(() => guard(head({ origin: "http://evil.example" }))).toThrow("web pages");
		expect(() => guard(head({ origin: "null" }))).toThrow("web pages");
		expect(() => guard(head({ fetchSite: "cross-site" }))).toThrow("web pages");
		expect(() => guard(head({ host: "evil.example:5050" }))).toThrow("web pages");
		expect(() => guard(head({ host: "127.0.0.1.evil.example" }))).toThrow("web pages");
		expect(() => guard(head({ host: undefined }))).toThrow("web pages");
	});
});

describe("settings", () => {
	it("have defaults", () => {
		expect(settingsOf({}, 4)).toMatchObject({ parallelism: 4, queueLength: 1024, logLevel: "info", filePrefixes: [] });
	});

	it.each([
		[{ parallelism: "0" }, "--parallelism 0"],
		[{ parallelism: "2x" }, "--parallelism 2x"],
		[{ queue: "-1" }, "--queue -1"],
		[{ storeMax: "64" }, "--store-max 64"],
		[{ maxBody: "64MB" }, "--max-body 64MB"],
		[{ socketMode: "0888" }, "--socket-mode 0888"],
		[{ logLevel: "loud" }, "--log-level loud"],
	])("%o is refused", (flags, message) => expect(() => settingsOf(flags, 1)).toThrow(message));
});
