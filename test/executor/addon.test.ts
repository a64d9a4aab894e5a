import { closeSync, openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/executor/addon.ts";

/** The addon's functions of one descriptor. */
const NAMES = ["duplicate", "closeOnExec", "finish", "discard", "peer", "isAlive"] as const;

/** As JavaScript could call them. */
const call = (name: (typeof NAMES)[number], ...args: readonly unknown[]): unknown =>
	(loadAddon()[name] as (...args: readonly unknown[]) => unknown)(...args);

describe.each(NAMES)("%s", (name) => {
	it.each([[[]], [["1"]], [[undefined]], [[{}]]])("refuses %j, which is no descriptor", (args) => {
		expect(() => call(name, ...args)).toThrow(expect.objectContaining({ code: "EINVAL", message: name }));
	});

	it("says of a descriptor that is closed that it is", () => {
		const descriptor = openSync("/dev/null", "r");
		closeSync(descriptor);
		expect(() => call(name, descriptor)).toThrow(expect.objectContaining({ code: "EBADF" }));
	});
});
