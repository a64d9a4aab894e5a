/** The two formats that the kernel executes: ELF (elf(5)) and scripts (execve(2), "Interpreter scripts"). Pure. */

const ELF_MAGIC = 0x464c457f;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const PT_INTERP = 3;

function viewOf(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function text(bytes: Uint8Array): string {
	return new TextDecoder().decode(bytes);
}

/** The dynamic loader that an ELF file names; undefined for a static one, or for no ELF file of this byte order. */
export function loaderOf(head: Uint8Array): string | undefined {
	if (head.length < 64) return undefined;
	const view = viewOf(head);
	if (view.getUint32(0, true) !== ELF_MAGIC || view.getUint8(5) !== LITTLE_ENDIAN) return undefined;
	const wide = view.getUint8(4) === CLASS_64;
	const table = wide ? Number(view.getBigUint64(32, true)) : view.getUint32(28, true);
	const entry = view.getUint16(wide ? 54 : 42, true);
	const count = view.getUint16(wide ? 56 : 44, true);
	for (let i = 0; i < count; i++) {
		const at = table + i * entry;
		if (at + (wide ? 56 : 32) > head.length) return undefined;
		if (view.getUint32(at, true) !== PT_INTERP) continue;
		const offset = wide ? Number(view.getBigUint64(at + 8, true)) : view.getUint32(at + 4, true);
		const size = wide ? Number(view.getBigUint64(at + 32, true)) : view.getUint32(at + 16, true);
		if (size === 0 || offset + size > head.length) return undefined;
		return text(head.subarray(offset, offset + size - 1));
	}
	return undefined;
}

/** The first line of a script. */
export interface Shebang {
	readonly interpreter: string;
	/** Everything after it: the kernel passes it as one argument. Empty: none. */
	readonly argument: string;
}

/** What the first line of a script names; undefined for what is no script. */
export function shebangOf(head: Uint8Array): Shebang | undefined {
	if (head[0] !== 0x23 || head[1] !== 0x21) return undefined;
	// The kernel looks at 256 bytes and ends the name at a blank, a tab, a NUL or the line's end.
	const [line = ""] = text(head.subarray(2, 256)).split(/[\n\0]/);
	const [, interpreter, argument = ""] = /^[ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
	return interpreter === undefined ? undefined : { interpreter, argument };
}

/** The program that env(1) will look up in PATH for a script's first line; undefined where env is not what it names. */
export function lookedUpBy({ interpreter, argument }: Shebang): string | undefined {
	if (!interpreter.endsWith("/env")) return undefined;
	const split = argument.startsWith("-S") ? argument.slice(2) : argument;
	return split.split(/[ \t]+/).find((word) => word !== "" && !word.startsWith("-") && !word.includes("="));
}
