import { describe, expect, it } from "vitest";
import type { End, Outcome } from "../../src/outcome/types.ts";
import { type FileError, failureOf, fileFailureOf, resultOf } from "../../src/server/status.ts";

function outcome(end: End): Outcome {
	return {
		...end,
		cpuUserMs: 1.5,
		cpuSystemMs: 0.25,
		wallMs: 2,
		memoryPeakBytes: 4096,
		pidsPeak: 3,
		oomKills: 0,
		runtime: "runlc",
		missing: [],
		denials: [],
	};
}

const missing: FileError = { name: "a", type: "CopyOutOpen", message: "a cannot be opened: ENOENT" };

describe("go-judge's status", () => {
	it.each<[End, string, number]>([
		[{ kind: "exited", exitCode: 0 }, "Accepted", 0],
		[{ kind: "exited", exitCode: 42 }, "Nonzero Exit Status", 42],
		[{ kind: "signaled", signal: "SIGSEGV" }, "Signalled", 11],
		[{ kind: "signaled", signal: "SIGRTMIN+2" }, "Signalled", 36],
		[{ kind: "signaled", signal: "SIG33" }, "Signalled", 33],
		[{ kind: "limit", limit: "memory" }, "Memory Limit Exceeded", 0],
		[{ kind: "limit", limit: "cpu-time" }, "Time Limit Exceeded", 0],
		[{ kind: "limit", limit: "wall-time" }, "Time Limit Exceeded", 0],
		[{ kind: "limit", limit: "output" }, "Output Limit Exceeded", 0],
		[{ kind: "limit", limit: "file-size" }, "Output Limit Exceeded", 0],
		[{ kind: "limit", limit: "pids" }, "Nonzero Exit Status", 1],
		[{ kind: "denied", control: "exec", detail: "/bin/x" }, "Dangerous Syscall", 0],
		[{ kind: "cancelled" }, "Internal Error", 0],
	])("of %o is %s", (end, status, exitStatus) => {
		expect(resultOf(outcome(end))).toMatchObject({ status, exitStatus });
	});

	it("counts in nanoseconds and bytes", () => {
		const { time, runTime, memory, procPeak } = resultOf(outcome({ kind: "exited", exitCode: 0 }));
		expect({ time, runTime, memory, procPeak }).toEqual({
			time: 1_750_000,
			runTime: 2_000_000,
			memory: 4096,
			procPeak: 3,
		});
	});

	it("of a success whose file did not come out is File Error", () => {
		expect(resultOf(outcome({ kind: "exited", exitCode: 0 }), [missing])).toMatchObject({
			status: "File Error",
			fileError: [missing],
		});
	});

	it("of a failure stays what it was, whatever became of its files", () => {
		expect(resultOf(outcome({ kind: "exited", exitCode: 1 }), [missing])).toMatchObject({
			status: "Nonzero Exit Status",
			fileError: [missing],
		});
	});

	it("of what never ran says why", () => {
		expect(failureOf({ code: "COMMAND_NOT_FOUND", message: "x: not found", remedy: "Set PATH." })).toMatchObject({
			status: "Internal Error",
			error: "COMMAND_NOT_FOUND: x: not found\nSet PATH.",
		});
		expect(fileFailureOf({ ...missing, type: "CopyInCreateFile" })).toMatchObject({ status: "File Error", time: 0 });
	});
});
