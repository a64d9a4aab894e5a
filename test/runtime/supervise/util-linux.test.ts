import { describe, expect, it } from "vitest";
import { commandLine } from "../../../src/runtime/supervise/util-linux.ts";

const job = {
	argv: ["/bin/prog", "arg with blanks"],
	env: {},
	stdio: { stdin: 0, stdout: 1, stderr: 2 },
	report: "/report",
};

describe("commandLine", () => {
	it("waits, then ties its life to ours, then makes namespaces whose first process dies with it", () => {
		const line = commandLine(job);
		expect(line[0]).toBe("/bin/sh");
		expect(line.indexOf("setpriv")).toBeLessThan(line.indexOf("unshare"));
		expect(line).toEqual(expect.arrayContaining(["--pdeathsig", "KILL", "--pid", "--fork", "--kill-child"]));
		expect(line.slice(-3)).toEqual(["--", ...job.argv]);
	});

	it("makes a user namespace before it sets the death signal, which that would clear", () => {
		const line = commandLine({ ...job, asIds: { uid: 7, gid: 8 } });
		expect(line.slice(line.indexOf("--user") - 1, line.indexOf("--user") + 4)).toEqual([
			"unshare",
			"--user",
			"--map-user=7",
			"--map-group=8",
			"--keep-caps",
		]);
		expect(line.indexOf("--user")).toBeLessThan(line.indexOf("setpriv"));
	});

	it("spells a stage as arguments, never as shell text", () => {
		const steps = [
			{ op: "bind", from: "/a b", at: "/r/$(x)" },
			{ op: "folder", at: "/r/f" },
			{ op: "restrict", at: "/r", flags: ["ro", "nosuid"] },
			{ op: "restrict", at: "/r/w", flags: [] },
		] as const;
		const line = commandLine({ ...job, stage: { root: "/r", steps } });
		const from = line.indexOf("/report") + 1;
		expect(line.slice(from, line.indexOf("--", from))).toEqual([
			...["bind", "/a b", "/r/$(x)", "folder", "/r/f", "restrict", "ro,nosuid", "/r", "restrict", "exec", "/r/w"],
		]);
	});

	it("gives a terminal a session of its own", () => {
		expect(commandLine({ ...job, terminal: true }).slice(0, 2)).toEqual(["setsid", "--ctty"]);
	});
});
