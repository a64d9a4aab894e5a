import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { endOf, exitStatus, type RawEnd, signalName, signalNumber } from "../../src/outcome/outcome.ts";
import type { End } from "../../src/outcome/types.ts";

const exited = (code: number): number => code << 8;
const CORE = 0x80;

function raw(parts: Partial<RawEnd>): RawEnd {
	return { cause: "none", oomKills: 0, pidsRefused: 0, ...parts };
}

describe("why a program ended, and the exit status for it", () => {
	it.each<[string, Partial<RawEnd>, End, number]>([
		["by itself", { status: exited(0) }, { kind: "exited", exitCode: 0 }, 0],
		["with its own status", { status: exited(255) }, { kind: "exited", exitCode: 255 }, 255],
		["by a signal", { status: 15 }, { kind: "signaled", signal: "SIGTERM" }, 143],
		["by a signal that dumps core", { status: 11 | CORE }, { kind: "signaled", signal: "SIGSEGV" }, 139],
		["by a real-time signal", { status: 40 }, { kind: "signaled", signal: "SIGRTMIN+6" }, 168],
		["with pid 1, which was killed", {}, { kind: "signaled", signal: "SIGKILL" }, 137],
		["for CPU time", { status: 9, cause: "cpu-time" }, { kind: "limit", limit: "cpu-time" }, 124],
		["for CPU time, by the kernel", { status: 24 }, { kind: "limit", limit: "cpu-time" }, 124],
		["for time", { status: 9, cause: "wall-time" }, { kind: "limit", limit: "wall-time" }, 124],
		["for output", { cause: "output" }, { kind: "limit", limit: "output" }, 153],
		["for a file's size", { status: 25 | CORE }, { kind: "limit", limit: "file-size" }, 153],
		["for memory", { status: 9, oomKills: 1 }, { kind: "limit", limit: "memory" }, 137],
		["for memory of a child", { status: exited(1), oomKills: 2 }, { kind: "limit", limit: "memory" }, 137],
		["for memory, with pid 1", { oomKills: 1 }, { kind: "limit", limit: "memory" }, 137],
		["well, though a child died for memory", { status: exited(0), oomKills: 1 }, { kind: "exited", exitCode: 0 }, 0],
		["for processes", { status: exited(2), pidsRefused: 3 }, { kind: "limit", limit: "pids" }, 137],
		["well, though forks were refused", { status: exited(0), pidsRefused: 3 }, { kind: "exited", exitCode: 0 }, 0],
		[
			"for memory rather than processes",
			{ status: 9, oomKills: 1, pidsRefused: 1 },
			{ kind: "limit", limit: "memory" },
			137,
		],
		[
			"for time rather than memory",
			{ status: 9, cause: "wall-time", oomKills: 1 },
			{ kind: "limit", limit: "wall-time" },
			124,
		],
		["because the caller wanted it", { status: 9, cause: "cancelled", oomKills: 1 }, { kind: "cancelled" }, 137],
	])("%s", (_, parts, end, status) => {
		expect(endOf(raw(parts))).toEqual(end);
		expect(exitStatus(end)).toBe(status);
	});

	it("because a program was refused, with what was refused last", () => {
		const denial = { control: "exec", detail: "/bin/ls", allowedBy: "--exec /bin/ls" } as const;
		const end = endOf(raw({ status: 9, cause: "denied" }), denial);
		expect(end).toEqual({ kind: "denied", control: "exec", detail: "/bin/ls" });
		expect(exitStatus(end)).toBe(126);
	});
});

describe("signals", () => {
	it("have this machine's numbers", () => {
		for (const [name, number] of Object.entries(constants.signals)) {
			expect([name, signalNumber(name)]).toEqual([
				name,
				["SIGIOT", "SIGPOLL", "SIGUNUSED"].includes(name) ? 0 : number,
			]);
		}
		expect(signalNumber("TERM")).toBe(15);
		expect(["", "SIG", "SIGWHAT", "9"].map(signalNumber)).toEqual([0, 0, 0, 0]);
	});

	it("have a name and a status each, the real-time ones too", () => {
		const names = Array.from({ length: 64 }, (_, i) => signalName(i + 1));
		expect(new Set(names).size).toBe(64);
		expect(names.map((signal) => exitStatus({ kind: "signaled", signal }))).toEqual(names.map((_, i) => 129 + i));
		// The C library's own: it takes the first two real-time signals for itself.
		expect(signalName(32)).toBe("SIG32");
		expect(signalName(34)).toBe("SIGRTMIN+0");
	});
});
