import { execFileSync } from "node:child_process";
import {
	closeSync,
	linkSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { FileStore } from "../../src/server/file-store.ts";
import { SourceFiles } from "../../src/server/source-files.ts";

const folder = mkdtempSync(join(tmpdir(), "store-"));
const shelf = join(folder, "shelf");
mkdirSync(shelf);
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
	["in memory", {}],
	["in a folder", { folder: shelf }],
])("files stored %s", (_where, where) => {
	it("come back as they were, by their id, until they are deleted", () => {
		const store = new FileStore({ maxBytes: 1000, ...where });
		const bytes = Buffer.from([0, 255, 10, 13]);
		const id = store.add("a name", bytes);
		expect(store.list()).toEqual({ [id]: "a name" });
		expect(store.read(id)).toEqual({ name: "a name", bytes });
		expect(readdirSync(shelf)).toEqual([]); // no name on the host
		store.remove(id);
		expect(() => store.read(id)).toThrow("there is no file");
		expect(() => store.remove(id)).toThrow("there is no file");
		expect(store.bytes).toBe(0);
		store.close();
	});

	it("are read by several at once, each from the start, and outlive their deletion", () => {
		const store = new FileStore({ maxBytes: 1000, ...where });
		const id = store.add("x", Buffer.from("hello"));
		const [one, two] = [store.open(id), store.open(id)];
		store.remove(id);
		expect(readFileSync(one, "utf8")).toBe("hello");
		expect(readFileSync(two, "utf8")).toBe("hello");
		closeSync(one);
		closeSync(two);
		store.close();
	});

	it("have a limit together", () => {
		const store = new FileStore({ maxBytes: 10, ...where });
		const id = store.add("x", Buffer.alloc(6));
		expect(() => store.add("y", Buffer.alloc(5))).toThrow("holds at most 10 bytes");
		store.remove(id);
		expect(() => store.add("y", Buffer.alloc(5))).not.toThrow();
		store.close();
	});
});

describe("a store's folder", () => {
	it("that is none is refused at the start", () => {
		expect(() => new FileStore({ maxBytes: 1, folder: join(folder, "none") })).toThrow("ENOENT");
	});
});

describe("source files", () => {
	const open = join(folder, "open");
	const secret = join(folder, "secret");
	mkdirSync(open);
	mkdirSync(`${open}-too`);
	writeFileSync(secret, "secret");
	writeFileSync(join(open, "file"), "public");
	writeFileSync(join(`${open}-too`, "file"), "secret");
	symlinkSync(secret, join(open, "link"));
	symlinkSync("file", join(open, "inner"));
	symlinkSync(folder, join(open, "up"));
	execFileSync("mkfifo", [join(open, "fifo")]);
	const sources = new SourceFiles([open]);
	const read = (path: string) => {
		const descriptor = sources.open(path, "cmd[0].files[0].src");
		try {
			return readFileSync(descriptor, "utf8");
		} finally {
			closeSync(descriptor);
		}
	};

	it("are had below a prefix, by a link that stays below it too", () => {
		expect(read(join(open, "file"))).toBe("public");
		expect(read(join(open, "inner"))).toBe("public");
	});

	it.each([
		["another file", secret],
		["a link that leads out", join(open, "link")],
		["a folder link that leads out", join(open, "up/secret")],
		["dots", `${open}/../secret`],
		["a prefix of the name only", `${open}-too/file`],
		["the prefix itself", open],
		["a relative path", "open/file"],
		["nothing", join(open, "none")],
		["a FIFO, without waiting", join(open, "fifo")],
	])("are not %s", (_what, path) => {
		expect(() => read(path)).toThrow("cmd[0].files[0].src");
	});

	it("are none without a prefix", () => {
		expect(() => new SourceFiles([]).open(secret, "x")).toThrow("without --file-prefix");
	});

	it("cannot be told from others by a hard link: the folder is its administrator's", () => {
		linkSync(secret, join(open, "hard"));
		expect(read(join(open, "hard"))).toBe("secret");
	});
});
