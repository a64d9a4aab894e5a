import { describe, expect, it } from "vitest";
import type { Mount, Spec } from "../../src/oci/types.ts";
import { closeDevSteps, discardSteps, heldSlots, holdSteps, renewSteps } from "../../src/plan/renew.ts";
import type { Step } from "../../src/plan/types.ts";

const mounts: readonly Mount[] = [
	{ destination: "/proc", type: "proc", source: "proc" },
	{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755", "size=64k"] },
	{ destination: "/dev/null", type: "bind", source: "/dev/null", options: ["bind"] },
	{ destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance"] },
	{ destination: "/dev/mqueue", type: "mqueue", source: "mqueue" },
	{ destination: "/run", type: "tmpfs", source: "tmpfs", options: ["ro"] },
	{ destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["size=1m"] },
	{ destination: "/tmp/shown", type: "bind", source: "/host/shown", options: ["rbind", "ro"] },
	{ destination: "/tmp/shown/cache", type: "tmpfs", source: "tmpfs", options: ["size=1m"] },
	{ destination: "/tmp/deep/er", type: "tmpfs", source: "tmpfs", options: ["size=1m"] },
	{ destination: "/data", type: "bind", source: "/data", options: ["rbind"] },
];

const spec = { mounts, root: { path: "/", readonly: true } } as unknown as Spec;
const facts = { paths: { "/host/shown": { kind: "directory" } }, landlockAbi: 6 } as const;
const renewed = renewSteps(spec, facts as never, mounts);

const calls = (steps: readonly Step[], call: string) => steps.filter((step) => step.call === call);
const at = (label: string): number => {
	const index = renewed.findIndex((step) => step.label === label);
	expect(index, label).toBeGreaterThanOrEqual(0);
	return index;
};

describe("what is made anew between programs", () => {
	it("is every writable file system of the jail's own, and nothing of the host's", () => {
		const made = calls(renewed, "move_mount").map(({ label }) => label);
		expect(made.filter((label) => label.startsWith("mount a new"))).toEqual([
			"mount a new devpts on /dev/pts",
			"mount a new mqueue on /dev/mqueue",
			"mount a new tmpfs on /tmp",
			"mount a new tmpfs on /tmp/shown/cache",
			"mount a new tmpfs on /tmp/deep/er",
		]);
		expect(made.filter((label) => label.startsWith("put back"))).toEqual(["put back /tmp/shown"]);
		const touched = renewed.slice(0, at("make a Landlock ruleset")).map(({ label }) => label);
		expect(touched.filter((label) => /\/(data|proc|run|dev\/null)\b/.test(label))).toEqual([]);
	});

	it("leaves by one unmount, deepest first, and binds are taken along before the mount they stand on goes", () => {
		expect(calls(renewed, "umount2")).toHaveLength(0);
		expect(calls(discardSteps(mounts), "umount2")).toHaveLength(1);
		expect(discardSteps([])).toEqual([]);
		expect(at("move the old /tmp/shown/cache away")).toBeLessThan(at("take /tmp/shown along"));
		expect(at("take /tmp/shown along")).toBeLessThan(at("move the old /tmp away"));
	});

	it("has its IPC objects in a new namespace, made before the file system that shows them", () => {
		expect(at("enter a new IPC namespace")).toBeLessThan(at("mount a new mqueue on /dev/mqueue"));
	});

	it("is known to Landlock last, by paths that pass through no link", () => {
		expect(at("make a Landlock ruleset")).toBeGreaterThan(at("put back /tmp/shown"));
		expect(renewed.slice(at("make a Landlock ruleset")).some(({ call }) => call === "openat")).toBe(false);
		const without = renewSteps(spec, { ...facts, landlockAbi: 0 } as never, mounts);
		expect(calls(without, "landlock_create_ruleset")).toEqual([]);
	});

	it("is held open before the first program, /dev being read-only", () => {
		const slots = heldSlots(mounts);
		for (const name of ["/dev/pts", "/dev/mqueue", "/tmp", "/tmp/shown", "/tmp/shown/cache", "/tmp/deep/er"]) {
			expect(slots).toContain(`at ${name}`);
		}
		expect(slots).not.toContain("at /dev");
		const saved = holdSteps(mounts).flatMap(({ save }) => (save === undefined ? [] : [save]));
		expect(slots.filter((slot) => slot !== "root" && !saved.includes(slot))).toEqual([]);
		expect(closeDevSteps().map(({ label }) => label)).toContain("make /dev read-only");
	});

	it("uses no slot that it does not fill or was not kept", () => {
		const filled = new Set<string>([...heldSlots(mounts), "ruleset"]);
		for (const step of renewed) {
			for (const arg of step.args) {
				if (typeof arg === "object" && "slot" in arg) expect(filled, step.label).toContain(arg.slot);
			}
			if (step.save !== undefined) filled.add(step.save);
		}
	});
});
