/** Names and numbers of system calls. The tables are made by scripts/make-syscall-tables.mjs. */

import { AARCH64 } from "./syscall-tables/aarch64.ts";
import { I386 } from "./syscall-tables/i386.ts";
import { NEWER, NEWER_X86_64 } from "./syscall-tables/newer.ts";
import { X86_64 } from "./syscall-tables/x86_64.ts";

/** A name that at least one architecture on which vmjail runs has a system call for. */
export type SyscallName = keyof typeof X86_64 | keyof typeof AARCH64 | keyof typeof NEWER | keyof typeof NEWER_X86_64;

/** Architectures that a system call can be made as: those vmjail runs on, and the 32-bit one inside x86_64. */
export type SyscallArch = "x86_64" | "aarch64" | "i386";

type Numbers = Readonly<Record<string, number>>;

const TABLES: Readonly<Record<SyscallArch, readonly Numbers[]>> = {
	x86_64: [X86_64, NEWER_X86_64, NEWER],
	i386: [I386, NEWER],
	aarch64: [AARCH64, NEWER],
};

/** Every system call of an architecture: name → number. */
export function syscallTable(arch: SyscallArch): ReadonlyMap<string, number> {
	return new Map(TABLES[arch].flatMap((table) => Object.entries(table)));
}

/** Number of a system call; undefined where the architecture has no call of that name. */
export function syscallNumber(arch: SyscallArch, name: string): number | undefined {
	for (const table of TABLES[arch]) if (Object.hasOwn(table, name)) return table[name];
	return undefined;
}
