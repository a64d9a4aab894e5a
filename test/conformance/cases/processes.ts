import { expect } from "vitest";
import type { Case } from "../runtime.ts";

const sh = (script: string, ...args: readonly string[]): readonly string[] => ["/bin/sh", "-c", script, "sh", ...args];
const python = (script: string): readonly string[] => ["/usr/bin/python3", "-c", script];

/** Calls by number (x86_64 and aarch64 agree on these), so that no library stands between. */
const CALLS = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, result):
    print(name, os.strerror(ctypes.get_errno()) if result == -1 else "DONE")
`;

export const processes: readonly Case[] = [
	{
		name: "the jail sees its own processes only",
		async run(runtime) {
			const result = await runtime.run(
				{},
				sh("ls /proc | grep -E '^[0-9]+$' | wc -l; readlink /proc/1/exe >/dev/null; kill -0 $PPID 2>&1; echo $$"),
			);
			expect(Number(result.stdout.split("\n")[0])).toBeLessThan(8);
		},
	},
	{
		name: "the program is the caller, and has the caller's files",
		needs: ["own-id"],
		async run(runtime, scratch) {
			const file = scratch.file("own", "", 0o600);
			const { stdout } = await runtime.run({}, sh("id -u; stat -c %u $1; cat $1 && echo read", file));
			const { uid } = scratch.caller;
			expect(stdout).toBe(`${uid}\n${uid}\nread\n`);
		},
	},
	{
		name: "host name, user and group are the policy's",
		needs: ["any-id"],
		async run(runtime) {
			const policy = { system: { hostname: "box", user: { uid: 1234, gid: 4321 } } };
			const result = await runtime.run(policy, sh("uname -n; id -u; id -g; id -G"));
			expect(result.stdout).toBe("box\n1234\n4321\n4321\n");
		},
	},
	{
		name: "the environment is what the policy passes and sets",
		async run(runtime) {
			const policy = { system: { env: { pass: ["PASSED"], set: { SET: "2" } } } };
			const env = { PASSED: "1", SECRET: "s3cret" };
			const { stdout } = await runtime.run(policy, ["/usr/bin/env"], { env });
			expect(stdout).toContain("PASSED=1\n");
			expect(stdout).toContain("SET=2\n");
			expect(stdout).not.toContain("SECRET");
		},
	},
	{
		name: "the working directory is the caller's where the jail shows it",
		async run(runtime, scratch) {
			const cwd = scratch.folder("here");
			expect((await runtime.run({}, ["/bin/pwd"], { cwd })).stdout).toBe(`${cwd}\n`);
			const policy = { system: { cwd: "/usr" } };
			expect((await runtime.run(policy, ["/bin/pwd"], { cwd })).stdout).toBe("/usr\n");
		},
	},
	{
		name: "no capability, no new privileges",
		async run(runtime) {
			const { stdout } = await runtime.run(
				{},
				sh("grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status"),
			);
			const values = stdout
				.trim()
				.split("\n")
				.map((line) => line.split(/:\s*/));
			const capabilities = values.filter(([name]) => name?.startsWith("Cap"));
			// gVisor of 2024 shows no CapAmb.
			expect(capabilities.length).toBeGreaterThanOrEqual(4);
			expect(capabilities.filter(([, value]) => !/^0+$/.test(value ?? ""))).toEqual([]);
			const noNewPrivs = values.find(([name]) => name === "NoNewPrivs");
			if (noNewPrivs !== undefined) expect(noNewPrivs[1]).toBe("1");
		},
	},
	{
		name: "no descriptor is inherited beyond 0, 1 and 2",
		async run(runtime) {
			const { stdout } = await runtime.run(
				{},
				python("import os\nprint([fd for fd in range(3, 1024) if os.path.exists(f'/proc/self/fd/{fd}')])"),
			);
			// The folder that is being listed is not: each number is looked up by itself.
			expect(stdout).toBe("[]\n");
		},
	},
	{
		name: "threads and child processes work",
		async run(runtime) {
			const script =
				"import threading, subprocess\nt = [threading.Thread(target=lambda: None) for _ in range(8)]\n[x.start() for x in t]; [x.join() for x in t]\nprint(subprocess.run(['/bin/echo', 'hi'], capture_output=True, text=True).stdout)";
			expect((await runtime.run({}, python(script))).stdout).toBe("hi\n\n");
		},
	},
	{
		name: "mounts cannot be changed, with or without a user namespace",
		async run(runtime, scratch) {
			scratch.file("f", "old", 0o666);
			const script = `
for remount in "mount -o remount,bind,rw $1" "mount -o remount,rw $1" "umount $1"; do $remount; unshare -Urm sh -c "$remount"; done
unshare -Urm sh -c 'mount -t tmpfs none /mnt && echo MOUNTED; mount -o remount,bind,rw / && echo REMOUNTED'
echo new >$1/f`;
			const file = { readablePaths: [scratch.path], maskedPaths: ["/var/tmp"] };
			const result = await runtime.run({ security: { file } }, sh(script, scratch.path));
			expect(result.stdout).toBe("");
			expect(scratch.read("f")).toBe("old");
		},
	},
	{
		name: "the calls of the floor are refused",
		async run(runtime) {
			const script = `${CALLS}
refused("mount", libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))
refused("umount", libc.umount2(b"/proc", 2))
refused("chroot", libc.chroot(b"/usr"))
refused("unshare user", libc.unshare(0x10000000))
refused("setns", libc.setns(os.open("/proc/self/ns/mnt", 0) if os.path.exists("/proc/self/ns/mnt") else 0, 0))
refused("io_uring", libc.syscall(425, 1, 0))
refused("move_mount", libc.syscall(429, -1, b"", -1, b"", 0))
refused("fsopen", libc.syscall(430, b"tmpfs", 0))
refused("ptrace", libc.ptrace(16, os.getppid(), 0, 0))
`;
			const { stdout } = await runtime.run({}, python(script));
			expect(stdout.trim().split("\n")).toHaveLength(9);
			expect(stdout).not.toContain("DONE");
		},
	},
	{
		name: "the kernel's log cannot be read",
		needs: ["log-refused"],
		async run(runtime) {
			const { stdout, exitCode } = await runtime.run({}, ["/bin/dmesg"]);
			expect([stdout, exitCode]).toEqual(["", 1]);
		},
	},
	{
		name: "the kernel's log is gVisor's own",
		needs: ["own-log"],
		async run(runtime) {
			const { stdout, exitCode } = await runtime.run({}, ["/bin/dmesg"]);
			expect(exitCode).toBe(0);
			expect(stdout).toMatch(/^\[ +0\.000000\] Starting gVisor\.\.\.\n/);
			expect(stdout).not.toContain("Linux version");
		},
	},
	{
		name: "there is no network",
		async run(runtime) {
			const script = `
import socket
s = socket.socket()
s.settimeout(5)
try:
    s.connect(("1.1.1.1", 80)); print("CONNECTED")
except OSError as e: print(type(e).__name__, e.errno)
print([name for _, name in socket.if_nameindex()])`;
			const { stdout } = await runtime.run({}, python(script));
			expect(stdout).not.toContain("CONNECTED");
			expect(stdout).not.toContain("timed out");
			expect(stdout).toMatch(/\[('lo')?\]/);
		},
	},
	{
		name: "resource limits hold",
		async run(runtime, scratch) {
			const policy = {
				system: { rlimits: { nofile: 64, fsize: "1MiB", core: 0 } },
				security: { file: { writablePaths: [scratch.folder("w")] } },
			};
			const script = `
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_CORE))
opened = []
try:
    while True: opened.append(os.open("/dev/null", os.O_RDONLY))
except OSError as e: print(e.errno, len(opened) < 64)
for fd in opened: os.close(fd)
try:
    with open(sys.argv[1], "wb") as f:
        for _ in range(4): f.write(b"x" * 1000000); f.flush()
except OSError as e: print(e.errno)`;
			const result = await runtime.run(policy, [...python(script), `${scratch.path}/w/big`]);
			expect(result.stdout).toBe("(64, 64) (1048576, 1048576) (0, 0)\n24 True\n27\n");
			expect(scratch.read("w/big").length).toBeLessThanOrEqual(1_048_576);
		},
	},
	{
		name: "a program that ends does not wait for the end of its standard input",
		async run(runtime) {
			const result = await runtime.run({}, sh("echo done"), { stdinStaysOpen: true });
			expect([result.exitCode, result.stdout]).toEqual([0, "done\n"]);
		},
	},
	{
		name: "a terminal is a terminal, with its own session",
		needs: ["terminal"],
		async run(runtime) {
			const script =
				"test -t 0 && test -t 1 && test -t 2 && echo terminal; ps -o sid= -p $$ >/dev/null 2>&1; echo done";
			const { stdout, exitCode } = await runtime.run({}, sh(script), { terminal: true });
			expect(stdout.replaceAll("\r", "")).toBe("terminal\ndone\n");
			expect(exitCode).toBe(0);
		},
	},
	{
		name: "the terminal has the size of the caller's",
		needs: ["terminal", "terminal-size"],
		async run(runtime) {
			const { stdout } = await runtime.run({}, ["/bin/stty", "size"], { terminal: true });
			expect(stdout.replaceAll("\r", "")).toBe("24 80\n");
		},
	},
	{
		name: "the terminal's interrupt reaches the program",
		needs: ["terminal"],
		async run(runtime) {
			const script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done";
			const { stdout, exitCode } = await runtime.run({}, sh(script), { terminal: true, stdin: "\x03" });
			expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: expect.stringContaining("interrupted") });
		},
	},
	{
		name: "137 by exit is told from 137 by a signal",
		needs: ["exact-status", "kills-itself"],
		async run(runtime) {
			const byExit = await runtime.run({}, sh("exit 137"));
			const bySignal = await runtime.run({}, sh("kill -9 $$"));
			expect([byExit.exitCode, byExit.ended]).toEqual([137, "exited"]);
			expect([bySignal.exitCode, bySignal.ended]).toEqual([137, "signaled"]);
		},
	},
];
