/** The network of a program whose runtime was put into a network namespace with rules. Pure. */

import type { Mount, Spec } from "../oci/types.ts";

/** What the jail sees of the gateway that serves the namespace in which its runtime is started. */
export interface EnteredNetwork {
	/** Where the jail's resolv.conf is: free of links, as the jail names it. */
	readonly resolver: string;
	/** What is to be read there. */
	readonly resolvConf: string;
}

const READ_ONLY = ["ro", "nosuid", "nodev", "noexec"];

/**
 * The spec of a program that has the network of the namespace in which its runtime is started, instead of a new one.
 *
 * @param resolver path of a file of the host's with {@link EnteredNetwork.resolvConf}: bound over the jail's own
 */
export function inEnteredNetwork(spec: Spec, { resolver }: EnteredNetwork, file: string): Spec {
	const mount: Mount = { destination: resolver, type: "bind", source: file, options: ["rbind", ...READ_ONLY] };
	return {
		...spec,
		mounts: [...spec.mounts, mount],
		linux: { ...spec.linux, namespaces: spec.linux.namespaces.filter(({ type }) => type !== "network") },
	};
}
