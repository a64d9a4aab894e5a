/** Structured logs: a JSON object a line, on standard error. */

import { type Logger, pino } from "pino";
import type { LogLevel } from "./settings.ts";

export function logOf(level: LogLevel, fields: Readonly<Record<string, unknown>> = {}): Logger {
	// Written at once: what a server says last before it dies is what is looked for.
	return pino(
		{ level, base: { name: "vmjail", pid: process.pid, ...fields } },
		pino.destination({ dest: 2, sync: true }),
	);
}
