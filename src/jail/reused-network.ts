/** The gateway of a jail that is used again: made with it, and renewed for each program. */

import { VmjailError } from "../errors.ts";
import type { JailProcess } from "../executor/jail-process.ts";
import type { Zygote } from "../executor/zygote.ts";
import type { NetworkEvent } from "../network/events.ts";
import { JailNetwork, type NetworkOptions } from "./network.ts";

/** Who hears of what the gateway does for a program. */
export interface Hearer {
	readonly onEvent: (event: NetworkEvent) => void;
	/** Every connection, not only refusals and failures. */
	readonly reportAll: boolean;
}

const NOBODY: Hearer = { onEvent: () => undefined, reportAll: false };

export class ReusedNetwork {
	readonly network: JailNetwork;
	/** Of which one listener tells for all programs; else each has its own. */
	readonly #ownKernel: boolean;
	#hearer = NOBODY;
	#lost = false;
	#endJail: () => void = () => undefined;
	#closing: Promise<void> | undefined;

	/** @throws VmjailError POLICY_INVALID for rules that cannot be compiled */
	constructor(zygote: Zygote, options: Omit<NetworkOptions, "onEvent" | "reportAll" | "renewed">) {
		this.#ownKernel = options.ownKernel;
		const onEvent = (event: NetworkEvent) => this.#hearer.onEvent(event);
		this.network = new JailNetwork(zygote, { ...options, onEvent, reportAll: false, renewed: true });
	}

	/**
	 * As JailNetwork.connect; from then on the jail ends with its gateway.
	 *
	 * @param end ends the jail
	 */
	async connect(jail: JailProcess, end: () => void): Promise<void> {
		this.#endJail = end;
		void this.network.end.then(() => {
			if (this.#closing !== undefined) return;
			this.#lost = true;
			end();
		});
		await this.network.connect(jail);
	}

	/** A program is about to run. */
	async begin(hearer: Hearer): Promise<void> {
		this.#hearer = hearer;
		await this.#renew(hearer.reportAll);
	}

	/** It has ended, and so have all its processes: its connections are reset, and all is reported that was to be. */
	async end(): Promise<void> {
		if (!this.#ownKernel) this.network.stopExplaining();
		await this.#renew(this.#hearer.reportAll);
		this.#hearer = NOBODY;
	}

	async #renew(reportAll: boolean): Promise<void> {
		if (this.#lost || this.#closing !== undefined) return; // the jail is about to end
		try {
			await this.network.renew(reportAll);
		} catch (cause) {
			this.#lost = true;
			this.#endJail();
			throw new VmjailError("JAIL_CLOSED", `the jail's network could not be renewed: ${(cause as Error).message}`, {
				remedy: "Open another one.",
				cause,
			});
		}
	}

	/** @throws VmjailError JAIL_CLOSED where the jail ended because its gateway did */
	checkAlive(): void {
		if (!this.#lost) return;
		throw new VmjailError("JAIL_CLOSED", "the jail's gateway has ended, and the jail with it", {
			remedy: "Look for who killed it (dmesg, for want of memory?), then open another one.",
		});
	}

	/** After the jail's end. */
	close(): Promise<void> {
		this.#closing ??= this.network.close();
		return this.#closing;
	}
}
