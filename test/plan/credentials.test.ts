import { describe, expect, it } from "vitest";
import type { Process, Rlimit } from "../../src/oci/types.ts";
import { capabilityMask, capabilityNumber, LAST_CAPABILITY } from "../../src/plan/capabilities.ts";
import { credentialSteps, inheritedSteps, rlimitSteps } from "../../src/plan/credentials.ts";
import type { Step } from "../../src/plan/types.ts";

const PR_SET_SECUREBITS = 28;
const PR_CAPBSET_DROP = 24;

function processWith(permitted: readonly string[], additionalGids: readonly number[] = []): Process {
	const sets = { bounding: permitted, effective: permitted, permitted, inheritable: permitted, ambient: permitted };
	return { cwd: "/", env: [], args: ["x"], user: { uid: 7, gid: 8, additionalGids }, capabilities: sets };
}

const words = (bytes: Uint8Array): readonly number[] => [
	...new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4),
];
/** The structure that a step hands over as its argument number `at`, in 32-bit words. */
function structOf(step: Step | undefined, at: number): readonly number[] {
	const arg = step?.args[at];
	if (typeof arg !== "object" || !("bytes" in arg)) throw new Error(`no structure: ${step?.label}`);
	return words(arg.bytes);
}
const of = (steps: readonly Step[], call: string, operation?: number): readonly Step[] =>
	steps.filter((step) => step.call === call && (operation === undefined || step.args[0] === operation));

describe("capabilities", () => {
	it("have the kernel's numbers", () => {
		expect(
			["CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"].map(capabilityNumber),
		).toEqual([0, 10, 21, 40]);
		expect(LAST_CAPABILITY).toBe(40);
		expect(capabilityMask(["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"])).toBe(0x100_0000_0001n);
	});

	it("of no such name are refused", () => {
		expect(() => capabilityNumber("CAP_ROOT")).toThrow(expect.objectContaining({ code: "POLICY_INVALID" }));
	});
});

describe("credentialSteps", () => {
	it("drop all capabilities from every set where none is granted", () => {
		const steps = [...inheritedSteps(processWith([])), ...credentialSteps(processWith([]), true)];
		expect(of(steps, "prctl", PR_CAPBSET_DROP).map(({ args }) => args[1])).toEqual([...Array(41).keys()]);
		expect(structOf(of(steps, "capset")[0], 1)).toEqual([0, 0, 0, 0, 0, 0]);
		expect(of(steps, "prctl", PR_SET_SECUREBITS)[0]?.args[1]).toBe(0xef);
		expect(of(steps, "prctl", 47)).toEqual([]);
	});

	it("inherit nothing from pid 1 where one is granted: the program begins in a user namespace of its own", () => {
		expect(inheritedSteps(processWith(["CAP_KILL"]))).toEqual([]);
	});

	it("keep what is granted in the bounding, permitted and ambient sets, in both halves", () => {
		const steps = credentialSteps(processWith(["CAP_KILL", "CAP_BPF"]), true);
		const dropped = of(steps, "prctl", PR_CAPBSET_DROP).map(({ args }) => args[1]);
		expect(dropped).toHaveLength(39);
		expect(dropped).not.toEqual(expect.arrayContaining([5]));
		const half = [1 << 5, 1 << 5, 1 << 5];
		expect(structOf(of(steps, "capset")[0], 1)).toEqual([...half, 1 << 7, 1 << 7, 1 << 7]);
		expect(of(steps, "prctl", 47).map(({ args }) => args.slice(1, 3))).toEqual([
			[2, 5],
			[2, 39],
		]);
		// Without SECBIT_NO_CAP_AMBIENT_RAISE, which would forbid what follows.
		expect(of(steps, "prctl", PR_SET_SECUREBITS)[0]?.args[1]).toBe(0x2f);
	});

	it("set groups only where that is allowed, and an empty list by a null pointer", () => {
		expect(of(credentialSteps(processWith([], [4]), false), "setgroups")).toEqual([]);
		expect(of(credentialSteps(processWith([]), true), "setgroups")[0]?.args).toEqual([0, 0]);
		const [some] = of(credentialSteps(processWith([], [4, 70000]), true), "setgroups");
		expect([some?.args[0], structOf(some, 1)]).toEqual([2, [4, 70000]]);
	});

	it("set the real, effective and saved ids", () => {
		const steps = credentialSteps(processWith([]), true);
		expect([of(steps, "setresgid")[0]?.args, of(steps, "setresuid")[0]?.args]).toEqual([
			[8, 8, 8],
			[7, 7, 7],
		]);
	});
});

describe("rlimitSteps", () => {
	const step = (limit: Rlimit) => rlimitSteps([limit])[0];
	const values = (limit: Rlimit) => {
		const [soft = 0n, softHigh = 0n, hard = 0n, hardHigh = 0n] = structOf(step(limit), 2).map(BigInt);
		return [soft | (softHigh << 32n), hard | (hardHigh << 32n)];
	};

	it("name the resource and the limit", () => {
		const nofile = step({ type: "RLIMIT_NOFILE", soft: 64, hard: 128 });
		expect(nofile?.label).toBe("limit nofile to 64");
		expect([nofile?.args[1], nofile?.args[3]]).toEqual([7, 0]);
		expect(values({ type: "RLIMIT_NOFILE", soft: 64, hard: 128 })).toEqual([64n, 128n]);
	});

	it("take infinity, in all the ways that JSON can say it", () => {
		const infinite = 0xffff_ffff_ffff_ffffn;
		for (const soft of [Number.POSITIVE_INFINITY, -1, 2 ** 63, 2 ** 64]) {
			expect(values({ type: "RLIMIT_FSIZE", soft, hard: soft })).toEqual([infinite, infinite]);
		}
		expect(values({ type: "RLIMIT_FSIZE", soft: 2 ** 40, hard: 2 ** 62 })).toEqual([2n ** 40n, 2n ** 62n]);
	});

	it("refuse a resource that is none", () => {
		expect(() => step({ type: "RLIMIT_LUCK", soft: 1, hard: 1 })).toThrow(
			expect.objectContaining({ code: "POLICY_INVALID" }),
		);
	});
});
