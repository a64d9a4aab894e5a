/** What the runs of one policy have in common, worked out once. */

import { groupName } from "../cgroup/id.ts";
import { type Addon, loadAddon } from "../executor/addon.ts";
import type { EncodedProgram } from "../executor/encode.ts";
import type { Keep } from "../host/programs.ts";
import type { HostFacts } from "../host/types.ts";
import type { Spec } from "../oci/types.ts";
import type { Plan, Step } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import { Answers } from "./answers.ts";
import { type EncodedWorkload, encodeProgram, encodeRun } from "./encoded.ts";
import { placesOf } from "./places.ts";
import { type Prepared, prepare } from "./prepare.ts";
import { type Ahead, aheadOf, type Begun } from "./spare.ts";
import type { RunOptions } from "./types.ts";

/** The last command, as JSON, and what it adds. */
interface Last {
	readonly command: string;
	readonly spec: Spec;
	readonly encoded: EncodedWorkload;
}

/** Everything that a plan depends on but the command and the name of the group; and the plan. */
interface Known {
	readonly host: HostFacts;
	readonly answers: Answers;
	readonly prepared: Prepared;
	readonly jail: EncodedProgram;
	/** The group's name, and where it is in the bytes. */
	readonly group: string;
	readonly places: readonly number[];
	last: Last | undefined;
	/** Worked out when the policy is used for the second time. */
	ahead: { readonly found: Ahead | undefined } | undefined;
}

/** Gives a run a jail that was made ahead, if there is one like it. */
export type Begin = (ahead: Ahead) => Begun | undefined;

/** Policies that are remembered at a time: each takes some 100 KiB. */
const MOST_POLICIES = 16;

/** Of a command that is worth remembering, in characters. */
const MOST_COMMAND = 4096;

/**
 * Remembers plans by everything that they depend on: the content of the policy, the host's facts, and whatever planning asked
 * of paths and environment, which is asked anew for every run. So a plan is used again only where planning would give the
 * same: nothing that somebody may have replaced since the last run is taken on trust.
 */
export class RememberedPlans {
	readonly #known = new Map<string, Known>();
	#runs = 0;
	readonly #addon: Pick<Addon, "look">;

	constructor(addon: Pick<Addon, "look"> = loadAddon()) {
		this.#addon = addon;
	}

	/**
	 * For any run on runlc: what depends on nothing but the policy, the host and the command is remembered.
	 *
	 * @throws VmjailError as {@link prepare} and {@link encodeRun} do
	 */
	prepareRun(
		host: HostFacts,
		command: readonly string[],
		{ policy, terminal }: Pick<RunOptions, "policy" | "terminal">,
		id: string,
		keep: Keep,
		begin?: Begin,
	): Prepared {
		const { network, process } = policy.security;
		const plain = terminal === undefined && network.mode !== "hostwithpolicy" && process.allow.length === 0;
		// Most processes run one program, for which remembering would be work for nothing.
		if (plain && this.#runs++ > 0) return this.prepare(policy, host, command, id, begin);
		return prepare(policy, host, command, terminal !== undefined, id, keep);
	}

	/**
	 * For a run on runlc without a terminal, network rules, or a list of programs.
	 *
	 * @param host the same object as long as nothing in it has changed but its environment, which is asked anew
	 * @param id of the jail's cgroup, from newGroupId
	 * @param begin is called where the plan is known and before its answers are asked again, which takes as long as a good
	 *   part of the set-up: where they are others, what was begun is closed, and no program has run in it
	 * @throws VmjailError as {@link prepare} and {@link encodeRun} do
	 */
	prepare(policy: Policy, host: HostFacts, command: readonly string[], id: string, begin?: Begin): Prepared {
		const key = contentOf(policy);
		const known = this.#known.get(key);
		if (known?.host === host && command.length > 0) {
			const ahead = known.ahead?.found;
			const begun = ahead === undefined ? undefined : begin?.(ahead);
			try {
				if (known.answers.areStill(host.caller.env)) return again(known, command, id, begun);
			} catch (error) {
				begun?.process.close();
				throw error;
			}
			begun?.process.close();
		}
		this.#known.delete(key);
		const answers = new Answers(this.#addon, host.caller.env);
		const asked = { ...host, caller: { ...host.caller, env: answers.env } };
		const prepared = prepare(policy, asked, command, false, id, undefined, answers.fs);
		const encoded = encodeRun(prepared, {});
		this.#remember(key, {
			host,
			answers,
			prepared,
			jail: encoded.jail,
			group: groupName(id),
			// Its digits are new and random: what stands there has been put there by the plan.
			places: placesOf(groupName(id), encoded.jail.bytes),
			last: lastOf(JSON.stringify(command), prepared.spec, encoded),
			ahead: undefined,
		});
		return { ...prepared, ready: { encoded, shown: () => prepared.plan } };
	}

	#remember(key: string, known: Known): void {
		const [oldest] = this.#known.keys();
		if (this.#known.size === MOST_POLICIES && oldest !== undefined) this.#known.delete(oldest);
		this.#known.set(key, known);
	}
}

/** Equal for policies of one meaning only. By content, since nothing stops a caller from changing an object. */
function contentOf(policy: Policy): string {
	return JSON.stringify(policy, (_key, value: unknown) => {
		if (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value)))
			return { n: String(value) };
		return value;
	});
}

function lastOf(command: string, spec: Spec, { workload, program }: EncodedWorkload): Last | undefined {
	return command.length > MOST_COMMAND ? undefined : { command, spec, encoded: { workload, program } };
}

function again(known: Known, command: readonly string[], ownId: string, begun: Begun | undefined): Prepared {
	const { prepared, jail, group, places } = known;
	const text = JSON.stringify(command);
	const { spec, encoded } = known.last?.command === text ? known.last : programOf(known, command);
	known.last = lastOf(text, spec, encoded);
	known.ahead ??= { found: aheadOf(prepared.plan, jail, group, prepared.facts.arch) };
	const { found: ahead } = known.ahead;
	const id = begun?.id ?? ownId;
	return {
		...prepared,
		spec,
		ready: {
			// One that has begun is not launched: of its bytes nobody asks.
			encoded: { ...encoded, jail: begun === undefined ? named(jail, places, id) : jail },
			shown: () => renamed(prepared.plan, group, groupName(id)),
			...(ahead === undefined ? {} : { ahead }),
			...(begun === undefined ? {} : { begun }),
		},
	};
}

function named(jail: EncodedProgram, places: readonly number[], id: string): EncodedProgram {
	const bytes = jail.bytes.slice();
	const name = Buffer.from(groupName(id), "latin1");
	for (const place of places) bytes.set(name, place);
	return { ...jail, bytes };
}

function programOf({ prepared, jail }: Known, command: readonly string[]): Omit<Last, "command"> {
	const spec = { ...prepared.spec, process: { ...prepared.spec.process, args: [...command] } };
	return { spec, encoded: encodeProgram({ ...prepared, spec }, jail, {}) };
}

function renamed(plan: Plan, from: string, to: string): Plan {
	const section = (steps: readonly Step[]) =>
		steps.map((step) => ({ ...step, label: step.label.replaceAll(from, to) }));
	return {
		...plan,
		before: section(plan.before),
		parent: section(plan.parent),
		child: section(plan.child),
		account: section(plan.account),
		cleanup: section(plan.cleanup),
	};
}
