/** Programs that want more than they may have. Each gets it where the limit is higher. */

import { afterAll, describe, expect, it } from "vitest";
import { probeHost } from "../../../src/host/probe.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { buildAttacks, expectRefused, expectSucceeded, inJail } from "../attack.ts";
import { CALLERS, missingCaller, Place, ROOT } from "../caller.ts";

const unbuilt = buildAttacks();

/** Why this host's cgroups do not limit; undefined where they do for root. */
function missingCgroups(): string | undefined {
	const { v1, v2 } = probeHost().cgroup;
	const usable = [...v1, ...(v2 === undefined ? [] : [v2])].filter(({ writable }) => writable);
	return usable.length > 0 ? undefined : "no writable cgroup here: run as root, or under systemd-run --user --scope";
}

const MEMORY_AND_PROCESSES = unbuilt ?? missingCaller(ROOT) ?? missingCgroups();

describe.skipIf(requireOr(MEMORY_AND_PROCESSES))("memory and processes", () => {
	const place = new Place(ROOT);
	afterAll(() => place.remove());

	it("a fork bomb ends at the limit of processes", async () => {
		expectSucceeded(await inJail(place, ["fork-bomb", "600"], ["--pids", "1000"]));
		const { stdout, status } = await inJail(place, ["fork-bomb", "600"], ["--pids", "64"]);
		expect({ stdout, status }).toEqual({ stdout: "refused: EAGAIN\n", status: 137 });
		expect(await inJail(place, ["fork-bomb", "600"])).toMatchObject({ stdout: "refused: EAGAIN\n" });
	});

	it("a memory bomb is killed at the limit of memory", async () => {
		expectSucceeded(await inJail(place, ["memory-bomb", "200"], ["--mem", "400MiB"]));
		expect(await inJail(place, ["memory-bomb", "200"], ["--mem", "64MiB"])).toMatchObject({ status: 137, stdout: "" });
	});
});

for (const caller of CALLERS) {
	describe.skipIf(requireOr(unbuilt ?? missingCaller(caller)))(`files and descriptors as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());

		it("a tmpfs takes its size in bytes", async () => {
			const fill = ["fill", "/tmp", "bytes", "16"];
			expectSucceeded(await inJail(place, fill, ["--tmpfs", "/tmp:32MiB"]));
			expectRefused(await inJail(place, fill, ["--tmpfs", "/tmp:8MiB"]), "ENOSPC");
		});

		it("a large tmpfs takes many files", async () => {
			expectSucceeded(await inJail(place, ["fill", "/tmp", "files", "20000"], ["--tmpfs", "/tmp:256MiB"]));
		});

		// Known: without nr_inodes only the memory cgroup bounds them, and an ordinary user may have none.
		it("a small tmpfs takes no more files than pages: empty files cost the kernel's memory too", async () => {
			expectRefused(await inJail(place, ["fill", "/tmp", "files", "20000"], ["--tmpfs", "/tmp:4MiB"]), "ENOSPC");
		});

		it.each(["/dev/shm", "/dev", "/run"])("%s has a size, or is read-only", async (folder) => {
			expectRefused(await inJail(place, ["fill", folder, "bytes", "100"]), /ENOSPC|EROFS|EBADF|EACCES/);
		});

		it("descriptors end at nofile", async () => {
			const more = place.write("more.json", '{ "extends": ["default"], "system": { "rlimits": { "nofile": 6000 } } }');
			expectRefused(await inJail(place, ["descriptors", "5000"]), "EMFILE");
			expectSucceeded(await inJail(place, ["descriptors", "5000"], ["-c", more]));
		});
	});
}
