/** What the jail's own plan gets besides, where a gateway serves it. */

import type { HostFacts } from "../../host/types.ts";
import type { Mount, Spec } from "../../oci/types.ts";
import {
	AT_FDCWD,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	O_CLOEXEC,
	O_CREAT,
	O_EXCL,
	O_RDONLY,
	O_WRONLY,
} from "../../plan/constants.ts";
import { attach, cloneTree, makeFileSystem, openInside, setAttributes } from "../../plan/mounts.ts";
import { cstring, text } from "../../plan/steps.ts";
import type { Step } from "../../plan/types.ts";
import { resolvConf } from "../layout.ts";

const FLAGS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
const STORE = "/dev/.vmjail-resolver";

/** The spec as seen from inside the gateway's user namespace, where an unprivileged caller is id 0. */
export function belowGateway(spec: Spec, facts: HostFacts): Spec {
	if (facts.caller.privileged) return spec;
	const toRoot = (mappings: Spec["linux"]["uidMappings"] = []) => mappings.map((one) => ({ ...one, hostID: 0 }));
	return {
		...spec,
		linux: { ...spec.linux, uidMappings: toRoot(spec.linux.uidMappings), gidMappings: toRoot(spec.linux.gidMappings) },
	};
}

/**
 * Before the jail's root is entered: a resolv.conf that names the gateway is laid over the host's. `target`: where the
 * host's /etc/resolv.conf really is; in a folder that the jail does not show, it is made there.
 */
export function resolverSteps(target: string, shown: boolean): readonly Step[] {
	const content = text(resolvConf());
	const name = STORE.slice("/dev/".length);
	const place: readonly Step[] = shown ? [] : makePlace(target);
	return [
		openInside("/dev", "dev"),
		{ label: "make a place for resolv.conf", call: "mkdirat", args: [{ slot: "dev" }, cstring(name), 0o700] },
		...makeFileSystem("tmpfs", { attributes: FLAGS, data: "size=4k,nr_inodes=3,mode=755" }),
		{
			label: "make resolv.conf",
			call: "openat",
			args: [{ slot: "tree" }, cstring("resolv.conf"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o444],
			save: "resolver",
		},
		{
			label: "name the gateway in resolv.conf",
			call: "write",
			args: [{ slot: "resolver" }, content, content.bytes.length],
		},
		{ label: "close resolv.conf", call: "close", args: [{ slot: "resolver" }] },
		setAttributes("make resolv.conf read-only", "tree", MOUNT_ATTR_RDONLY, false),
		openInside(STORE, "target"),
		attach("mount the place of resolv.conf", "tree", "target"),
		openInside(`${STORE}/resolv.conf`, "resolver"),
		cloneTree("copy the mount of resolv.conf", "resolver", false, "tree"),
		...place,
		openInside(target, "target"),
		attach(`bind resolv.conf to ${target}`, "tree", "target"),
		openInside("/dev", "dev"),
		{ label: "enter /dev", call: "fchdir", args: [{ slot: "dev" }] },
		{ label: "unmount the place of resolv.conf", call: "umount2", args: [cstring(name), 2] },
		{ label: "remove the place of resolv.conf", call: "unlinkat", args: [{ slot: "dev" }, cstring(name), 0x200] },
	];
}

/** What {@link resolverSteps} mount, for a jail that has to put it back. */
export function resolverMount(target: string): Mount {
	return { destination: target, type: "none", options: ["bind", "ro"] };
}

/** The host's resolv.conf is a link into /run, which is the jail's own and empty: the file it names is made there. */
function makePlace(target: string): readonly Step[] {
	const names = target.slice(1).split("/");
	return names.slice(1).flatMap((name, i): readonly Step[] => {
		const parent = `/${names.slice(0, i + 1).join("/")}`;
		const last = i === names.length - 2;
		return [
			openInside(parent, "target"),
			last
				? {
						label: `make ${target}`,
						call: "mknodat",
						args: [{ slot: "target" }, cstring(name), 0o100644, 0],
						tolerate: ["EEXIST"],
					}
				: {
						label: `make ${parent}/${name}`,
						call: "mkdirat",
						args: [{ slot: "target" }, cstring(name), 0o755],
						tolerate: ["EEXIST"],
					},
		];
	});
}

/** Last: the open network namespace goes to vmjail, which has the gateway furnish it. */
export function sendNamespaceSteps(): readonly Step[] {
	return [
		{
			label: "open the jail's network namespace",
			call: "openat",
			args: [AT_FDCWD, cstring("/proc/self/ns/net"), O_RDONLY | O_CLOEXEC, 0],
			save: "own network namespace",
		},
		{ label: "hand it to vmjail", call: "send_descriptor", args: [{ slot: "own network namespace" }] },
	];
}
