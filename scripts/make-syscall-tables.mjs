#!/usr/bin/env node
/**
 * Writes src/plan/syscall-tables/{x86_64,i386,aarch64}.ts from the kernel's user-space headers (Debian: linux-libc-dev).
 *
 *     node scripts/make-syscall-tables.mjs
 *
 * Needs a C preprocessor (`cc`). A test compares the committed tables with what this finds, through {@link headerTable}.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * What is preprocessed for each architecture.
 * aarch64 has no table of its own: its asm/unistd.h is asm-generic/unistd.h with these calls wanted
 * (arch/arm64/include/uapi/asm/unistd.h, Linux 6.1), which makes it readable on every machine.
 */
const SOURCES = {
	x86_64: "#include <asm/unistd_64.h>",
	i386: "#include <asm/unistd_32.h>",
	aarch64: [
		"#define __ARCH_WANT_RENAMEAT",
		"#define __ARCH_WANT_NEW_STAT",
		"#define __ARCH_WANT_SET_GET_RLIMIT",
		"#define __ARCH_WANT_TIME32_SYSCALLS",
		"#define __ARCH_WANT_SYS_CLONE3",
		"#define __ARCH_WANT_MEMFD_SECRET",
		"#define __BITS_PER_LONG 64",
		"#define __ASM_X86_BITSPERLONG_H", // x86's own bitsperlong.h must not redefine it
		"#include <asm-generic/unistd.h>",
	].join("\n"),
};

/** Macros that look like calls: the count of calls, and the first number of a range. */
const NOT_CALLS = new Set(["syscalls", "arch_specific_syscall"]);

/**
 * System calls that this machine's headers give an architecture.
 * @param {keyof typeof SOURCES} arch
 * @returns {Record<string, number> | undefined} name → number, in the order of numbers; undefined where there is no
 *   compiler or no such header.
 */
export function headerTable(arch) {
	let text;
	try {
		text = execFileSync("cc", ["-E", "-dM", "-x", "c", "-"], {
			input: `${SOURCES[arch]}\n`,
			encoding: "utf8",
			stdio: ["pipe", "pipe", "ignore"],
		});
	} catch {
		return undefined;
	}
	// __NR_mmap may be another macro (__NR3264_mmap), which is a number.
	const macros = new Map([...text.matchAll(/^#define (__NR\w+) (\S+)$/gm)].map(([, name, value]) => [name, value]));
	const calls = [];
	for (const [macro, value] of macros) {
		if (!macro.startsWith("__NR_")) continue;
		const name = macro.slice("__NR_".length);
		if (NOT_CALLS.has(name)) continue;
		const number = Number(macros.get(value) ?? value);
		if (!Number.isInteger(number)) throw new Error(`${macro} is ${value}, not a number`);
		calls.push([name, number]);
	}
	calls.sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
	return Object.fromEntries(calls);
}

/** @param {string} arch @param {Record<string, number>} table */
function render(arch, table) {
	const lines = Object.entries(table).map(([name, number]) => `\t${name}: ${number},`);
	return [
		`/** System calls of ${arch}. Written by scripts/make-syscall-tables.mjs from the kernel's headers: do not edit. */`,
		`export const ${arch.toUpperCase()} = {`,
		...lines,
		"} as const;",
		"",
	].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const folder = fileURLToPath(new URL("../src/plan/syscall-tables/", import.meta.url));
	mkdirSync(folder, { recursive: true });
	for (const arch of Object.keys(SOURCES)) {
		const table = headerTable(arch);
		if (table === undefined) throw new Error(`no headers for ${arch}: install a C compiler and linux-libc-dev`);
		writeFileSync(`${folder}${arch}.ts`, render(arch, table));
	}
}
