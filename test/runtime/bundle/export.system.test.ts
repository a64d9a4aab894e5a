import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { policyOf } from "../../helpers/policy.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { Harness, missing, type RunInput } from "./harness.ts";

const skipped = requireOr(missing());
const harness = skipped ? undefined : new Harness();
const folder = harness?.folder ?? "";
const place = (name: string) => join(folder, name);

function run(input: RunInput) {
	if (harness === undefined) throw new Error("these tests are skipped");
	return harness.run(input);
}

beforeAll(() => {
	if (skipped) return;
	for (const name of ["project", "work", "secret", "sub"]) mkdirSync(place(name));
	writeFileSync(place("project/readme"), "hello\n");
	writeFileSync(place("secret/key"), "SECRET\n");
});

afterAll(() => {
	if (harness !== undefined) expect(harness.close()).toEqual([]);
});

/** What the `default` preset says, with the project below the masked and emptied folders. */
const usual = () =>
	policyOf({
		system: { memory: { maxBytes: 64 << 20, swapBytes: 0 }, pids: { max: 16 }, cwd: place("project") },
		file: {
			maskedPaths: ["/home", "/root"],
			readablePaths: [place("project")],
			tmpfs: [{ path: "/tmp", sizeBytes: 1 << 20 }],
		},
	});

describe.skipIf(skipped).each(["crun", "runc"] as const)("a bundle under %s", (runtime) => {
	it("runs as the caller, without capabilities, with no_new_privs and seccomp", () => {
		const { stdout, stderr, status } = run({ runtime, policy: usual(), script: "id; cat /proc/self/status" });
		expect(stderr.replace(/^cgroups in hybrid.*\n/m, "")).toBe("");
		expect(status).toBe(0);
		expect(stdout).toMatch(/^uid=0\(root\) gid=0\(root\) groups=0\(root\)\n/);
		for (const set of ["Inh", "Prm", "Eff", "Bnd", "Amb"])
			expect(stdout).toMatch(new RegExp(`^Cap${set}:\t0{16}$`, "m"));
		expect(stdout).toMatch(/^NoNewPrivs:\t1$/m);
		expect(stdout).toMatch(/^Seccomp:\t2$/m);
	});

	it("has a read-only root, empty masks, a project in sight and a /tmp of its own", () => {
		const { stdout, stderr } = run({
			runtime,
			policy: usual(),
			script:
				"pwd; cat readme; touch x /abc /usr/x /home/x; ls -A /home /root /run; touch /tmp/t && ls -A /tmp; ls /dev",
		});
		expect(stdout).toMatch(new RegExp(`^${place("project")}\nhello\n`));
		for (const path of ["x", "/abc", "/usr/x", "/home/x"])
			expect(stderr).toContain(`touch: cannot touch '${path}': Read-only`);
		expect(stdout).toMatch(/\/home:\n\n\/root:\n\n\/run:\n/);
		expect(stdout).toMatch(/^t$/m);
		expect(stdout).toMatch(
			/^(core\n)?fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero$/m,
		);
		expect(existsSync("/tmp/t")).toBe(false);
	});

	it("keeps the memory limit, and only where there is one", () => {
		const script = "head -c 150m /dev/zero | tail -c 150m > /dev/null; echo status $?";
		expect(run({ runtime, policy: usual(), script }).stdout).toBe("status 137\n");
		expect(run({ runtime, policy: policyOf(), script }).stdout).toBe("status 0\n");
	});

	it("keeps the limit on processes, and only where there is one", () => {
		const script = "for i in $(seq 30); do sleep 1 & done; wait; echo done";
		expect(run({ runtime, policy: usual(), script }).stderr).toMatch(/fork/i);
		expect(run({ runtime, policy: policyOf(), script }).stdout).toBe("done\n");
	});

	it("writes where the policy says so, and the host sees it", () => {
		const policy = policyOf({ file: { writablePaths: [place("work")], maskedPaths: [place("secret")] } });
		const target = place(`work/from-${runtime}`);
		const { stdout, stderr } = run({
			runtime,
			policy,
			script: `echo ${runtime} > ${target}; touch ${place("project/x")}; ls -A ${place("secret")}; cat ${place("secret/key")}`,
		});
		expect(readFileSync(target, "utf8")).toBe(`${runtime}\n`);
		expect(stderr).toContain(`touch: cannot touch '${place("project/x")}': Read-only file system`);
		expect(stderr).toContain(`${place("secret/key")}: No such file or directory`);
		expect(stdout).toBe("");
	});

	it("does not show itself: its root file system would show what is masked elsewhere", () => {
		const policy = policyOf({ file: { maskedPaths: ["/etc"] } });
		const script = `ls -A ${folder}/run-*/bundle; cat ${folder}/run-*/bundle/rootfs/etc/passwd; echo end`;
		const { stdout } = run({ runtime, policy, script });
		expect(stdout).not.toContain("root:");
		expect(stdout).toMatch(/end\n$/);
	});

	it("makes file systems that are mounted below a folder read-only too, and shows them", () => {
		const before = `mount -t tmpfs vmjail-test ${place("sub")} && echo inner > ${place("sub/file")}`;
		const script = `cat ${place("sub/file")}; touch ${place("sub/x")}`;
		const { stdout, stderr } = run({ runtime, policy: policyOf(), script, before });
		expect(stdout).toBe("inner\n");
		expect(stderr).toContain("Read-only file system");
		const writable = policyOf({ file: { writablePaths: [folder] } });
		expect(run({ runtime, policy: writable, script, before }).stderr).not.toContain("Read-only file system");
	});
});

describe.skipIf(skipped)("what the tests above rely on", () => {
	it("without its own mask a bundle under runc does show what is masked elsewhere", () => {
		const policy = policyOf({ file: { maskedPaths: ["/etc"] } });
		const change = (bundle: string) => {
			const file = join(bundle, "config.json");
			const config = readFileSync(file, "utf8");
			const without = config.replace(`"${bundle}"`, '"/nowhere"');
			expect(without).not.toBe(config);
			writeFileSync(file, without);
		};
		const { stdout } = run({ runtime: "runc", policy, script: `cat ${folder}/run-*/bundle/rootfs/etc/passwd`, change });
		expect(stdout).toContain("root:");
	});
});

describe.skipIf(skipped)("a bundle that an ordinary user exports", () => {
	const uid = 65534;
	const policy = () =>
		policyOf({ file: { maskedPaths: [place("secret")], tmpfs: [{ path: "/srv", sizeBytes: 4096 }] } });

	it("runs under crun as that user", () => {
		const script = `id -u; ls -A ${place("secret")}; touch /srv/x /usr/x; grep -c Read-only /dev/null`;
		const { stdout, stderr } = run({ runtime: "crun", policy: policy(), script, uid });
		expect(stderr).toContain("touch: cannot touch '/usr/x': Read-only file system");
		expect(stderr).not.toContain("/srv/x");
		expect(stdout).toBe(`${uid}\n0\n`);
	});

	it("is refused by runc, which wants a user 0 inside", () => {
		const { status, stderr } = run({ runtime: "runc", policy: policy(), script: "true", uid });
		expect(status).toBe(1);
		expect(stderr).toContain("no user mapping found");
	});
});
