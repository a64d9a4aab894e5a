import { constants } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFailure, type StepFailure } from "../../src/executor/frames.ts";
import { launchError } from "../../src/jail/launch-error.ts";
import { policyOf } from "../helpers/policy.ts";
import { planned } from "../plan/fixtures.ts";

const { plan, workload } = planned(policyOf(), { command: ["prog", "x"] });
const { errno } = constants;

function failureAt(label: string, error: number, denied = 0): StepFailure {
	const step = workload.child.findIndex((one) => one.label === label);
	if (step < 0) throw new Error(`no step ${label}`);
	return { section: "child", step, error, denied };
}

const last = workload.child.at(-1)?.label ?? "";

describe("the error for a failed step", () => {
	it("names the step, the error, and where to look", () => {
		const step = plan.child.findIndex(({ label }) => label === "mount proc on /proc");
		const error = launchError(plan, { section: "child", step, error: errno.EPERM, denied: 0 }, ["x"]);
		expect(error).toMatchObject({ code: "LAUNCH_FAILED", message: "mount proc on /proc: EPERM" });
		expect(error.remedy).toContain("vmjail doctor");
	});

	it.each([
		["EPERM", "forbids user namespaces"],
		["ENOSPC", "max_user_namespaces"],
		["EAGAIN", "limit of processes"],
		["EINVAL", "vmjail doctor"],
	])("of the clone itself, %s", (name, remedy) => {
		const error = launchError(plan, { section: "parent", error: errno[name as keyof typeof errno], denied: 0 }, ["x"]);
		expect(error).toMatchObject({ code: "LAUNCH_FAILED", message: `start a process in new namespaces: ${name}` });
		expect(error.remedy).toContain(remedy);
	});

	it("knows what is wrong with a working folder", () => {
		expect(launchError(workload, failureAt("go to /", errno.ENOENT), ["x"]).remedy).toContain("--cwd");
		expect(launchError(workload, failureAt("go to /", errno.EACCES), ["x"]).remedy).toContain("--cwd");
	});

	it("calls a mask that is not in its place stale", () => {
		const { plan: masking } = planned(policyOf(), {});
		const step = masking.child.findIndex(({ label }) => label === "check that /proc/kcore is masked");
		expect(launchError(masking, { section: "child", step, error: errno.ESTALE, denied: 0 }, ["x"])).toMatchObject({
			code: "LAUNCH_FAILED",
			message: "check that /proc/kcore is masked: ESTALE",
		});
	});

	it("knows what is wrong with a resource limit", () => {
		expect(launchError(workload, failureAt("limit nofile to 1024", errno.EPERM), ["x"]).remedy).toContain("ulimit -H");
	});
});

describe("the error for a program that did not start", () => {
	const of = (error: number, command: readonly string[] = ["prog"], denied = 0, refused?: string) =>
		launchError(workload, failureAt(last, error, denied), command, refused);

	it.each([errno.ENOENT, errno.ENOTDIR])("is not found: %i", (error) => {
		expect(of(error)).toMatchObject({
			code: "COMMAND_NOT_FOUND",
			message: "prog: not found in the jail",
			remedy: expect.stringContaining("PATH"),
		});
	});

	it("names the path where one was given, and thinks of the interpreter", () => {
		const { workload: ofPath } = planned(policyOf(), { command: ["./x/prog"] });
		const failure: StepFailure = { section: "child", step: ofPath.child.length - 1, error: errno.ENOENT, denied: 0 };
		expect(launchError(ofPath, failure, ["./x/prog"])).toMatchObject({
			code: "COMMAND_NOT_FOUND",
			message: "./x/prog: not found in the jail",
			remedy: expect.stringContaining("interpreter"),
		});
	});

	it("may not be executed where that was so in an earlier folder of PATH", () => {
		expect(of(errno.ENOENT, ["prog"], errno.EACCES)).toMatchObject({
			code: "COMMAND_NOT_EXECUTABLE",
			message: "prog: cannot be executed: EACCES",
		});
	});

	it.each([
		["EACCES", "chmod +x"],
		["ENOEXEC", "#!/bin/sh"],
		["E2BIG", "split them"],
		["ENOMEM", "memory limit"],
		["ETXTBSY", "open for writing"],
		["EPERM", "chmod +x"],
	])("%s says what to do", (name, remedy) => {
		expect(of(errno[name as keyof typeof errno])).toMatchObject({
			code: "COMMAND_NOT_EXECUTABLE",
			message: `prog: cannot be executed: ${name}`,
			remedy: expect.stringContaining(remedy),
		});
	});

	it("was refused by the allow-list", () => {
		expect(of(errno.EACCES, ["prog"], 0, "/usr/bin/prog")).toMatchObject({
			code: "COMMAND_NOT_EXECUTABLE",
			message: "refused: /usr/bin/prog is not in security.process.allow",
			remedy: expect.stringContaining("--exec"),
		});
	});
});

describe("the error for whatever the executor may report", () => {
	it("is always one with a code, a message and a remedy", () => {
		const reports = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => {
			// Section and error mostly near those that exist.
			const view = new DataView(bytes.buffer, bytes.byteOffset);
			view.setUint32(0, view.getUint32(0) % 6, true);
			view.setUint32(8, view.getUint32(8) % 5000, true);
			return decodeFailure(bytes);
		});
		fc.assert(
			fc.property(reports, fc.boolean(), fc.option(fc.string(), { nil: undefined }), (failure, ofPlan, refused) => {
				if (failure === undefined) return;
				const error = launchError(ofPlan ? plan : workload, failure, ["prog"], refused);
				expect(error.code).toMatch(/^(LAUNCH_FAILED|COMMAND_NOT_\w+)$/);
				expect(error.message).not.toContain("undefined");
				expect(error.remedy).toBeTruthy();
			}),
		);
	});
});
