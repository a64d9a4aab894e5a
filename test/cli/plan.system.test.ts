/** `vmjail plan` for policies that another runtime carries out. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseSpecJson } from "../../src/oci/json.ts";
import type { Spec } from "../../src/oci/types.ts";
import { validateSpec } from "../../src/oci/validate.ts";
import { runscBuilds } from "../conformance/runtimes.ts";
import { removeFolder } from "../helpers/folder.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingPrograms, PATH, VMJAIL } from "../system/caller.ts";

const builds = await runscBuilds();
const skipped = requireOr(builds.length > 0 ? undefined : "no runsc to test with: sh scripts/get-runsc.sh");
const folder = mkdtempSync(join(tmpdir(), "plan-test-"));
afterAll(() => removeFolder(folder));

const OPTIONAL = ["memory", "swap", "cpu", "pids"];
const policy = (name: string, system: object, security: object = {}) => {
	const file = join(folder, name);
	writeFileSync(file, JSON.stringify({ system: { optional: OPTIONAL, ...system }, security }));
	return file;
};

function plan(args: readonly string[]) {
	return spawnSync(VMJAIL, ["plan", ...args], { encoding: "utf8", cwd: folder, env: { PATH } });
}

/** Lines that stand at the margin: titles. */
const titles = (text: string) => text.split("\n").filter((line) => /^[a-z]/.test(line));

interface Shown {
	readonly title: string;
	readonly steps: readonly { readonly label: string; readonly call: string; readonly args: readonly string[] }[];
}

describe.skipIf(skipped).each(builds.map(({ path, abilities }) => [abilities.version, path] as const))(
	"vmjail plan on runsc %s",
	(_, runsc) => {
		it("prints what is set up around it, its command line and its config.json, and starts nothing", () => {
			const marker = join(folder, "planned");
			const file = policy("plain.json", { runtime: "runsc" }, { file: { writablePaths: [folder] } });
			const { status, stdout, stderr } = plan(["-c", file, "--runsc", runsc, "--", "touch", marker]);
			expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
			expect(existsSync(marker)).toBe(false);
			const [, state = ""] = /^ {2}--root=(.*)$/m.exec(stdout) ?? [];
			expect([state.startsWith("/"), existsSync(state)]).toEqual([true, false]);
			expect(titles(stdout)).toEqual([
				expect.stringMatching(/^on the host, before the jail around runsc$/),
				expect.stringMatching(/^clone3\(flags=0x[0-9a-f]+\); on the host, while the jail around runsc waits$/),
				"in the jail around runsc: its pid 1",
				expect.stringMatching(/^clone3\(flags=0x0\); in pid 1, while the process waits$/),
				"in runsc's process",
				"inside: in the program's process",
				"on the host, when the jail around runsc has ended: measure",
				"on the host, last: clean up",
				"runsc's command",
				"runsc's config.json",
			]);
			expect(stdout).toContain("# make the group ");
			expect(stdout).toContain(`# execute ${runsc}`);
			const [, command = ""] = stdout.split("runsc's command\n");
			for (const flag of ["--network=none", "--directfs=false", "--oci-seccomp"])
				expect(command).toContain(`  ${flag}\n`);
			const config = parseSpecJson(stdout.slice(stdout.indexOf("{\n", stdout.indexOf("config.json"))));
			expect(() => validateSpec(config)).not.toThrow();
			const { process: first, linux } = config as Spec;
			expect(first.args.slice(0, 3)).toEqual(["vmjail-confine", "3", "<filter>"]);
			expect(first.args.slice(-2)).toEqual(["touch", marker]);
			expect(linux.seccomp).toBeUndefined();
			expect(stdout).toMatch(/^ {6}# install the seccomp filter$/m);
		});

		it("prints what gVisor's own filter is made of, where the program's process cannot install one", () => {
			const syscalls = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["execve"], action: "SCMP_ACT_ERRNO" }] };
			const file = policy("no-exec.json", { runtime: "runsc" }, { syscalls });
			const config = (...flags: readonly string[]) =>
				JSON.parse(plan(["--json", ...flags, "-c", file, "--runsc", runsc, "--", "true"]).stdout).config;
			expect(config()).toMatchObject({ process: { args: ["true"] }, linux: { seccomp: expect.anything() } });
			expect(config()).not.toMatchObject({ linux: { seccomp: { syscalls: expect.anything() } } });
			expect(config("--filter")).toMatchObject({ linux: { seccomp: { syscalls: expect.anything() } } });
		});

		it("prints with a list of programs what vmjail's own pid 1 does inside, and on request the filter", () => {
			const file = policy("list.json", { runtime: "runsc" }, { process: { allow: ["/usr/bin/true"] } });
			const { stdout } = plan(["--json", "--filter", "-c", file, "--runsc", runsc, "--", "/usr/bin/true"]);
			const { runtime, command, config, sections, filter } = JSON.parse(stdout);
			expect({ runtime, args: config.process.args }).toEqual({ runtime: "runsc", args: ["vmjail-init", "inner", "3"] });
			expect(command).toEqual(expect.arrayContaining(["--pass-fd=3:3", "--exec-fd=4"]));
			const inside = (sections as readonly Shown[]).filter(({ title }) => title.startsWith("inside: "));
			expect(inside.map(({ title }) => title)).toEqual([
				"inside: vmjail's own pid 1",
				"inside: in the program's process",
			]);
			const labels = inside.flatMap(({ steps }) => steps.map(({ label }) => label));
			expect(labels).toEqual(
				expect.arrayContaining([
					"let /usr/bin/true run",
					"drop every capability",
					"install the seccomp filter",
					"execute /usr/bin/true",
				]),
			);
			expect(filter).toMatch(/^ +0 {2}A = architecture$/m);
			expect(filter).toContain("return TRACE");
		});
	},
);

describe.skipIf(requireOr(missingPrograms("crun", "runc"))).each(["crun", "runc"])("vmjail plan on %s", (runtime) => {
	it("prints its command line and its config.json", () => {
		const { status, stdout } = plan(["--json", "-c", policy(`${runtime}.json`, { runtime }), "--", "true"]);
		expect(status).toBe(0);
		const { command, config, sections } = JSON.parse(stdout);
		expect(command[0]).toMatch(new RegExp(`/${runtime}$`));
		expect(command).toContain("run");
		expect(config).toMatchObject({ process: { args: ["true"] }, root: { readonly: true } });
		expect((sections as readonly Shown[]).map(({ title }) => title)).toContain(`in ${runtime}'s process`);
	});
});

describe("vmjail plan without runsc", () => {
	const flags = ["--runsc", "/nowhere/runsc"];

	it("says why, in place of another runtime's plan", () => {
		const { status, stdout, stderr } = plan(["-c", policy("none.json", { runtime: "runsc" }), ...flags, "--", "true"]);
		expect({ status, stdout }).toEqual({ status: 125, stdout: "" });
		expect(stderr).toContain("system.runtime: ");
	});

	it("prints the plan of the runtime that stands in, and why it does", () => {
		const file = policy("rollback.json", { runtime: "runsc", rollback: "runlc" });
		const { status, stdout } = plan(["-c", file, ...flags, "--", "true"]);
		expect(status).toBe(0);
		expect(stdout).toMatch(/^runlc, because runsc: .*\/nowhere\/runsc/);
		expect(titles(stdout)).toContain("in the jail: its pid 1");
		const json = JSON.parse(plan(["-c", file, "--json", ...flags, "--", "true"]).stdout);
		expect(json).toMatchObject({ runtime: "runlc", rolledBackFrom: "runsc", why: expect.any(String) });
	});
});
