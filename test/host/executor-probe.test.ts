import { describe, expect, it } from "vitest";
import { type ExecutorProbe, landlockAbiFrom, parseExecutorProbe } from "../../src/host/executor-probe.ts";

const line =
	'{"landlockAbi":7,"seccompActions":["errno","allow"],"userNamespace":{"ok":false,"step":"mount","errno":"EACCES"}}';
const probe: ExecutorProbe = parseExecutorProbe(line);

describe("the executor's probe", () => {
	it("is one line of JSON", () => {
		const userNamespace = { ok: false, step: "mount", errno: "EACCES" };
		expect(probe).toEqual({ landlockAbi: 7, seccompActions: ["errno", "allow"], userNamespace });
		expect(landlockAbiFrom(`${line}\n`)).toBe(7);
	});

	it.each([
		"",
		"{",
		"null",
		"[]",
		'{"landlockAbi":-1,"seccompActions":[],"userNamespace":{"ok":true}}',
		'{"landlockAbi":1.5,"seccompActions":[],"userNamespace":{"ok":true}}',
		'{"landlockAbi":1,"seccompActions":[1],"userNamespace":{"ok":true}}',
		'{"landlockAbi":1,"seccompActions":[]}',
		'{"landlockAbi":1,"seccompActions":[],"userNamespace":{"ok":"yes"}}',
	])("refuses %s", (text) => {
		expect(() => parseExecutorProbe(text)).toThrow(expect.objectContaining({ code: "EXECUTOR_FAILED" }));
	});
});
