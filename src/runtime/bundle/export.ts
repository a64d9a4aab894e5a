/** Writes OCI bundles: config.json and rootfs. */

import {
	accessSync,
	constants,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	realpathSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { VmjailError } from "../../errors.ts";
import { parseMountinfo } from "../../host/mountinfo.ts";
import { specToJson } from "../../oci/json.ts";
import type { Spec } from "../../oci/types.ts";
import { type Bundle, bundleOf, type RootEntry } from "./layout.ts";

/**
 * Writes a bundle for `spec` into `dir`, which is made where it is missing and must be empty.
 *
 * The bundle describes the host as it is now: file systems mounted later below a bound folder may not show in it.
 * Nothing is left in `dir` where writing fails.
 *
 * @returns absolute path of the bundle, free of links.
 * @throws VmjailError USAGE where `dir` is not an empty folder or cannot be written; PATH_INVALID where the root cannot
 *   be listed.
 */
export function exportBundle({ spec, dir }: { readonly spec: Spec; readonly dir: string }): string {
	const home = emptyFolder(dir);
	try {
		const hostMounts = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
		write(bundleOf({ spec, entries: rootEntries(spec.root.path), hostMounts, dir: home, look }), home);
	} catch (cause) {
		for (const name of ["config.json", "rootfs"]) rmSync(join(home, name), { recursive: true, force: true });
		throw cause;
	}
	return home;
}

function emptyFolder(dir: string): string {
	try {
		mkdirSync(dir, { recursive: true });
		if (readdirSync(dir).length === 0) return realpathSync(dir);
	} catch (cause) {
		throw new VmjailError("USAGE", `cannot write a bundle to ${dir}: ${messageOf(cause)}`, {
			remedy: "Name a folder that does not exist yet, where you may make one.",
			cause,
		});
	}
	throw new VmjailError("USAGE", `${dir} is not empty`, {
		remedy: "Name an empty folder, or one that does not exist yet.",
	});
}

function rootEntries(root: string): readonly RootEntry[] {
	try {
		return readdirSync(root, { withFileTypes: true }).map((entry): RootEntry => {
			const { name } = entry;
			if (entry.isSymbolicLink()) return { name, kind: "link", target: readlinkSync(join(root, name)) };
			if (entry.isDirectory()) return { name, kind: "folder" };
			return { name, kind: entry.isFile() ? "file" : "other" };
		});
	} catch (cause) {
		throw new VmjailError("PATH_INVALID", `system.root.path: cannot list ${root}: ${messageOf(cause)}`, {
			remedy: "Name a folder that the caller may read.",
			cause,
		});
	}
}

function look(path: string): { readonly folder: boolean; readonly readable: boolean } | undefined {
	try {
		const folder = statSync(path).isDirectory();
		return { folder, readable: isReadable(path) };
	} catch {
		return undefined;
	}
}

function isReadable(path: string): boolean {
	try {
		accessSync(path, constants.R_OK);
		return true;
	} catch {
		return false;
	}
}

function write({ spec, rootfs }: Bundle, home: string): void {
	const root = join(home, "rootfs");
	mkdirSync(root, { mode: 0o755 });
	for (const { name, kind, target } of rootfs) {
		const path = join(root, name);
		if (kind === "link") symlinkSync(target ?? "", path);
		else if (kind === "folder") mkdirSync(path, { mode: 0o755 });
		else writeFileSync(path, "", { mode: 0o644 });
	}
	// The environment may hold secrets.
	writeFileSync(join(home, "config.json"), specToJson(spec), { mode: 0o600 });
}

function messageOf(cause: unknown): string {
	return cause instanceof Error ? cause.message : String(cause);
}
