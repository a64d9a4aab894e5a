/** The C programs of the tests of the exec allow-list, and jails for them. */

import { chmodSync, copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { runscBuilds } from "../conformance/runtimes.ts";
import { compile } from "../helpers/compile.ts";
import { CHECKOUT, missingPrograms, type Place, type Ran, type RunOptions, run, VMJAIL } from "../system/caller.ts";

const SOURCES = join(CHECKOUT, "test/fixtures/exec");
const BUILT = join(CHECKOUT, "build/exec-tests");

/** The canary is dynamic, so that there is a loader to name; what runs in odd places needs nothing else. */
const STATIC = ["attack", "behave", "listed", "race", "without-calls"] as const;

/** Compiles the programs. @returns why they cannot be, with the remedy; undefined where they are there. */
export function buildPrograms(): string | undefined {
	const missing = missingPrograms("cc");
	if (missing !== undefined) return missing;
	mkdirSync(BUILT, { recursive: true });
	const build = (name: string, output: string, ...flags: readonly string[]) =>
		compile(join(SOURCES, `${name}.c`), join(BUILT, output), "-D_GNU_SOURCE", "-Wextra", "-pthread", ...flags);
	for (const name of STATIC) build(name, name, "-static");
	build("canary", "canary");
	build("canary", "static-canary", "-static");
	build("preload", "preload.so", "-shared", "-fPIC");
	return undefined;
}

/** Landlock's calls have the same numbers everywhere; EOPNOTSUPP is what a kernel answers that was started without it. */
const LANDLOCK_CALLS = "444,445,446";
const EOPNOTSUPP = 95;

/** What holds the list: the guard with Landlock beside it, or the guard alone; or as on kernels before Linux 5.19, alone. */
export const FENCES = ["guard and Landlock", "guard alone", "guard of old kernels"] as const;

/** The guard inside gVisor, in each build that there is. */
export const GVISOR: readonly Sentry[] = (await runscBuilds()).map(({ path, abilities }) => ({
	fence: `runsc ${abilities.version}`,
	path,
}));

export interface Sentry {
	readonly fence: `runsc ${string}`;
	readonly path: string;
}

export type Fence = (typeof FENCES)[number] | Sentry["fence"];

/** Why there is none to test with, with the remedy. */
export const missingGvisor = GVISOR.length > 0 ? undefined : "no runsc to test with: sh scripts/get-runsc.sh";

/** Flags for a fence's runtime; none for runlc. */
function runtimeOf(fence: Fence): readonly string[] {
	const sentry = GVISOR.find((one) => one.fence === fence);
	return sentry === undefined ? [] : ["--runtime", "runsc", "--runsc", sentry.path];
}

/** A folder of the caller's with a copy of one of the programs, writable in its jails. */
export function put(place: Place, program: string, name = program): string {
	const path = join(place.work, name);
	copyFileSync(join(BUILT, program), path);
	chmodSync(path, 0o755);
	return place.own(path);
}

/** Runs ./vmjail as on a kernel that has none of these system calls: "444,445". */
export function withoutCalls(
	place: Place,
	errno: number,
	calls: string,
	args: readonly string[],
	options?: RunOptions,
): Promise<Ran> {
	return run(place, withoutCallsCommand(errno, calls, args), options);
}

export const withoutCallsCommand = (errno: number, calls: string, args: readonly string[]): readonly string[] => [
	join(BUILT, "without-calls"),
	`${errno}`,
	calls,
	VMJAIL,
	...args,
];

/** Runs ./vmjail with these programs allowed and the place's folder writable, in front of further arguments. */
export function allowing(
	place: Place,
	fence: Fence,
	programs: readonly string[],
	args: readonly string[],
	options?: RunOptions,
): Promise<Ran> {
	const lists = ["--rw", place.work, ...programs.flatMap((program) => ["--exec", program]), ...args];
	// An ordinary user may lack control groups here; that is not what is tested.
	const optional = ["landlock", "memory", "pids"].flatMap((control) => ["--optional", control]);
	const runtime = runtimeOf(fence);
	if (fence === "guard and Landlock" || runtime.length > 0) {
		return run(place, [VMJAIL, ...runtime, ...optional, ...lists], options);
	}
	const alone = [join(BUILT, "without-calls"), `${EOPNOTSUPP}`, LANDLOCK_CALLS, VMJAIL, ...optional, ...lists];
	// To those who ask for its release, the kernel says that it is Linux 2.6: personality(2).
	return run(place, fence === "guard of old kernels" ? ["setarch", "--uname-2.6", ...alone] : alone, options);
}

/** The same jail without the list. */
export function withoutList(place: Place, fence: Fence, args: readonly string[], options?: RunOptions): Promise<Ran> {
	const optional = ["memory", "pids"].flatMap((control) => ["--optional", control]);
	return run(place, [VMJAIL, ...runtimeOf(fence), ...optional, "--rw", place.work, ...args], options);
}

/** The lines that tell of refused programs. */
export function refusals(stderr: string): readonly string[] {
	return stderr.split("\n").filter((line) => line.startsWith("vmjail: refused: "));
}
