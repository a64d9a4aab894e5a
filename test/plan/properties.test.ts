import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AT_FDCWD, CLONE_NEW } from "../../src/plan/constants.ts";
import type { Arg, Bytes, Launch, SlotName, Step } from "../../src/plan/types.ts";
import type { Policy } from "../../src/policy/types.ts";
import { network, policyOf } from "../helpers/policy.ts";
import { file, folder, ROOT_USER } from "../oci/fixtures.ts";
import { type Planned, type PlannedParts, planned } from "./fixtures.ts";

const FOLDERS = ["/a", "/a/b", "/a/b/c", "/d", "/d/e", "/srv/x"];
const FILES = ["/f", "/a/f", "/d/e/f"];

/** Before and after the guard's filter can have a listener that no signal interrupts. */
const OLDER = { release: "5.18.0", major: 5, minor: 18 };
const NEWER = { release: "5.19.0", major: 5, minor: 19 };

interface Case {
	readonly policy: Policy;
	readonly parts: PlannedParts;
}

/** Each path gets one treatment or none, so that the lists never contradict each other. */
const treatments = fc.record(
	Object.fromEntries(
		[...FOLDERS, ...FILES].map((path) => [path, fc.constantFrom("none", "writable", "readable", "masked")]),
	),
);

const cases: fc.Arbitrary<Case> = fc
	.record({
		of: treatments,
		tmpfs: fc.boolean(),
		privileged: fc.boolean(),
		readonly: fc.boolean(),
		mode: fc.constantFrom("none" as const, "host" as const),
		capabilities: fc.subarray(["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_TIME"]),
		landlockAbi: fc.integer({ min: 0, max: 7 }),
		terminal: fc.boolean(),
		command: fc.constantFrom(["/bin/true"], ["sh", "-c", "id"]),
		guarded: fc.boolean(),
		kernel: fc.constantFrom(OLDER, NEWER),
	})
	.map((c) => {
		const named = (kind: string) => Object.keys(c.of).filter((path) => c.of[path] === kind);
		return {
			policy: policyOf({
				system: { root: { path: "/", readonly: c.readonly }, capabilities: c.capabilities },
				network: network(c.mode),
				file: {
					writablePaths: named("writable"),
					readablePaths: named("readable"),
					maskedPaths: named("masked"),
					tmpfs: c.tmpfs ? [{ path: "/t", sizeBytes: 4096 }] : [],
				},
			}),
			parts: {
				...(c.privileged ? { caller: ROOT_USER } : {}),
				landlockAbi: c.landlockAbi,
				command: c.command,
				kernel: c.kernel,
				...(c.guarded ? { programs: [{ path: "/f", real: "/f", interpreters: ["/d/e/f"], loaders: [] }] } : {}),
				paths: [...[...FOLDERS, "/t"].map(folder), ...FILES.map(file)],
				...(c.terminal
					? { workload: { terminal: { size: { rows: 24, columns: 80 }, streams: ["stdin", "stdout"] as const } } }
					: {}),
			},
		};
	});

function holds(check: (plans: Planned) => void): void {
	fc.assert(
		fc.property(cases, ({ policy, parts }) => check(planned(policy, parts))),
		{ numRuns: 30 },
	);
}

function slotsOf(bytes: Bytes): readonly SlotName[] {
	return (bytes.patches ?? []).flatMap((patch) => {
		if (patch.kind === "pointer") return slotsOf(patch.to);
		return patch.kind === "slot" ? [patch.slot] : [];
	});
}

function usedBy(arg: Arg): readonly SlotName[] {
	if (typeof arg !== "object") return [];
	if ("slot" in arg) return [arg.slot];
	return "bytes" in arg ? slotsOf(arg) : [];
}

/** Slots that a step uses and that no earlier step saved. */
function unsaved(steps: readonly Step[], given: readonly SlotName[]): readonly string[] {
	const saved = new Set(given);
	return steps.flatMap((step) => {
		const missing = step.args.flatMap(usedBy).filter((slot) => !saved.has(slot));
		if (step.save !== undefined) saved.add(step.save);
		return missing.map((slot) => `${step.label}: ${slot}`);
	});
}

/** A child has what its parent saved before the clone; what the parent saves after it is the parent's alone. */
function unsavedIn({ before, parent, child }: Launch, given: readonly SlotName[]): readonly string[] {
	return [...unsaved([...before, ...parent], given), ...unsaved([...before, ...child], given)];
}

const position = (steps: readonly Step[], call: string): number => steps.findLastIndex((step) => step.call === call);
const first = (steps: readonly Step[], call: string): number => steps.findIndex((step) => step.call === call);
const all = ({ before, parent, child }: Launch): readonly Step[] => [...before, ...parent, ...child];

const NO_NEW_PRIVS = 38;

describe("every plan", () => {
	it("uses only slots that were saved before, and a program only those and what the jail keeps", () => {
		holds(({ plan, workload }) => {
			expect(unsavedIn(plan, [])).toEqual([]);
			expect(unsavedIn(workload, ["stdin", "stdout", "stderr", ...plan.keep])).toEqual([]);
			const saved = all(plan).map(({ save }) => save);
			expect(plan.keep.filter((slot) => !saved.includes(slot))).toEqual([]);
		});
	});

	it("mounts everything before pivot_root, and leaves the old root at once", () => {
		holds(({ plan: { child } }) => {
			const pivot = first(child, "pivot_root");
			const mounting = ["mount", "move_mount", "fsmount", "open_tree", "mount_setattr"];
			for (const call of mounting) expect(position(child, call)).toBeLessThan(pivot);
			expect(child.slice(pivot + 1, pivot + 3).map(({ call }) => call)).toEqual(["umount2", "chdir"]);
			expect(child.filter(({ call }) => call === "pivot_root")).toHaveLength(1);
		});
	});

	it("cuts propagation and takes the root's rights away before anything is attached", () => {
		holds(({ plan: { child } }) => {
			expect(first(child, "mount")).toBeLessThan(first(child, "open_tree"));
			expect(first(child, "mount_setattr")).toBeLessThan(first(child, "move_mount"));
		});
	});

	it("never lets a step of the set-up of mounts fail unnoticed, but where something is there already", () => {
		holds(({ plan: { child } }) => {
			const tolerated = child.flatMap(({ call, tolerate = [] }) => tolerate.map((error) => `${call} ${error}`));
			const harmless = ["mkdirat EEXIST", "mknodat EEXIST", "symlinkat EEXIST"];
			// An old kernel's memory files stay executable: the guard holds without that.
			harmless.push("openat ENOENT", "openat EACCES", "write EBADF", "write EINVAL", "write EPERM");
			// A capability that this kernel does not know.
			harmless.push("prctl EINVAL");
			expect(tolerated.filter((error) => !harmless.includes(error))).toEqual([]);
		});
	});

	it("does nothing ahead that opens a path, mounts, or looks at the host's mounts", () => {
		holds(({ plan: { child, ahead = 0 } }) => {
			expect(ahead).toBeGreaterThan(0);
			const done = new Set(child.slice(0, ahead).map(({ call }) => call));
			for (const call of ["setsid", "unshare", "sethostname", "socket", "ioctl", "prctl"] as const) done.delete(call);
			expect([...done]).toEqual([]);
			const left = child.slice(ahead).filter(({ call }) => call === "unshare");
			expect(left.map(({ args }) => args[0])).toEqual([CLONE_NEW.mount]);
			expect(child[ahead]).toBe(left[0]);
		});
	});

	it("installs seccomp right before exec, the guard's filter first", () => {
		holds(({ facts: { programs, kernel }, workload: { child } }) => {
			const calls = child.map(({ call }) => call);
			const execs = calls.filter((call) => call === "execve");
			expect(calls.slice(-execs.length)).toEqual(execs);
			const stops = programs !== undefined && kernel === OLDER ? ["seccomp"] : [];
			expect(calls.slice(calls.indexOf("close_range") + 1, -execs.length)).toEqual([...stops, "seccomp"]);
			const announces = programs !== undefined && kernel === NEWER ? ["seccomp", "watch_exec"] : [];
			const early = calls.slice(0, calls.indexOf("close_range"));
			expect(early.filter((call) => call === "seccomp" || call === "watch_exec")).toEqual(announces);
		});
	});

	it("sets no_new_privs before Landlock, Landlock before seccomp, and closes all descriptors before seccomp", () => {
		holds(({ plan, workload: { child } }) => {
			const noNewPrivs = child.findIndex(({ call, args }) => call === "prctl" && args[0] === NO_NEW_PRIVS);
			const restrict = first(child, "landlock_restrict_self");
			const filter = first(child, "seccomp");
			expect(noNewPrivs).toBeGreaterThan(0);
			expect(restrict === -1).toBe(plan.keep.length === 0);
			if (restrict !== -1) expect(noNewPrivs).toBeLessThan(restrict);
			expect(restrict).toBeLessThan(filter);
			expect(noNewPrivs).toBeLessThan(filter);
			expect(first(child, "close_range")).toBeGreaterThan(restrict);
			// But for the filter whose listener is handed over.
			const calls = child.map(({ call }) => call);
			expect(calls.indexOf("close_range")).toBeLessThan(calls.lastIndexOf("seccomp"));
		});
	});

	it("drops the bounding set and locks securebits while it may, then groups, group, user, capabilities", () => {
		holds(({ plan, workload }) => {
			const order = [...plan.child, ...workload.child]
				.filter(({ call }) => ["prctl", "setgroups", "setresgid", "setresuid", "capset"].includes(call))
				.map(({ call, args }) => (call === "prctl" ? `prctl ${args[0]}` : call));
			const expected = [
				"prctl 24",
				"prctl 28",
				"setgroups",
				"setresgid",
				"setresuid",
				"capset",
				"prctl 47",
				"prctl 38",
			];
			expect([...new Set(order)]).toEqual(expected.filter((step) => order.includes(step)));
			expect(order.filter((step) => step === "prctl 24").length).toBeGreaterThanOrEqual(38);
			expect(order).toEqual(expect.arrayContaining(["prctl 28", "setresgid", "setresuid", "capset", "prctl 38"]));
		});
	});

	it("says what each step does, and hands over no NUL inside a string", () => {
		holds(({ plan, workload }) => {
			for (const { label, args } of [...all(plan), ...all(workload)]) {
				expect(label).toMatch(/^\S.*\S$/);
				for (const arg of args) {
					if (typeof arg === "object" && "bytes" in arg && arg.shown.startsWith('"')) {
						expect(arg.bytes.subarray(0, -1).includes(0)).toBe(false);
					}
				}
			}
		});
	});

	it("hides every masked path, and looks whether it is hidden", () => {
		holds(({ spec, facts, plan: { child } }) => {
			const present = (spec.linux.maskedPaths ?? []).filter((path) => facts.paths[path]?.kind !== "missing");
			const labels = child.map(({ label }) => label);
			for (const path of present) {
				expect(labels).toContain(`mask ${path}`);
				expect(labels.indexOf(`check that ${path} is masked`)).toBeGreaterThan(labels.indexOf(`mask ${path}`));
			}
			// The store of the masks lies in the old root and goes with it, so that what is in it cannot be reached.
			const store = labels.indexOf("mount the masks in the old root");
			expect(store === -1).toBe(present.length === 0);
			expect(labels.indexOf("detach the old root")).toBeGreaterThan(store);
			const [target] = store < 1 ? [] : (child[store - 1]?.args ?? []);
			if (store > 0) expect(target).toBe(AT_FDCWD);
		});
	});

	it("grants capabilities only over a user namespace below the jail's own", () => {
		holds(({ spec, workload }) => {
			const granted = spec.process.capabilities?.permitted ?? [];
			expect(workload.cloneFlags === 0n).toBe(granted.length === 0);
			expect(workload.parent.length > 0).toBe(granted.length > 0);
		});
	});
});
