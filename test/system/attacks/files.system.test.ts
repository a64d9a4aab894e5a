/** Ways out of the jail's view of the files, and ways to change what it must not. */

import { closeSync, constants, copyFileSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { requireOr } from "../../helpers/requirement.ts";
import {
	attackCommand,
	attackPath,
	buildAttacks,
	expectRefused,
	expectSucceeded,
	inJail,
	inTheOpen,
} from "../attack.ts";
import { CALLERS, missingCaller, missingPrograms, Place, ROOT, run, vmjail } from "../caller.ts";

const unbuilt = buildAttacks() ?? missingPrograms("unshare", "mount");

for (const caller of CALLERS) {
	describe.skipIf(requireOr(unbuilt ?? missingCaller(caller)))(`files as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());
		const folder = (name: string) => {
			const path = join(place.work, name);
			mkdirSync(path);
			return place.own(path);
		};
		/** As the attack sees mounts that hold it back elsewhere: in namespaces where it has every capability. */
		const inNamespaces = (mounts: string, attack: readonly string[]) =>
			run(place, ["unshare", "-Urm", "sh", "-c", `${mounts} && exec "$@"`, "sh", ...attackCommand(attack)]);

		it("a read-only mount stays read-only", async () => {
			const bound = folder("bound");
			const mounts = `mount --bind ${bound} ${bound} && mount -o remount,bind,ro ${bound}`;
			expectSucceeded(await inNamespaces(mounts, ["remount", bound]));
			expectRefused(await inJail(place, ["remount", "/"]), "EPERM");
			expectRefused(await inJail(place, ["remount", place.work]), "EPERM");
		});

		it("a mask cannot be taken off, nor walked around by a bind", async () => {
			const parent = folder("parent");
			const masked = folder("parent/masked");
			const elsewhere = folder("elsewhere");
			place.write("parent/masked/secret", "secret\n");
			const mounts = `mount -t tmpfs none ${masked} && ! test -e ${masked}/secret`;
			const around = ["unmask", parent, elsewhere, "masked/secret"];
			expectSucceeded(await inNamespaces(mounts, around));
			expectSucceeded(await inNamespaces(mounts, ["call", "umount", masked]));
			expectRefused(await inJail(place, around, ["--mask", masked]), "EPERM");
			expectRefused(await inJail(place, ["call", "umount", masked], ["--mask", masked]), "EPERM");
			const { stderr } = await vmjail(place, ["-q", "--mask", masked, "--", "cat", `${masked}/secret`]);
			expect(stderr).toMatch(/No such file or directory/);
		});

		it("a descriptor that vmjail was started with does not get in", async () => {
			const secret = join(place.home, "secret");
			writeFileSync(secret, "secret\n");
			const opened = [
				openSync(place.home, constants.O_RDONLY | constants.O_DIRECTORY),
				openSync(secret, constants.O_RDWR),
				openSync("/", 0o10000000 /* O_PATH */),
				openSync(place.home, 0o10000000),
			];
			onTestFinished(() => {
				for (const descriptor of opened) closeSync(descriptor);
			});
			for (const name of ["secret", "home/secret"]) {
				const attack = ["descriptors.py", name];
				const options = { descriptors: opened };
				expectSucceeded(await inTheOpen(place, attack, options));
				expectRefused(await inJail(place, attack, [], options), "no descriptor leads there");
			}
			const { stdout } = await vmjail(place, ["-q", "--", "ls", "/proc/self/fd"], { descriptors: opened });
			expect(stdout).toBe("0\n1\n2\n3\n"); // 3 is the folder that ls reads
		});

		it("the working folder leads nowhere else", async () => {
			const hidden = folder("hidden");
			place.write("hidden/secret", "secret\n");
			const attack = ["climb.sh", "secret"];
			expectSucceeded(await inTheOpen(place, attack, { cwd: hidden }));
			const nowhere = "no way leads there";
			expectRefused(await inJail(place, attack, ["--mask", hidden, "--cwd", "/"], { cwd: hidden }), nowhere);
			const masked = await inJail(place, attack, ["--mask", hidden], { cwd: hidden });
			if (masked.status !== 125) expectRefused(masked, nowhere);
		});

		it("a working folder named through descriptors is refused or harmless", async () => {
			const open = openSync(place.home, constants.O_RDONLY | constants.O_DIRECTORY);
			onTestFinished(() => closeSync(open));
			writeFileSync(join(place.home, "secret"), "secret\n");
			for (let fd = 3; fd < 12; fd++) {
				const flags = ["--cwd", `/proc/self/fd/${fd}`];
				const ran = await inJail(place, ["climb.sh", "secret"], flags, { descriptors: [open] });
				expect(ran.stdout).not.toMatch(/succeeded/);
				expect(ran.status).not.toBe(0);
			}
		});

		it("the program cannot write to its own executable, nor to the executor's", async () => {
			const copy = join(place.work, "rewrite-self");
			copyFileSync(attackPath("rewrite-self"), copy);
			place.own(copy);
			expectSucceeded(await run(place, [copy]));
			const ran = await vmjail(place, ["-q", "--", copy]);
			expectRefused(ran, /EROFS|EACCES/);
			const executor = await vmjail(place, ["-q", "--", "sh", "-c", "exec 9<>/proc/1/exe"]);
			expect(executor.stderr).toMatch(/Permission denied/);
			expect((await vmjail(place, ["-q", "--", "readlink", "/proc/1/exe"])).stdout).toBe("");
		});

		it("files by handle", async () => {
			const file = place.write("handle", "");
			if (caller === ROOT) expectSucceeded(await inTheOpen(place, ["call", "open_by_handle", file]));
			expectRefused(await inJail(place, ["call", "open_by_handle", file]), "EPERM");
		});

		it("device nodes are not made, not even where files may be written", async () => {
			if (caller === ROOT) expectSucceeded(await inTheOpen(place, ["call", "mknod", join(place.work, "null")]));
			const node = join(place.work, "node");
			expectRefused(await inJail(place, ["call", "mknod", node], ["--rw", place.work]), /EPERM|EACCES/);
			expectRefused(await inJail(place, ["call", "mknod", "/tmp/node"]), /EPERM|EACCES/);
			expect(existsSync(node)).toBe(false);
		});

		it("chroot: nobody climbs out, because nobody gets in", async () => {
			const jail = folder("chroot");
			place.write("beside", "");
			const attack = ["escape-chroot", jail, "beside"];
			if (caller === ROOT) expectSucceeded(await inTheOpen(place, attack));
			expectRefused(await inJail(place, attack, ["--rw", jail]), "EPERM");
		});

		it("a unix socket that lies under a view is reached, the same one under /run is not", async () => {
			const address = caller === ROOT ? `/run/attack-${process.pid}` : join(place.work, "socket");
			const server = createServer().listen({ path: address, writableAll: true });
			await new Promise((resolve) => server.once("listening", resolve));
			onTestFinished(() => void server.close());
			expectSucceeded(await inTheOpen(place, ["connect.py", address]));
			if (caller !== ROOT) return;
			expectRefused(await inJail(place, ["connect.py", address]), "ENOENT");
			expectSucceeded(await inJail(place, ["connect.py", address], ["--rw", address]));
		});

		it("an abstract unix socket of the host", async () => {
			const name = `attack-${process.pid}-${caller.name}`;
			const server = createServer().listen(`\0${name}`);
			await new Promise((resolve) => server.once("listening", resolve));
			onTestFinished(() => void server.close());
			expectSucceeded(await inTheOpen(place, ["connect.py", `@${name}`]));
			expectRefused(await inJail(place, ["connect.py", `@${name}`]), "ECONNREFUSED");
		});
	});
}

describe.skipIf(requireOr(unbuilt ?? missingCaller(ROOT)))("settings and devices of the host", () => {
	const place = new Place(ROOT);
	afterAll(() => place.remove());

	it.each([
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/printk_ratelimit",
		"/proc/sys/vm/swappiness",
		"/sys/kernel/mm/transparent_hugepage/enabled",
	])("%s", async (file) => {
		if (!existsSync(file)) return;
		expectSucceeded(await inTheOpen(place, ["rewrite.py", file]));
		expectRefused(await inJail(place, ["rewrite.py", file]), /EROFS|EACCES/);
	});

	it("/proc/sysrq-trigger", async () => {
		const { stderr, status } = await vmjail(place, ["-q", "--", "sh", "-c", "echo h > /proc/sysrq-trigger"]);
		expect(stderr).toMatch(/Read-only file system|Permission denied|nonexistent|Directory nonexistent/);
		expect(status).toBe(2);
	});

	it.each(["/dev/kmsg", "/dev/mem", "/dev/kvm", "/dev/vsock"])("%s", async (device) => {
		if (device === "/dev/kmsg") expectSucceeded(await inTheOpen(place, ["call", "open", device]));
		expectRefused(await inJail(place, ["call", "open", device]), "ENOENT");
	});
});
