/** vmjail as a library. */

export { type ErrorCode, VmjailError } from "./errors.ts";
export { run, start } from "./jail/run.ts";
export type { Input, Output, Streams } from "./jail/stdio.ts";
export type { Running, RunOptions, RunResult, TerminalRequest } from "./jail/types.ts";
export type { Denial, End, LimitName, Outcome, Usage } from "./outcome/types.ts";
export { type LoadOptions, loadPolicy, parsePolicy } from "./policy/load.ts";
export type { Policy } from "./policy/types.ts";
