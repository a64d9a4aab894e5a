/** Where a jail that is used again has a gateway, and what differs then. */

import { closeSync } from "node:fs";
import type { Plan } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import { checkLost } from "./ending.ts";
import type { NetworkOptions } from "./network.ts";
import type { ReusedNetwork } from "./reused-network.ts";
import type { Session } from "./session.ts";

/** The gateway, on its way, for a policy that needs one. */
export async function networkFor(
	at: Session,
	{ security: { network } }: Policy,
	options: Pick<NetworkOptions, "facts" | "jail" | "ownKernel">,
): Promise<ReusedNetwork | undefined> {
	if (network.mode !== "hostwithpolicy") return undefined;
	const { ReusedNetwork } = await import("./reused-network.ts");
	return new ReusedNetwork(at.zygote, { ...options, network });
}

/** The plan of a jail that belongs below its gateway, if it has one. */
export function below(network: ReusedNetwork | undefined, plan: Plan): Plan {
	return network === undefined ? plan : { ...plan, parentJail: network.network.parentJail };
}

/**
 * The jail's root, when its network is there too.
 *
 * @param giveUp ends the jail: without its network nothing is to run in it
 * @throws what went wrong with the network, or else with the jail
 */
export async function withNetwork(
	root: Promise<number>,
	connected: Promise<void> | undefined,
	giveUp: () => void,
): Promise<number> {
	connected?.catch(giveUp);
	const [made, network] = await Promise.allSettled([root, connected]);
	if (network.status === "rejected") {
		if (made.status === "fulfilled") closeSync(made.value);
		throw network.reason;
	}
	if (made.status === "rejected") throw made.reason;
	return made.value;
}

/** As checkLost, for a jail that may have ended with its gateway. */
export function checkLostWith(network: ReusedNetwork | undefined): typeof checkLost {
	return (end, cause) => {
		network?.checkAlive();
		checkLost(end, cause);
	};
}
