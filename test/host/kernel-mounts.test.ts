import { describe, expect, it } from "vitest";
import { kernelMountsIn } from "../../src/host/probe.ts";

const line = (mountPoint: string, type: string) =>
	`30 20 0:5 / ${mountPoint} rw,relatime shared:5 - ${type} ${type} rw`;

describe("kernel file systems in odd places", () => {
	it("are named once, and those in their usual places are not", () => {
		const mounts = [
			line("/proc", "proc"),
			line("/sys/fs/cgroup/memory", "cgroup"),
			line("/run/netns/a", "nsfs"),
			line("/srv/chroot/proc", "proc"),
			line("/srv/chroot/proc", "proc"),
			line("/processes", "proc"),
			line("/home", "ext4"),
		];
		expect(kernelMountsIn(mounts.join("\n"))).toEqual(["/srv/chroot/proc", "/processes"]);
	});
});
