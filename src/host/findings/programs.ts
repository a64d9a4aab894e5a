/** Checks of the other runtimes and helpers: found, and started where that tells something. */

import { attempt, type HostFs } from "../fs.ts";
import { probePaths } from "../paths.ts";
import type { Check } from "./types.ts";

const firstLine = (text: string): string => text.trim().split("\n")[0] ?? "";

function ociRuntime(name: string): Check {
	return async ({ find, run }) => {
		const needed = false;
		const fix = `sudo apt-get install ${name}`;
		const path = find(name);
		if (path === undefined)
			return { name, ok: "no", detail: `not installed: only "runtime": "${name}" needs it`, fix, needed };
		const { status, stdout, stderr } = await run(path, ["--version"]);
		if (status === 0) return { name, ok: "yes", detail: `${path}, ${firstLine(stdout)}`, needed };
		return { name, ok: "no", detail: `${path} --version fails: ${firstLine(stderr)}`, fix, needed };
	};
}

export const crun = ociRuntime("crun");
export const runc = ociRuntime("runc");

function isSetuidRoot(path: string, fs: HostFs): boolean {
	const real = probePaths([path], { fs })[path]?.real;
	const stat = real === undefined ? undefined : attempt(() => fs.lstat(real));
	return stat !== undefined && stat.uid === 0 && (stat.mode & 0o4000) !== 0;
}

/** They map more ids than the caller's own; newuidmap(1), subuid(5). */
export const idMapTools: Check = ({ find, fs, facts }) => {
	const name = "newuidmap, newgidmap";
	const needed = false;
	const fix = "sudo apt-get install uidmap";
	const paths = ["newuidmap", "newgidmap"].map(find);
	if (paths.includes(undefined)) {
		const detail = "not installed: only a user other than the caller's (system.user) needs them";
		return {
			name,
			ok: facts.caller.privileged ? "yes" : "no",
			detail,
			...(facts.caller.privileged ? {} : { fix }),
			needed,
		};
	}
	const bare = paths.filter((path) => path !== undefined && !isSetuidRoot(path, fs));
	if (bare.length === 0) return { name, ok: "yes", detail: paths.join(", "), needed };
	// File capabilities do as well; they cannot be read without a tool.
	return { name, ok: "partly", detail: `${bare.join(", ")} without set-user-id: fine with file capabilities`, needed };
};
