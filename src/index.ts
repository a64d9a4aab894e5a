/** vmjail as a library. */

export { type ErrorCode, VmjailError } from "./errors.ts";
export type { ExecOptions, ExecResult } from "./jail/execution.ts";
export type { CopyIn, CopyOut, FileError } from "./jail/files.ts";
export { Jail, type JailOptions } from "./jail/jail.ts";
export type { ExecLimits } from "./jail/limits.ts";
export { type Pipe, pipe } from "./jail/pipe.ts";
export { Pool, type PoolOptions } from "./jail/pool.ts";
export { run, start } from "./jail/run.ts";
export type { Input, Output, Streams, Taken } from "./jail/stdio.ts";
export type { Running, RunOptions, RunResult, TerminalRequest } from "./jail/types.ts";
export type { Denial, End, LimitName, Outcome, Usage } from "./outcome/types.ts";
export { type LoadOptions, loadPolicy, parsePolicy } from "./policy/load.ts";
export type { Policy } from "./policy/types.ts";
