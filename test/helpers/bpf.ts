/**
 * Classic BPF as the kernel runs it for seccomp: the checks before it takes a program, and an interpreter.
 * Written from the kernel's rules (bpf_check_classic and seccomp_check_filter), not from our compiler's constants, so
 * that a wrong opcode there does not pass here.
 */

export interface SockFilter {
	readonly code: number;
	readonly jt: number;
	readonly jf: number;
	readonly k: number;
}

/** `struct seccomp_data` */
export interface SeccompData {
	readonly nr: number;
	readonly arch: number;
	readonly args: readonly bigint[];
}

export const ARCH = { x86_64: 0xc000003e, i386: 0x40000003, aarch64: 0xc00000b7 } as const;

export const RET = {
	KILL_PROCESS: 0x80000000,
	KILL_THREAD: 0,
	TRAP: 0x00030000,
	ERRNO: 0x00050000,
	NOTIFY: 0x7fc00000,
	TRACE: 0x7ff00000,
	LOG: 0x7ffc0000,
	ALLOW: 0x7fff0000,
} as const;

const SIZEOF_SECCOMP_DATA = 64;

/** Reads `struct sock_filter[]`, little-endian. */
export function parseProgram(bytes: Uint8Array): SockFilter[] {
	if (bytes.length % 8 !== 0) throw new Error(`${bytes.length} bytes are no whole number of instructions`);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	return Array.from({ length: bytes.length / 8 }, (_, at) => ({
		code: view.getUint16(at * 8, true),
		jt: view.getUint8(at * 8 + 2),
		jf: view.getUint8(at * 8 + 3),
		k: view.getUint32(at * 8 + 4, true),
	}));
}

/** Throws where the kernel would answer EINVAL. */
export function checkProgram(program: readonly SockFilter[]): void {
	const refuse = (at: number, why: string): never => {
		throw new Error(`instruction ${at}: ${why}: ${JSON.stringify(program[at])}`);
	};
	if (program.length === 0 || program.length > 4096) throw new Error(`${program.length} instructions`);
	program.forEach(({ code, jt, jf, k }, at) => {
		const left = program.length - at - 1;
		switch (code) {
			case 0x20: // ld [k]: aligned, inside seccomp_data
				if (k >= SIZEOF_SECCOMP_DATA || (k & 3) !== 0) refuse(at, "loads from outside");
				break;
			case 0x05: // ja
				if (k >= left) refuse(at, "jumps past the end");
				break;
			case 0x15: // jeq
			case 0x25: // jgt
			case 0x35: // jge
			case 0x45: // jset
				if (jt >= left || jf >= left) refuse(at, "jumps past the end");
				break;
			case 0x54: // and
			case 0x06: // ret k
				break;
			default:
				refuse(at, "is not among the instructions that the kernel lets seccomp use and that we expect");
		}
	});
	if (program.at(-1)?.code !== 0x06) throw new Error("the program does not end with a return");
}

export interface Run {
	/** What the filter returns, 32 bits without a sign. */
	readonly value: number;
	/** Instructions executed. */
	readonly steps: number;
}

/** Runs a program on one system call. */
export function run(program: readonly SockFilter[], data: SeccompData): Run {
	const words = wordsOf(data);
	let a = 0;
	let at = 0;
	for (let steps = 1; ; steps++) {
		const instruction = program[at];
		if (instruction === undefined) throw new Error(`no instruction ${at}`);
		const { code, jt, jf, k } = instruction;
		at += 1;
		switch (code) {
			case 0x20:
				a = words[k / 4] ?? fail(`no word at ${k}`);
				break;
			case 0x54:
				a = (a & k) >>> 0;
				break;
			case 0x05:
				at += k;
				break;
			case 0x15:
				at += a === k ? jt : jf;
				break;
			case 0x25:
				at += a > k ? jt : jf;
				break;
			case 0x35:
				at += a >= k ? jt : jf;
				break;
			case 0x45:
				at += (a & k) !== 0 ? jt : jf;
				break;
			case 0x06:
				return { value: k, steps };
			default:
				fail(`unknown instruction ${code}`);
		}
	}
}

function fail(message: string): never {
	throw new Error(message);
}

/** seccomp_data as 16 words: nr, arch, instruction pointer (2), six arguments (low half first). */
function wordsOf({ nr, arch, args }: SeccompData): readonly number[] {
	const halves = Array.from({ length: 6 }, (_, index) => {
		const arg = BigInt.asUintN(64, args[index] ?? 0n);
		return [Number(arg & 0xffffffffn), Number(arg >> 32n)];
	});
	return [nr >>> 0, arch, 0, 0, ...halves.flat()];
}
