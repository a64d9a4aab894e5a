import { describe, expect, it } from "vitest";
import { parseAllowed, parseProgram } from "../../src/policy/programs.ts";

const DIGEST = "0123456789abcdef".repeat(4);

describe("an entry of the allow-list", () => {
	it.each([
		["/usr/bin/ls", "/usr/bin/ls"],
		["/usr//bin/./ls", "/usr/bin/ls"],
		[`/usr//bin/ls@sha256:${DIGEST.toUpperCase()}`, `/usr/bin/ls@sha256:${DIGEST}`],
		["/opt/odd@name", "/opt/odd@name"],
	])("%s is %s", (entry, normal) => {
		expect(parseAllowed(entry)).toEqual({ value: normal });
	});

	it.each([
		["ls", /absolute path/],
		["/a/../b", /without "\.\."/],
		["/bin/ls@sha256:", /64 hexadecimal digits.*sha256sum \/bin\/ls/],
		["/bin/ls@sha256:abc", /64 hexadecimal digits/],
		[`/bin/ls@sha256:${DIGEST}0`, /64 hexadecimal digits/],
		[`@sha256:${DIGEST}`, /absolute path/],
	])("%s is refused", (entry, problem) => {
		expect(parseAllowed(entry)).toEqual({ problem: expect.stringMatching(problem) });
	});

	it("comes apart into its path and digest", () => {
		expect(parseProgram("/bin/ls")).toEqual({ path: "/bin/ls" });
		expect(parseProgram(`/bin/ls@sha256:${DIGEST}`)).toEqual({ path: "/bin/ls", sha256: DIGEST });
	});
});
