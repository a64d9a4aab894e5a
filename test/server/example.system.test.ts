import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { TestServer } from "../judge/server.ts";
import { missingPrograms } from "../system/caller.ts";

const example = join(import.meta.dirname, "../../examples/grade.mjs");

describe.skipIf(requireOr(missingPrograms("gcc")))("examples/grade.mjs", () => {
	it("grades by a server with its own defaults, and leaves no file there", async () => {
		const server = await TestServer.start(undefined);
		try {
			const { stdout } = await promisify(execFile)(process.execPath, [example, `http://127.0.0.1:${server.port}`]);
			expect(stdout).toBe("test 1: right\ntest 2: right\ntest 3: wrong answer\n");
			expect((await server.ask("/file")).body.toString()).toBe("{}");
		} finally {
			expect(await server.stop()).toBe(0);
		}
	});
});
