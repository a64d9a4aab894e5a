import { expect } from "vitest";
import type { Case } from "../runtime.ts";

const sh = (script: string, ...args: readonly string[]): readonly string[] => ["/bin/sh", "-c", script, "sh", ...args];

const writable = (...paths: readonly string[]) => ({ security: { file: { writablePaths: paths } } });
const masked = (...paths: readonly string[]) => ({ security: { file: { maskedPaths: paths } } });

export const files: readonly Case[] = [
	{
		name: "the host's files are read-only",
		async run(runtime, scratch) {
			scratch.file("f", "old", 0o666);
			const result = await runtime.run(
				{},
				sh("cat $1/f; echo new >$1/f; touch $1/g; rm -f $1/f; mkdir $1/d", scratch.path),
			);
			expect(result.stdout).toBe("old");
			expect(result.stderr.match(/Read-only file system/g)).toHaveLength(4);
			expect(scratch.read("f")).toBe("old");
			expect(["g", "d"].filter((name) => scratch.exists(name))).toEqual([]);
		},
	},
	{
		name: "a writable folder is the host's own",
		async run(runtime, scratch) {
			const folder = scratch.folder("w");
			scratch.file("w/old", "1", 0o644);
			const script = "echo new >$1/new; mkdir -p $1/a/b; rm $1/old; mv $1/new $1/a/b/moved; echo outside >$1/../out";
			const result = await runtime.run(writable(folder), sh(script, folder));
			expect(result.stderr).toContain("Read-only file system");
			expect(scratch.read("w/a/b/moved")).toBe("new\n");
			expect(["w/old", "out"].filter((name) => scratch.exists(name))).toEqual([]);
		},
	},
	{
		name: "a writable file is the host's own, and its folder stays read-only",
		async run(runtime, scratch) {
			const file = scratch.file("d/f", "old\n", 0o644);
			const result = await runtime.run(writable(file), sh("echo new >>$1; touch $1.other", file));
			expect(scratch.read("d/f")).toBe("old\nnew\n");
			expect(result.stderr).toContain("Read-only file system");
			expect(scratch.exists("d/f.other")).toBe(false);
		},
	},
	{
		name: "a masked folder is empty and a masked file is empty, and neither can be written",
		async run(runtime, scratch) {
			scratch.file("m/secret", "s3cret");
			const file = scratch.file("key", "s3cret");
			const script = "ls -A $1; cat $1/secret; cat $2; echo x >$1/new; echo x >$2; ls -A $1; cat $2";
			const result = await runtime.run(masked(scratch.folder("m"), file), sh(script, scratch.folder("m"), file));
			expect(result.stdout).toBe("");
			expect(result.stderr).not.toContain("s3cret");
			expect(scratch.read("key")).toBe("s3cret");
			expect(scratch.exists("m/new")).toBe(false);
		},
	},
	{
		name: "a view shows through a mask above it",
		async run(runtime, scratch) {
			scratch.file("home/other", "s3cret");
			const project = scratch.folder("home/project");
			const file = { maskedPaths: [scratch.folder("home")], writablePaths: [project] };
			const result = await runtime.run(
				{ security: { file } },
				sh("ls $1; echo hi >$1/project/out; cat $1/project/out", scratch.folder("home")),
			);
			expect(result.stdout).toBe("project\nhi\n");
			expect(scratch.read("home/project/out")).toBe("hi\n");
		},
	},
	{
		name: "a mask hides inside a writable folder",
		async run(runtime, scratch) {
			scratch.file("w/.git/config", "s3cret");
			const file = { writablePaths: [scratch.folder("w")], maskedPaths: [scratch.folder("w/.git")] };
			const result = await runtime.run(
				{ security: { file } },
				sh("ls -A $1/.git; echo x >$1/.git/config; echo ok >$1/new", scratch.folder("w")),
			);
			expect(result.stdout).toBe("");
			expect(scratch.read("w/.git/config")).toBe("s3cret");
			expect(scratch.read("w/new")).toBe("ok\n");
		},
	},
	{
		name: "a tmpfs is empty, writable, of its size, and gone afterwards",
		async run(runtime, scratch) {
			scratch.file("t/below", "hidden");
			const file = { tmpfs: [{ path: scratch.folder("t"), size: "1MiB" }] };
			const script = "ls -A $1; echo hi >$1/f && cat $1/f; head -c 4000000 /dev/zero >$1/big; echo status $?";
			const result = await runtime.run({ security: { file } }, sh(script, scratch.folder("t")));
			expect(result.stdout).toBe("hi\nstatus 1\n");
			expect(result.stderr).toContain("No space left on device");
			expect([scratch.exists("t/f"), scratch.exists("t/below")]).toEqual([false, true]);
		},
	},
	{
		name: "a link does not lead out of the jail's view",
		async run(runtime, scratch) {
			const secret = scratch.file("m/secret", "s3cret");
			const folder = scratch.folder("w");
			const file = { writablePaths: [folder], maskedPaths: [scratch.folder("m")] };
			const script = "ln -s $2 $1/link; cat $1/link; ln $2 $1/hard; cat $1/hard";
			const result = await runtime.run({ security: { file } }, sh(script, folder, secret));
			expect(result.stdout).toBe("");
		},
	},
	{
		name: "a read-only place says so even to a user whom permissions refuse as well",
		needs: ["erofs-first", "any-id"],
		async run(runtime) {
			const result = await runtime.run({ system: { user: { uid: 65534, gid: 65534 } } }, sh("touch /usr/new"));
			expect(result.stderr).toContain("Read-only file system");
		},
	},
	{
		name: "/run, cgroups and firmware tables are hidden; /dev has the plain devices only",
		async run(runtime) {
			const script = "ls -A /run /sys/firmware /sys/fs/cgroup; echo; ls /dev";
			const result = await runtime.run({}, sh(script));
			expect(result.stdout).toContain("/run:\n\n/sys/firmware:\n\n/sys/fs/cgroup:\n\n");
			for (const name of ["null", "zero", "full", "random", "urandom", "tty"])
				expect(result.stdout).toContain(`\n${name}\n`);
			expect(result.stdout).not.toMatch(/^(kvm|mem|kmsg|vda|sda|loop0|port)$/m);
		},
	},
];
