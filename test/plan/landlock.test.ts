import { describe, expect, it } from "vitest";
import type { Spec } from "../../src/oci/types.ts";
import { landlockRules, rulesetSteps } from "../../src/plan/landlock.ts";
import type { Bytes, Step } from "../../src/plan/types.ts";
import { policyOf } from "../helpers/policy.ts";
import { file, folder } from "../oci/fixtures.ts";
import { planned } from "./fixtures.ts";

/** linux/landlock.h */
const EXECUTE = 1;
const WRITE_FILE = 2;
const READ_FILE = 4;
const READ_DIR = 8;
const MAKE_CHAR = 0x40;
const MAKE_BLOCK = 0x800;
const REFER = 0x2000;
const TRUNCATE = 0x4000;
const IOCTL_DEV = 0x8000;
const READ = EXECUTE | READ_FILE | READ_DIR;
const WRITE = 0xffff & ~(MAKE_CHAR | MAKE_BLOCK);
const OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

const POLICY = policyOf({
	file: {
		writablePaths: ["/out", "/out/ro/log", "/app.log"],
		readablePaths: ["/out/ro"],
		maskedPaths: ["/hidden"],
		tmpfs: [{ path: "/scratch", sizeBytes: 4096 }],
	},
});
const PATHS = [...["/out", "/out/ro", "/out/ro/log", "/hidden", "/scratch"].map(folder), file("/app.log")];

function rules(spec: Spec): Readonly<Record<string, number>> {
	const { facts } = planned(POLICY, { paths: PATHS });
	return Object.fromEntries(landlockRules(spec, facts.paths).map(({ path, rights }) => [path, rights]));
}

function first(steps: readonly Step[]): { readonly bytes: Uint8Array; readonly size: unknown } {
	const [attribute, size] = steps[0]?.args ?? [];
	return { bytes: (attribute as Bytes).bytes, size };
}

describe("landlockRules", () => {
	const { spec } = planned(POLICY, { paths: PATHS });

	it("let the root be read and executed, and what the policy makes writable be written", () => {
		expect(rules(spec)).toMatchObject({
			"/": READ,
			"/out": WRITE,
			"/scratch": WRITE,
			"/app.log": OF_FILES,
			"/dev": WRITE,
			"/proc": READ | WRITE_FILE | TRUNCATE,
		});
	});

	it("say nothing that a rule above says already: the kernel adds up the rules on the way to the root", () => {
		const found = rules(spec);
		const above = (path: string) =>
			Object.entries(found)
				.filter(([one]) => one === path || one === "/" || path.startsWith(`${one}/`))
				.reduce((sum, [, rights]) => sum | rights, 0);
		const implied = ["/out/ro/log", "/dev/null", "/dev/tty", "/dev/pts", "/dev/shm"];
		expect(implied.filter((path) => path in found)).toEqual([]);
		for (const path of implied) expect(above(path) & WRITE).toBe(WRITE);
		expect(above("/etc/passwd")).toBe(READ);
	});

	it("name message queues by themselves: mq_open(2) reaches them by no folder", () => {
		expect(rules(spec)["/dev/mqueue"]).toBe(WRITE);
	});

	it("add nothing for what is read-only or masked", () => {
		expect(Object.keys(rules(spec)).filter((path) => ["/out/ro", "/hidden", "/sys", "/run"].includes(path))).toEqual(
			[],
		);
	});

	it("let a writable root be written, without device nodes", () => {
		expect(rules({ ...spec, root: { path: "/", readonly: false } })["/"]).toBe(WRITE);
	});

	it("give the rights of a file to a source that nobody looked at, unless it is bound with all below it", () => {
		const bind = (destination: string, options: readonly string[]) => ({ destination, source: destination, options });
		const mounts = [bind("/x", ["bind", "rw"]), bind("/y", ["rbind", "rw"])];
		expect(rules({ ...spec, mounts })).toEqual({ "/": READ, "/x": OF_FILES, "/y": WRITE });
	});

	it("with an allow-list let only its files be executed", () => {
		const { facts } = planned(POLICY, { paths: PATHS });
		const program = { path: "/bin/sh", real: "/usr/bin/dash", interpreters: [], loaders: ["/lib/ld.so"] };
		const all = landlockRules(spec, facts.paths, [program]);
		const executable = all.filter(({ rights }) => (rights & EXECUTE) !== 0);
		expect(executable).toEqual([
			{ path: "/usr/bin/dash", rights: EXECUTE | READ_FILE },
			{ path: "/lib/ld.so", rights: EXECUTE | READ_FILE },
		]);
		expect(all.find(({ path }) => path === "/out")?.rights).toBe(WRITE & ~EXECUTE);
	});
});

describe("rulesetSteps", () => {
	const { spec, facts } = planned(POLICY, { paths: PATHS });
	const rightsOf = (abi: number) => first(rulesetSteps(spec, { ...facts, landlockAbi: abi })).bytes;

	it.each([
		[1, 0x1fff, 8],
		[2, 0x3fff, 8],
		[3, 0x7fff, 8],
		[4, 0x7fff, 16],
		[5, 0xffff, 16],
		[6, 0xffff, 24],
		[7, 0xffff, 24],
	])("with ABI %i handle rights %i in a structure of %i bytes", (abi, rights, size) => {
		const attribute = first(rulesetSteps(spec, { ...facts, landlockAbi: abi }));
		expect([attribute.bytes.length, attribute.size]).toEqual([size, size]);
		expect(new DataView(attribute.bytes.buffer).getBigUint64(0, true)).toBe(BigInt(rights));
	});

	it("scope abstract sockets and signals from ABI 6 on, and handle no network", () => {
		expect([...rightsOf(6).subarray(8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
	});

	it("ask for no right that the ABI does not know: the kernel would refuse the rule", () => {
		for (const [abi, unknown] of [
			[1, REFER | TRUNCATE | IOCTL_DEV],
			[2, TRUNCATE | IOCTL_DEV],
			[4, IOCTL_DEV],
		] as const) {
			const added = rulesetSteps(spec, { ...facts, landlockAbi: abi }).filter(
				({ call }) => call === "landlock_add_rule",
			);
			expect(added.length).toBeGreaterThan(5);
			for (const { args } of added) {
				const { bytes, patches } = args[2] as Bytes;
				expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) & unknown).toBe(0);
				expect([bytes.length, patches]).toEqual([12, [{ at: 8, kind: "slot", slot: "beneath" }]]);
			}
		}
	});
});
