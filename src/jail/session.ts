/** What all jails of this process share: the executor and what is known of the host. */

import { newGroupId, ownGroupOwner } from "../cgroup/id.ts";
import { removeOwned, sweepStale } from "../cgroup/sweep.ts";
import { VmjailError } from "../errors.ts";
import { takeExecutor } from "../executor/handed-over.ts";
import { Zygote } from "../executor/zygote.ts";
import { probeHost } from "../host/probe.ts";
import type { HostFacts } from "../host/types.ts";
import { workingFolder } from "../host/working-folder.ts";
import { RememberedPlans } from "./remembered.ts";
import { Spare } from "./spare.ts";

export class Session {
	readonly zygote = new Zygote(takeExecutor());
	readonly plans = new RememberedPlans();
	readonly spare = new Spare(this);
	readonly #host = probeHost();
	readonly #owner = ownGroupOwner();

	#last: HostFacts | undefined;
	#turns = process.pid;

	/** Groups that a vmjail which was killed, executor and all, left behind are removed now. */
	constructor() {
		sweepStale(this.#host.cgroup);
	}

	/** Removes what the executor left behind when it died. */
	async sweepOwn(): Promise<void> {
		await removeOwned(this.#host.cgroup, this.#owner);
	}

	/** Of sandboxes: so that each has another processor; of several vmjails, too. */
	turn(): number {
		return this.#turns++;
	}

	/** A name for the cgroup of one jail. */
	newGroupId(): string {
		return newGroupId(this.#owner);
	}

	/**
	 * The host as it is, with this process's present folder: the same object until that changes. The environment in it is the
	 * process's own and not a copy, which would take longer to make than all else.
	 *
	 * @throws VmjailError EXECUTOR_FAILED where the executor did not start
	 */
	async facts(): Promise<HostFacts> {
		const hello = await this.zygote.hello;
		if (hello === undefined) {
			throw new VmjailError("EXECUTOR_FAILED", "the executor did not start", {
				remedy: "Run build/vmjail-executor probe by hand: it says what is wrong. `npm run build` builds it again.",
			});
		}
		const cwd = workingFolder();
		const last = this.#last;
		if (last !== undefined && last.caller.cwd === cwd) return last;
		const facts = {
			...this.#host,
			landlockAbi: hello.landlockAbi,
			caller: { ...this.#host.caller, cwd, env: process.env as Readonly<Record<string, string>> },
		};
		this.#last = facts;
		return facts;
	}
}

const shared: { session?: Session } = {};

/** The session of this process; a new one where its executor died. */
export function session(): Session {
	if (shared.session?.zygote.alive !== true) shared.session = new Session();
	return shared.session;
}

/** Ends every jail of this process and the executor. Only needed to be sure before the process ends: both end with it. */
export async function closeSession(): Promise<void> {
	shared.session?.spare.discard();
	await shared.session?.zygote.close();
	delete shared.session;
}
