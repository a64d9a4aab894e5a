/** A program for 32-bit x86, by hand: no 32-bit C library is needed to make one. */

const BASE = 0x08048000;
const HEADERS = 52 + 32;

/** An ELF file of class 32 that calls exit(status) by int 0x80 and does nothing else (elf(5)). */
export function elf32(status: number): Uint8Array {
	// mov ebx, status; mov eax, 1 (exit); int 0x80
	const code = [0xbb, status, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];
	const size = HEADERS + code.length;
	const out = new Uint8Array(size);
	const view = new DataView(out.buffer);
	out.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]); // ELFCLASS32, little-endian, version 1
	const header16: readonly (readonly [number, number])[] = [
		[16, 2], // ET_EXEC
		[18, 3], // EM_386
		[40, 52], // e_ehsize
		[42, 32], // e_phentsize
		[44, 1], // e_phnum
	];
	for (const [at, value] of header16) view.setUint16(at, value, true);
	const words: readonly (readonly [number, number])[] = [
		[20, 1],
		[24, BASE + HEADERS], // e_entry
		[28, 52], // e_phoff
		[52, 1], // PT_LOAD
		[60, BASE], // p_vaddr
		[64, BASE], // p_paddr
		[68, size], // p_filesz
		[72, size], // p_memsz
		[76, 5], // PF_R | PF_X
		[80, 0x1000], // p_align
	];
	for (const [at, value] of words) view.setUint32(at, value, true);
	out.set(code, HEADERS);
	return out;
}
