/** Ways around the exec allow-list: each works in the open, and none in a jail, with Landlock and without. */

import { readFileSync, rmSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PATIENCE } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, CHECKOUT, missingCaller, Place, type Ran, ROOT, run, vmjail } from "../system/caller.ts";
import { allowing, buildPrograms, FENCES, type Fence, GVISOR, missingGvisor, put, withoutList } from "./programs.ts";

/** What meets each attack. Where the guard cannot follow the name, it kills what was loaded. */
const ATTACKS: Readonly<Record<string, string | readonly string[]>> = {
	direct: "EACCES",
	doubled_slashes: "EACCES",
	dots: "EACCES",
	by_root_link: "EACCES",
	by_parents_root_link: ["EACCES", "killed"],
	by_cwd_link: "EACCES",
	relative: "EACCES",
	by_folder: "EACCES",
	by_symlink: "EACCES",
	copied: "EACCES",
	by_loader: "EACCES",
	by_memory_file: "EACCES",
	by_executable_memory_file: "EACCES",
	by_proc_of_memory_file: "EACCES",
	by_dev_fd_of_memory_file: "EACCES",
	by_empty_path: "EACCES",
	by_path_descriptor: "EACCES",
	by_libc_fexecve: "EACCES",
	deleted: "EACCES",
	nameless: "EACCES",
	by_vfork: "EACCES",
	by_spawn: "EACCES",
	by_thread: "EACCES",
	untraced: "EPERM",
	untraced_by_clone3: "ENOSYS",
	traced_by_clone: "EACCES",
	own_tracer: "EPERM",
	untraced_with_listener: "EPERM",
	traced_with_listener: ["EACCES", "killed"],
	sigtrap_blocked: "EACCES",
	guard_killed: "EACCES",
	guard_traced: "EACCES",
	guard_rewritten: "EACCES",
	killed_on_the_way: "EACCES",
	by_script: "EACCES",
};

const NAMES = Object.keys(ATTACKS);

const [major = 0, minor = 0] = release().split(".").map(Number);

/** What this kernel has no call for, and what it answers then, in the open as in a jail: MFD_EXEC came with Linux 6.3. */
const NOT_IN_THIS_KERNEL: Readonly<Record<string, string>> =
	major > 6 || (major === 6 && minor >= 3) ? {} : { by_executable_memory_file: "EINVAL" };

/** In the open, and in a jail without the list. */
const inTheOpen = (name: string): string => NOT_IN_THIS_KERNEL[name] ?? "ran";

/** What gVisor has no call for, or refuses whatever the policy says: with the list and without. The rest as above. */
const NOT_IN_GVISOR: Readonly<Record<string, readonly string[]>> = {
	by_executable_memory_file: ["EINVAL"],
	nameless: ["EOPNOTSUPP"],
	own_tracer: ["EPERM"],
	untraced_by_clone3: ["ENOSYS"],
	untraced_with_listener: ["EINVAL"],
	traced_with_listener: ["EINVAL"],
};

/** Builds of 2024 do not have these either. */
const NOT_IN_EVERY_BUILD: Readonly<Record<string, readonly string[]>> = {
	by_parents_root_link: ["EACCES", "ran"],
	deleted: ["EINVAL", "ran"],
};

/** Where the guard has a listener, no program can have one. */
const LISTENER_IS_TAKEN: Readonly<Record<string, readonly string[]>> = {
	untraced_with_listener: ["EBUSY"],
	traced_with_listener: ["EBUSY"],
};

const isGvisor = (fence: Fence): boolean => fence.startsWith("runsc ");

function expected(name: string, fence: Fence): readonly string[] {
	const own = isGvisor(fence) ? NOT_IN_GVISOR[name] : NOT_IN_THIS_KERNEL[name];
	const listens = !isGvisor(fence) && fence !== "guard of old kernels";
	return [own ?? (listens ? LISTENER_IS_TAKEN[name] : undefined) ?? ATTACKS[name] ?? []].flat();
}

/** "NAME WHAT" for each attack. */
function found(ran: Ran): Readonly<Record<string, string>> {
	return Object.fromEntries(
		ran.stdout
			.trimEnd()
			.split("\n")
			.map((line) => line.split(" ") as [string, string]),
	);
}

/** Nothing is refused by system call, so that the allow-list stands alone. */
const EVERY_CALL = '{ "security": { "syscalls": { "defaultAction": "SCMP_ACT_ALLOW" } } }';

const missingTools = buildPrograms();

it("names every attack there is", () => {
	const source = readFileSync(join(CHECKOUT, "test/fixtures/exec/attack.c"), "utf8");
	expect(NAMES.toSorted()).toEqual(
		[...source.matchAll(/\bX\((\w{4,})\)/g)]
			.map(([, name]) => name)
			.filter((name) => name !== "name")
			.toSorted(),
	);
});

it.skipIf(requireOr(missingGvisor))("gVisor is there to be tested", () => expect(GVISOR.length).toBeGreaterThan(0));

const EVERYWHERE: readonly Fence[] = [...FENCES, ...GVISOR.map(({ fence }) => fence)];

for (const caller of CALLERS) {
	describe.skipIf(requireOr(missingTools ?? missingCaller(caller)))(`attacks as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());
		const open: { results: Readonly<Record<string, string>> } = { results: {} };
		const jailed = new Map<Fence, Readonly<Record<string, string>>>();

		beforeAll(async () => {
			const attack = put(place, "attack");
			const command = [attack, put(place, "canary"), place.work, ...NAMES];
			open.results = found(await run(place, command));
			const policy = place.write("policy.json", EVERY_CALL);
			for (const fence of EVERYWHERE) {
				jailed.set(fence, found(await allowing(place, fence, [attack], ["-q", "-c", policy, "--", ...command])));
			}
		});

		it.each(NAMES)("%s", (name) => {
			expect(open.results[name]).toBe(inTheOpen(name));
			for (const fence of EVERYWHERE) expect(expected(name, fence), fence).toContain(jailed.get(fence)?.[name]);
		});

		it.each(GVISOR)("the same attacks in $fence without the list", async ({ fence }) => {
			const policy = place.write("policy.json", EVERY_CALL);
			const command = [put(place, "attack"), put(place, "canary"), place.work, ...NAMES];
			const ran = found(await withoutList(place, fence, ["-q", "-c", policy, "--", ...command]));
			for (const name of NAMES) {
				expect(NOT_IN_GVISOR[name] ?? NOT_IN_EVERY_BUILD[name] ?? ["ran"], name).toContain(ran[name]);
			}
		});

		it("the same attacks in a jail without the list", async () => {
			const names = NAMES.filter((name) => ATTACKS[name] === "EACCES");
			const command = [put(place, "attack"), put(place, "canary"), place.work, ...names];
			const ran = found(await vmjail(place, ["-q", "--rw", place.work, "--", ...command]));
			expect(ran).toEqual(Object.fromEntries(names.map((name) => [name, inTheOpen(name)])));
		});

		// Each program takes gVisor milliseconds, and a swap too: a canary runs within the first few tries without the list.
		// VMJAIL_LONG=1: 10,000 tries, as elsewhere.
		describe.each(caller === ROOT ? ["link", "symlink"] : ["link"])("a race by %s in gVisor", (way) => {
			const TRIES = process.env["VMJAIL_LONG"] === "1" ? 10_000 : 250;
			const race = (jail: (command: readonly string[], listed: string) => Promise<Ran>) => {
				const listed = join(place.work, `listed-${way}`);
				rmSync(listed, { force: true });
				put(place, "listed", `listed-${way}`);
				const canary = put(place, "static-canary", `canary-${way}`);
				return jail([put(place, "race"), way, listed, canary, `${TRIES}`], listed);
			};

			it.each(GVISOR)("is won without the list: $fence", async ({ fence }) => {
				const { stdout } = await race((command) => withoutList(place, fence, ["-q", "--", ...command]));
				expect(stdout).toMatch(/^canary 1 /);
			});

			it.each(GVISOR)(`is lost ${TRIES} times: $fence`, { timeout: TRIES * 240 }, async ({ fence }) => {
				const timeoutMs = TRIES * 200;
				const { stdout } = await race((command, listed) =>
					allowing(place, fence, [command[0] ?? "", listed], ["-q", "--", ...command], { timeoutMs }),
				);
				expect(stdout).toMatch(/^canary 0 listed \d+ refused \d+ killed \d+\n$/);
				// Both sides of the race were met.
				const [, listed, refused, killed] = stdout.match(/\d+/g)?.map(Number) ?? [];
				expect((refused ?? 0) + (killed ?? 0)).toBeGreaterThan(0);
				expect((listed ?? 0) + (refused ?? 0) + (killed ?? 0)).toBe(TRIES);
			});
		});

		describe.each(["rename", "link", "symlink"])("a race by %s for the name of a listed program", (way) => {
			// An emulated processor takes minutes for as many.
			const TRIES = PATIENCE > 1 ? 1_000 : 10_000;
			const race = (jail: (command: readonly string[], listed: string) => Promise<Ran>) => {
				const listed = put(place, "listed", `listed-${way}`);
				const command = [put(place, "race"), way, listed, put(place, "static-canary", `canary-${way}`), `${TRIES}`];
				return jail(command, listed);
			};

			it("is won without the list", async () => {
				expect((await race((command) => run(place, command))).stdout).toMatch(/^canary 1 /);
			});

			it.each(FENCES)(`is lost ${TRIES.toLocaleString("en")} times: %s`, async (fence) => {
				const { stdout } = await race((command, listed) =>
					allowing(place, fence, [command[0] ?? "", listed], ["-q", "--", ...command], { timeoutMs: 120_000 }),
				);
				expect(stdout).toMatch(/^canary 0 listed [1-9]\d* refused [1-9]\d* killed \d+\n$/);
			});
		});
	});
}
