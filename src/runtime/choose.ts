/** Which runtime carries out a policy, and when another one stands in. Pure. */

import { VmjailError } from "../errors.ts";
import type { Policy } from "../policy/types.ts";
import type { DriverName } from "./driver.ts";

/** Does a runtime work here? `why` is half a sentence, `remedy` a sentence. */
export type Probe =
	| { readonly works: true }
	| { readonly works: false; readonly why: string; readonly remedy?: string };

export interface Choice {
	readonly runtime: DriverName;
	/** The policy asked for this one. */
	readonly rolledBackFrom?: DriverName;
	/** Half a sentence for the user, where something else than the policy's own word decided. */
	readonly why?: string;
}

/** The runtimes whose probes a policy needs, in the order in which they are asked. */
export function candidates({ system }: Pick<Policy, "system">): readonly DriverName[] {
	const first: readonly DriverName[] = system.runtime === "auto" ? ["runsc", "runlc"] : [system.runtime];
	const stands = system.rollback === "" ? [] : [system.rollback];
	return [...new Set([...first, ...stands])];
}

/**
 * The first candidate that works. Falling back is never silent: `rolledBackFrom` and `why` go into the Outcome. With
 * "auto", runlc after runsc is the policy's own word, and still told.
 *
 * @param probes of every one of {@link candidates} that comes before the first that works, and of that one.
 * @throws VmjailError HOST_UNSUPPORTED where none works: with each one's reason.
 */
export function chooseRuntime(
	policy: Pick<Policy, "system">,
	probes: Readonly<Partial<Record<DriverName, Probe>>>,
): Choice {
	const order = candidates(policy);
	const probeOf = (name: DriverName): Probe => probes[name] ?? { works: false, why: "was not probed" };
	const [wanted] = order;
	const chosen = order.find((name) => probeOf(name).works);
	const failed = order.slice(0, chosen === undefined ? order.length : order.indexOf(chosen));
	const reasons = failed.flatMap((name) => {
		const probe = probeOf(name);
		return probe.works ? [] : [{ name, ...probe }];
	});
	const why = reasons.map((reason) => `${reason.name}: ${reason.why}`).join("; ");
	if (chosen === undefined || wanted === undefined) {
		const remedy = reasons.find((reason) => reason.remedy !== undefined)?.remedy;
		const [reason] = reasons;
		const message =
			order.length === 1 && reason !== undefined ? reason.why : `no runtime of the policy works here: ${why}`;
		throw new VmjailError("HOST_UNSUPPORTED", `system.runtime: ${message}`, {
			remedy: remedy ?? 'Set system.rollback to "runlc".',
		});
	}
	return chosen === wanted ? { runtime: chosen } : { runtime: chosen, rolledBackFrom: wanted, why };
}
