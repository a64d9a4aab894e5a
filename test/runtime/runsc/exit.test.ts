import { describe, expect, it } from "vitest";
import { exitOf, failureOf, hasStarted, parseLog } from "../../../src/runtime/runsc/exit.ts";

const info = (msg: string) => JSON.stringify({ msg, level: "info", time: "t" });
const error = (msg: string) => JSON.stringify({ msg, level: "error", time: "t" });
const START = "running container: starting container: starting root container: starting sandbox: ";

describe("parseLog", () => {
	it("reads lines, objects that share a line, and passes over the rest", () => {
		const text = `${info("a")}${error("b")}\ngoroutine 1 [running]:\n{"msg":"cut sho\n${info("c")}\n`;
		expect(parseLog(text).map(({ msg }) => msg)).toEqual(["a", "b", "c"]);
	});
});

describe("what is said for debugging", () => {
	const debug = (msg: string) => JSON.stringify({ msg, level: "debug", time: "t" });

	it("is passed over, but for the word that the program has been started", () => {
		const waits = debug('sandbox.go:1215] Waiting for container "1" in sandbox "1"');
		const log = parseLog(`${debug("spec: {…}")}\n${waits}\n${info('says "level":"debug"')}\n`);
		expect(log.map(({ level }) => level)).toEqual(["debug", "info"]);
		expect(hasStarted(log)).toBe(true);
		expect(hasStarted(parseLog(`${debug("Start container")}\n`))).toBe(false);
		expect(hasStarted(parseLog(info("cli.go:317] Exiting with status: 0")))).toBe(true);
	});
});

describe("exitOf", () => {
	const of = (...messages: readonly string[]) => exitOf(parseLog(messages.map(info).join("\n")));

	it("decodes the wait status, whatever line of whatever file wrote it", () => {
		expect(of("main.go:222] Exiting with status: 0")).toEqual({ kind: "exited", exitCode: 0 });
		expect(of("cli.go:317] Exiting with status: 35072")).toEqual({ kind: "exited", exitCode: 137 });
		expect(of("main.go:222] Exiting with status: 9")).toEqual({ kind: "signaled", signal: 9 });
		expect(of("main.go:222] Exiting with status: 139")).toEqual({ kind: "signaled", signal: 11 });
	});

	it("takes the last one, and none where runsc did not come that far", () => {
		expect(of("m.go:1] Exiting with status: 0", "m.go:1] Exiting with status: 256")).toEqual({
			kind: "exited",
			exitCode: 1,
		});
		expect(of("m.go:1] Killing gofer")).toBeUndefined();
		expect(of("m.go:1] Exiting with status: 1 or so")).toBeUndefined();
	});
});

describe("failureOf", () => {
	const of = (...messages: readonly string[]) => failureOf(parseLog(messages.map(error).join("\n")), undefined);

	it.each([
		[`${START}creating process: failed to load /bin/x: no such file or directory`, "COMMAND_NOT_FOUND", "/bin/x"],
		[`${START}error finding executable "x" in PATH [/bin]: no such file or directory`, "COMMAND_NOT_FOUND", "x"],
		[
			`${START}creating process: failed to load /etc/passwd: permission denied`,
			"COMMAND_NOT_EXECUTABLE",
			"/etc/passwd",
		],
		[`${START}creating process: failed to load /x: exec format error`, "COMMAND_NOT_EXECUTABLE", "exec format error"],
		[
			"cannot create gofer process: gofer: fork/exec /proc/self/exe: operation not permitted",
			"HOST_UNSUPPORTED",
			"user namespaces",
		],
		["error setting up FS: mounting {Destination:/mnt}: no such file", "LAUNCH_FAILED", "mounting {Destination:/mnt}"],
		["something nobody has seen yet", "LAUNCH_FAILED", "something nobody has seen yet"],
	])("explains: %s", (message, code, words) => {
		const found = of(message);
		expect([found.code, found.message]).toEqual([code, expect.stringContaining(words)]);
	});

	it("takes the cause over its consequence, and drops where runsc says it in its source", () => {
		const found = of(
			"error setting up FS: stat /x",
			"util.go:64] FATAL ERROR: waiting for sandbox: EOF",
			"Failure to execute command, err: 1",
		);
		expect(found.message).toBe("runsc: set up the jail's files: stat /x");
		expect(of("util.go:64] FATAL ERROR: waiting: EOF", "main.go:231] Failure to execute command, err: 1").message).toBe(
			"runsc: waiting: EOF",
		);
	});

	it("points to the debug log where there is one", () => {
		expect(failureOf([], "/d").remedy).toBe("See /d.");
		expect(failureOf([], undefined).remedy).toContain("--debug-log");
	});
});
