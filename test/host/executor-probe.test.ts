import { describe, expect, it } from "vitest";
import { type ExecutorProbe, landlockAbiFrom, parseExecutorProbe } from "../../src/host/executor-probe.ts";
import type { FileStat } from "../../src/host/fs.ts";
import { type CacheFs, type CacheKey, cachedProbe, cacheFolder } from "../../src/host/probe-cache.ts";
import { fakeFs } from "./fake-fs.ts";

const line =
	'{"landlockAbi":7,"seccompActions":["errno","allow"],"userNamespace":{"ok":false,"step":"mount","errno":"EACCES"}}';
const probe: ExecutorProbe = parseExecutorProbe(line);

describe("the executor's probe", () => {
	it("is one line of JSON", () => {
		const userNamespace = { ok: false, step: "mount", errno: "EACCES" };
		expect(probe).toEqual({ landlockAbi: 7, seccompActions: ["errno", "allow"], userNamespace });
		expect(landlockAbiFrom(`${line}\n`)).toBe(7);
	});

	it.each([
		"",
		"{",
		"null",
		"[]",
		'{"landlockAbi":-1,"seccompActions":[],"userNamespace":{"ok":true}}',
		'{"landlockAbi":1.5,"seccompActions":[],"userNamespace":{"ok":true}}',
		'{"landlockAbi":1,"seccompActions":[1],"userNamespace":{"ok":true}}',
		'{"landlockAbi":1,"seccompActions":[]}',
		'{"landlockAbi":1,"seccompActions":[],"userNamespace":{"ok":"yes"}}',
	])("refuses %s", (text) => {
		expect(() => parseExecutorProbe(text)).toThrow(expect.objectContaining({ code: "EXECUTOR_FAILED" }));
	});
});

describe("the cache of the probe", () => {
	const key: CacheKey = {
		env: { XDG_RUNTIME_DIR: "/run/user/7" },
		uid: 7,
		kernelRelease: "6.1",
		executorModifiedMs: 12.7,
	};
	const folder = "/run/user/7/vmjail";
	const file = `${folder}/probe-6.1-b00t-12.json`;

	interface Disk {
		readonly fs: CacheFs;
		readonly files: Map<string, string>;
	}

	/** `owner`: of everything below /run; `mode`: of the cache's own folder and file. */
	function disk(initial: Readonly<Record<string, string>> = {}, owner = 7, mode = 0o600): Disk {
		const files = new Map(Object.entries(initial));
		const stat: FileStat = { kind: "file", uid: owner, gid: owner, mode, major: 0, minor: 0, modifiedMs: 0 };
		const base = fakeFs({ "/proc/sys/kernel/random/boot_id": "b00t\n" });
		const fs: CacheFs = {
			...base,
			readFile: (path) => files.get(path) ?? base.readFile(path),
			readDirectory: () => [...files.keys()].map((path) => path.slice(folder.length + 1)),
			lstat: (path) => (path === file && !files.has(path) ? undefined : stat),
			makeFolder: () => {},
			replaceFile: (path, content) => files.set(path, content),
			remove: (path) => files.delete(path),
		};
		return { fs, files };
	}

	function counted(): { readonly run: () => ExecutorProbe; readonly runs: () => number } {
		const calls: number[] = [];
		return {
			run: () => {
				calls.push(1);
				return probe;
			},
			runs: () => calls.length,
		};
	}

	it("runs the executor once per boot and build, and clears away older results", () => {
		const { fs, files } = disk({ [`${folder}/probe-old.json`]: "{}", [`${folder}/else`]: "kept" });
		const { run, runs } = counted();
		expect([cachedProbe(run, key, fs), cachedProbe(run, key, fs)]).toEqual([probe, probe]);
		expect(runs()).toBe(1);
		expect([...files.keys()].sort()).toEqual([`${folder}/else`, file].sort());
		cachedProbe(run, { ...key, executorModifiedMs: 99 }, fs);
		expect(runs()).toBe(2);
	});

	it.each([
		["of another user", { uid: 8 }, 0o600],
		["that others may write", {}, 0o622],
	])("does not believe a file %s", (_what, change, mode) => {
		const { fs } = disk({ [file]: line.replace("7", "1") }, 7, mode);
		const { run, runs } = counted();
		expect(cachedProbe(run, { ...key, ...change }, fs).landlockAbi).toBe(7);
		expect(runs()).toBe(1);
	});

	it("leaves nothing in a folder of another user (sudo)", () => {
		const { fs, files } = disk({}, 1000);
		cachedProbe(counted().run, { ...key, uid: 0 }, fs);
		expect(files.size).toBe(0);
	});

	it("goes on without a cache where it cannot be read or written", () => {
		const broken = disk({ [file]: "half a li" });
		expect(cachedProbe(counted().run, key, broken.fs)).toEqual(probe);
		const { fs } = disk();
		const full: CacheFs = {
			...fs,
			replaceFile: () => {
				throw new Error("ENOSPC");
			},
		};
		expect(cachedProbe(counted().run, key, full)).toEqual(probe);
	});

	it.each([
		[{ XDG_RUNTIME_DIR: "/run/user/7", HOME: "/h" }, "/run/user/7/vmjail"],
		[{ XDG_RUNTIME_DIR: "", XDG_CACHE_HOME: "/c" }, "/c/vmjail"],
		[{ HOME: "/h" }, "/h/.cache/vmjail"],
		[{ XDG_RUNTIME_DIR: "relative" }, undefined],
		[{}, undefined],
	])("lies where XDG says: %j", (env, expected) => {
		expect(cacheFolder(env)).toBe(expected);
	});
});
