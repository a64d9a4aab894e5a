import type { Arg, Bytes, Launch, Step } from "../../src/plan/types.ts";
import type { Planned } from "./fixtures.ts";

/** Longer blocks are space for the kernel's answers. The seccomp filter has golden files of its own. */
const LONGEST_HEX = 64;

/** Without the zeros at its end, but with its length: "07/32". */
function hex(bytes: Uint8Array): string {
	const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
	return `${digits.replace(/(00)+$/, "")}/${bytes.length}`;
}

/** Strings as they are; structures with their bytes, in which patches still are zero. */
function shownBytes({ bytes, shown, patches = [] }: Bytes): string {
	const isText = shown.startsWith('"') || bytes.every((byte) => byte === 0) || bytes.length > LONGEST_HEX;
	const places = patches.map((patch) => {
		const to = patch.kind === "pointer" ? shownBytes(patch.to) : patch.kind === "slot" ? `<${patch.slot}>` : patch.kind;
		return `${patch.at}: ${to}`;
	});
	return `${shown}${isText ? "" : ` ${hex(bytes)}`}${places.length === 0 ? "" : ` [${places.join(", ")}]`}`;
}

function shownArg(arg: Arg): string {
	if (typeof arg === "number") return arg < 0 ? String(arg) : `0x${arg.toString(16)}`;
	if (typeof arg === "bigint") return `0x${arg.toString(16)}`;
	if ("slot" in arg) return `<${arg.slot}>`;
	return "pid" in arg ? "<pid>" : shownBytes(arg);
}

function shownStep({ label, call, args, save, tolerate, retryBusy, report }: Step): string {
	if (call === "seccomp") return `  ${label}`;
	const extras = [
		save === undefined ? "" : ` = <${save}>`,
		tolerate === undefined ? "" : `, may fail with ${tolerate.join(", ")}`,
		retryBusy ? ", again after EBUSY" : "",
		report === undefined ? "" : `, reported as ${report}`,
	];
	return `  ${label}\n      ${call}(${args.map(shownArg).join(", ")})${extras.join("")}`;
}

/** One line for the many steps that empty the bounding set. */
function isBounding(step: Step): boolean {
	return step.call === "prctl" && step.args[0] === 24;
}

function shownSteps(steps: readonly Step[]): string {
	const dropped = steps.filter(isBounding).map((step) => step.args[1]);
	const first = steps.findIndex(isBounding);
	return steps
		.flatMap((step, i) => {
			if (i === first) return [`  drop from the bounding set, in order:\n      ${dropped.join(" ")}`];
			return isBounding(step) ? [] : [shownStep(step)];
		})
		.join("\n");
}

function shownLaunch(name: string, { cloneFlags, before, parent, child }: Launch): string {
	const sections = [
		["before", before],
		["parent", parent],
		["child", child],
	] as const;
	const texts = sections.map(([title, steps]) => `${name}, ${title}: ${steps.length} steps\n${shownSteps(steps)}`);
	return [`${name}: clone3 0x${cloneFlags.toString(16)}`, ...texts].join("\n\n");
}

/** Both plans as text for golden files. */
export function render({ plan, workload }: Pick<Planned, "plan" | "workload">): string {
	const { cpuLimitMs, wallLimitMs } = workload;
	return `${[
		shownLaunch("jail", plan),
		`kept: ${plan.keep.join(", ") || "nothing"}`,
		shownLaunch("program", workload),
		`limits: cpu ${cpuLimitMs ?? "none"}, wall ${wallLimitMs ?? "none"}`,
	].join("\n\n")}\n`;
}
