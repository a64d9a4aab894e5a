/** Programs as text, for `vmjail plan` and for golden files. */

import type { Architecture } from "../../host/types.ts";
import { syscallTable } from "../syscalls.ts";
import { AND, AUDIT_ARCH, type Instruction, JUMP, JUMP_IF, LOAD, OFFSET, RETURN } from "./bpf.ts";

const OPERATOR: ReadonlyMap<number, string> = new Map([
	[JUMP_IF.equal, "=="],
	[JUMP_IF.greater, ">"],
	[JUMP_IF.greaterOrEqual, ">="],
	[JUMP_IF.anyBit, "&"],
]);

const ACTION: ReadonlyMap<number, string> = new Map([
	[0x80000000, "KILL_PROCESS"],
	[0x00000000, "KILL_THREAD"],
	[0x00030000, "TRAP"],
	[0x00050000, "ERRNO"],
	[0x7fc00000, "NOTIFY"],
	[0x7ff00000, "TRACE"],
	[0x7ffc0000, "LOG"],
	[0x7fff0000, "ALLOW"],
]);

/**
 * One line per instruction: `<number>  <what it does>`. Jumps name the line they lead to; numbers of system calls and of
 * architectures carry their names.
 */
export function disassemble(instructions: readonly Instruction[], arch: Architecture): string {
	const names = new Map([...syscallTable(arch)].map(([name, number]) => [number, name]));
	const width = String(instructions.length).length;
	const words = wordsBefore(instructions);
	const lines = instructions.map((instruction, at) => {
		const text = show(instruction, at, operandOf(words[at], instruction.k, names));
		return `${String(at).padStart(width)}  ${text}`;
	});
	return `${lines.join("\n")}\n`;
}

/** Which word the accumulator holds before each instruction. Jumps go forwards only, so one pass knows. */
function wordsBefore(instructions: readonly Instruction[]): readonly (number | undefined)[] {
	const words: (number | undefined)[] = [];
	for (const [at, { code, jt, jf, k }] of instructions.entries()) {
		const after = code === LOAD ? k : code === AND ? undefined : words[at];
		const skips = code === RETURN ? [] : code === JUMP ? [k] : [jt, jf];
		for (const skip of skips) words[at + 1 + skip] = after;
	}
	return words;
}

function show({ code, jt, jf, k }: Instruction, at: number, operand: string): string {
	const operator = OPERATOR.get(code);
	if (operator !== undefined) return `if A ${operator} ${operand} then ${at + 1 + jt} else ${at + 1 + jf}`;
	switch (code) {
		case LOAD:
			return `A = ${wordName(k)}`;
		case AND:
			return `A &= ${hex(k)}`;
		case JUMP:
			return `go to ${at + 1 + k}`;
		case RETURN:
			return `return ${actionName(k)}`;
		default:
			return `unknown instruction ${hex(code)} ${jt} ${jf} ${hex(k)}`;
	}
}

function wordName(offset: number): string {
	if (offset === OFFSET.number) return "number";
	if (offset === OFFSET.arch) return "architecture";
	const index = (offset - OFFSET.arguments) >> 3;
	return offset % 8 === 0 ? `argument ${index}, low` : `argument ${index}, high`;
}

function operandOf(word: number | undefined, k: number, names: ReadonlyMap<number, string>): string {
	const name = word === OFFSET.number ? names.get(k) : word === OFFSET.arch ? archName(k) : undefined;
	return name ?? hex(k);
}

function archName(k: number): string | undefined {
	return Object.entries(AUDIT_ARCH).find(([, value]) => value === k)?.[0];
}

function actionName(value: number): string {
	const action = ACTION.get((value & 0xffff0000) >>> 0);
	const data = value & 0xffff;
	if (action === undefined) return hex(value);
	return data === 0 && action !== "ERRNO" ? action : `${action} ${data}`;
}

function hex(value: number): string {
	return `0x${value.toString(16)}`;
}
