import { spawnSync } from "node:child_process";

/** A command of a document and the lines that it shows below it. */
export interface Exchange {
	readonly line: number;
	readonly command: string;
	readonly expected: readonly string[];
}

/** The exchanges of one ```sh block; they share a shell. */
export type Session = readonly Exchange[];

/** Stands between the outputs of two commands; ASCII's record separator. */
const separator = "\u001e";

/**
 * The ```sh blocks of a Markdown text. In them "$ " starts a command, "> " continues it, and every other line that is
 * not empty is expected output. Blocks of other languages, `text` among them, are not executed.
 */
export function sessionsOf(markdown: string): Session[] {
	const sessions: Exchange[][] = [];
	let block: Exchange[] | undefined;
	for (const [index, line] of markdown.split("\n").entries()) {
		if (line.startsWith("```")) {
			block = line === "```sh" ? [] : undefined;
			if (block !== undefined) sessions.push(block);
		} else if (block !== undefined) {
			add(block, line, index + 1);
		}
	}
	return sessions;
}

function add(block: Exchange[], line: string, number: number): void {
	if (line.startsWith("$ ")) {
		block.push({ line: number, command: line.slice(2), expected: [] });
		return;
	}
	if (line.trim() === "") return;
	const last = block.pop();
	if (last === undefined) throw new Error(`line ${number}: output before the first command`);
	const continues = line.startsWith("> ") && last.expected.length === 0;
	block.push(
		continues
			? { ...last, command: `${last.command}\n${line.slice(2)}` }
			: { ...last, expected: [...last.expected, line] },
	);
}

/** White space counts as one blank; "…" stands for any text. */
function lineMatches(expected: string, actual: string): boolean {
	const [pattern, text] = [expected, actual].map((line) => line.trim().replace(/\s+/g, " "));
	const parts = (pattern ?? "").split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
	return new RegExp(`^${parts.join(".*")}$`).test(text ?? "");
}

/** The first expected line that the output does not have, in order; output may have more lines than are expected. */
export function missingLine(expected: readonly string[], output: string): string | undefined {
	const lines = output.split("\n");
	let from = 0;
	for (const wanted of expected) {
		const at = lines.findIndex((line, index) => index >= from && lineMatches(wanted, line));
		if (at === -1) return wanted;
		from = at + 1;
	}
	return undefined;
}

export interface Played {
	readonly status: number;
	/** Standard output and standard error, as they came. */
	readonly output: string;
}

/** Runs a session in one sh(1), in a folder. One result per command; fewer where the shell ended early. */
export function play(session: Session, cwd: string, timeoutMs: number): Played[] {
	const report = `vmjail_status=$?; printf '\\036%s\\036' "$vmjail_status"; (exit "$vmjail_status")`;
	const script = ["exec 2>&1", ...session.map(({ command }) => `${command}\n${report}`)].join("\n");
	const { stdout } = spawnSync("sh", ["-c", script], {
		cwd,
		timeout: timeoutMs,
		killSignal: "SIGKILL",
		encoding: "utf8",
		stdio: ["ignore", "pipe", "ignore"],
	});
	const pieces = stdout.split(separator);
	const played: Played[] = [];
	for (let i = 0; i + 1 < pieces.length; i += 2) {
		played.push({ output: pieces[i] ?? "", status: Number(pieces[i + 1]) });
	}
	return played;
}

/**
 * What is wrong with a command's result: an expected line that did not come, or, where the document shows no output, a
 * failure. `undefined`: nothing.
 */
export function faultOf(exchange: Exchange, played: Played | undefined): string | undefined {
	const place = `line ${exchange.line}: $ ${exchange.command}`;
	if (played === undefined) return `${place}\n  did not end`;
	const missing = missingLine(exchange.expected, played.output);
	if (missing !== undefined) return `${place}\n  expected: ${missing}\n  printed:\n${played.output}`;
	if (exchange.expected.length === 0 && played.status !== 0) {
		return `${place}\n  ended with status ${played.status}:\n${played.output}`;
	}
	return undefined;
}
