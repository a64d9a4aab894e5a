/** What an exec allow-list means beyond its entries: what `vmjail check` tells of it. Pure, but for the look-up it is given. */

import { basename } from "node:path/posix";
import type { ProgramFact } from "../host/types.ts";

/** Programs that do what a file or an argument tells them, by name; version numbers behind it are ignored. */
const GENERAL: ReadonlySet<string> = new Set([
	...["sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "busybox", "toybox"],
	...[
		"python",
		"pypy",
		"perl",
		"ruby",
		"node",
		"nodejs",
		"deno",
		"bun",
		"php",
		"lua",
		"luajit",
		"tclsh",
		"java",
		"guile",
	],
	...["awk", "gawk", "mawk", "gdb"],
]);

/** "python3.12" → "python". */
function nameOf(file: string): string {
	return basename(file).replace(/[-\d.]+$/, "");
}

const isLoader = (file: string): boolean => /^ld(-linux[-\w]*|-musl-\w+)?\.so(\.\d+)?$|^ld-\d/.test(basename(file));

/** Finds the file that a name means in the jail's PATH; undefined where there is none. */
export type LookUp = (name: string) => string | undefined;

function needs({ path, real, interpreters, loaders }: ProgramFact): readonly string[] {
	return [
		...(real === path ? [] : [`${path} is ${real}`]),
		...interpreters.map((file) => `${path} is a script: ${file} may run as well`),
		...[...new Set(loaders)].map((file) => `${path} is loaded by ${file}, which may not run by itself`),
	];
}

function lookedUp(program: ProgramFact, allowed: ReadonlySet<string>, lookUp: LookUp): readonly string[] {
	return (program.lookedUp ?? []).flatMap((name) => {
		const file = name.startsWith("/") ? name : lookUp(name);
		const start = `${program.path} is a script that env runs by ${name}`;
		if (file === undefined) return [`${start}, which is nowhere in the jail's PATH: it will not run`];
		return allowed.has(file) ? [] : [`${start}: it will not run unless ${file} is listed too (--exec ${file})`];
	});
}

function powers(file: string): readonly string[] {
	if (isLoader(file)) return [`${file} is a loader: listed, it runs any program that it is given`];
	if (!GENERAL.has(nameOf(file))) return [];
	return [`${file} runs whatever it is told: other programs stay refused, but any script of its language will run`];
}

/** Notes on an allow-list, each a sentence: what else may run, what else is needed, and what is given away by it. */
export function programNotes(programs: readonly ProgramFact[], lookUp: LookUp): readonly string[] {
	const files = new Set(programs.flatMap(({ real, interpreters }) => [real, ...interpreters]));
	return [
		...programs.flatMap((program) => [...needs(program), ...lookedUp(program, files, lookUp)]),
		...[...files].flatMap(powers),
	];
}
