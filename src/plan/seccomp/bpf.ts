/**
 * Classic BPF as seccomp(2) takes it: the few instructions that the compiler writes.
 * Source: include/uapi/linux/{filter,bpf_common,seccomp,audit}.h.
 */

import type { Verdict } from "../../oci/seccomp/rules.ts";
import type { SeccompAction } from "../../oci/types.ts";

/** `struct sock_filter` */
export interface Instruction {
	readonly code: number;
	/** Instructions to skip where a conditional jump's test holds, and where not. */
	readonly jt: number;
	readonly jf: number;
	/** The operand, 32 bits without a sign. */
	readonly k: number;
}

/** A ← the 32-bit word at offset k of `struct seccomp_data`. */
export const LOAD = 0x20; // BPF_LD | BPF_W | BPF_ABS
/** A ← A & k */
export const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
export const RETURN = 0x06; // BPF_RET | BPF_K
/** Skip k instructions. */
export const JUMP = 0x05; // BPF_JMP | BPF_JA
export const JUMP_IF = {
	equal: 0x15, // BPF_JMP | BPF_JEQ | BPF_K
	greater: 0x25, // BPF_JMP | BPF_JGT | BPF_K
	greaterOrEqual: 0x35, // BPF_JMP | BPF_JGE | BPF_K
	anyBit: 0x45, // BPF_JMP | BPF_JSET | BPF_K
} as const;
export type Comparison = keyof typeof JUMP_IF;

/** BPF_MAXINSNS: the kernel refuses longer programs. */
export const MAX_INSTRUCTIONS = 4096;

/** Offsets in `struct seccomp_data`; both architectures are little-endian: an argument's low half comes first. */
export const OFFSET = { number: 0, arch: 4, arguments: 16 } as const;

export const AUDIT_ARCH = { x86_64: 0xc000003e, aarch64: 0xc00000b7 } as const;

const RETURN_VALUE: Readonly<Record<SeccompAction, number>> = {
	SCMP_ACT_KILL: 0x00000000,
	SCMP_ACT_KILL_THREAD: 0x00000000,
	SCMP_ACT_KILL_PROCESS: 0x80000000,
	SCMP_ACT_TRAP: 0x00030000,
	SCMP_ACT_ERRNO: 0x00050000,
	SCMP_ACT_NOTIFY: 0x7fc00000,
	SCMP_ACT_TRACE: 0x7ff00000,
	SCMP_ACT_LOG: 0x7ffc0000,
	SCMP_ACT_ALLOW: 0x7fff0000,
};

/** What a filter returns for a verdict: the action in the upper 16 bits, the error number in the lower. */
export function returnValue({ action, errno }: Verdict): number {
	return RETURN_VALUE[action] + errno;
}

/** An instruction whose jump fields do not count. */
export function plain(code: number, k: number): Instruction {
	return { code, jt: 0, jf: 0, k };
}

/** `struct sock_filter[]`, 8 bytes each, little-endian. */
export function bytesOf(instructions: readonly Instruction[]): Uint8Array {
	const bytes = new Uint8Array(instructions.length * 8);
	const view = new DataView(bytes.buffer);
	instructions.forEach(({ code, jt, jf, k }, at) => {
		view.setUint16(at * 8, code, true);
		view.setUint8(at * 8 + 2, jt);
		view.setUint8(at * 8 + 3, jf);
		view.setUint32(at * 8 + 4, k, true);
	});
	return bytes;
}

/** The other way round. */
export function instructionsOf(bytes: Uint8Array): readonly Instruction[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	return Array.from({ length: bytes.length / 8 }, (_, at) => ({
		code: view.getUint16(at * 8, true),
		jt: view.getUint8(at * 8 + 2),
		jf: view.getUint8(at * 8 + 3),
		k: view.getUint32(at * 8 + 4, true),
	}));
}
