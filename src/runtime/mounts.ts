/** Mounts of a spec, as runtimes read them (OCI config, "Mounts"). */

import type { Mount } from "../oci/types.ts";

export function isBind(mount: Mount): boolean {
	return mount.type === "bind" || (mount.options ?? []).some((option) => option === "bind" || option === "rbind");
}
