import { expect } from "vitest";
import type { Case } from "../judge.ts";

const python = (script: string): readonly string[] => ["/usr/bin/python3", "-c", script];

/**
 * Leaves one thing of each kind behind and holds it, then looks for its neighbour's: NAME of its own, OTHER of the neighbour.
 * What the filter refuses is not seen either. Prints what of the neighbour it saw.
 */
const LOOK = `
import ctypes, fcntl, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
own, other = sys.argv[1], sys.argv[2]
seen = []
def attempt(what, action):
    try:
        if action(): seen.append(what)
    except OSError: pass
    except AttributeError: pass
key = lambda name: 0x766d0000 + ord(name)
def leave():
    attempt("", lambda: open("/dev/shm/" + own, "w").write("x") and False)
    attempt("", lambda: open("/tmp/" + own, "w").write("x") and False)
    libc.shmget(key(own), 4096, 0o1666)
    libc.semget(key(own), 1, 0o1666)
    libc.msgget(key(own), 0o1666)
    libc.syscall(240, b"vmjail-" + own.encode(), os.O_CREAT | os.O_RDWR, 0o666, None)  # mq_open
    libc.syscall(248, b"user", b"vmjail-" + own.encode(), b"x", 1, -4)  # add_key
    try:
        s = socket.socket(socket.AF_UNIX); s.bind("\\0vmjail-" + own); s.listen(); held.append(s)
    except OSError: pass
    try:
        s = socket.socket(socket.AF_INET); s.bind(("127.0.0.1", 7000 + ord(own))); s.listen(); held.append(s)
    except OSError: pass
    try:
        s = socket.socket(40, socket.SOCK_STREAM); s.bind((0xffffffff, 7000 + ord(own))); s.listen(); held.append(s)
    except OSError: pass
    f = open("/tmp/lock", "w"); fcntl.flock(f, fcntl.LOCK_EX); held.append(f)
held = []
leave()
time.sleep(1.5)
def connects(family, address):
    s = socket.socket(family); s.settimeout(1); s.connect(address); return True
attempt("shm file", lambda: os.path.exists("/dev/shm/" + other))
attempt("tmp file", lambda: os.path.exists("/tmp/" + other))
attempt("SysV shm", lambda: libc.shmget(key(other), 1, 0) >= 0)
attempt("SysV sem", lambda: libc.semget(key(other), 1, 0) >= 0)
attempt("SysV msg", lambda: libc.msgget(key(other), 0) >= 0)
attempt("POSIX queue", lambda: libc.syscall(240, b"vmjail-" + other.encode(), os.O_RDWR, 0, None) >= 0)
attempt("key", lambda: libc.syscall(249, b"user", b"vmjail-" + other.encode(), None, -4) >= 0)
attempt("abstract socket", lambda: connects(socket.AF_UNIX, "\\0vmjail-" + other))
attempt("port", lambda: connects(socket.AF_INET, ("127.0.0.1", 7000 + ord(other))))
attempt("vsock", lambda: connects(40, (1, 7000 + ord(other))))
def lines(name): return open("/proc/" + name + "/cmdline", "rb").read().split(b"\\0")
attempt("process", lambda: any(lines(p)[3:5] == [other.encode(), own.encode()] for p in os.listdir("/proc") if p.isdigit()))
signalled = 0
for pid in range(2, 70000):
    if pid == os.getpid(): continue
    try: os.kill(pid, 0); signalled += 1
    except OSError: pass
attempt("signal", lambda: signalled > 0)
# What was one's own is there: the look itself works.
ok = os.path.exists("/dev/shm/" + own) and libc.shmget(key(own), 1, 0) >= 0 and connects(socket.AF_INET, ("127.0.0.1", 7000 + ord(own)))
print("own" if ok else "not even own", *sorted(seen))
`;

/** A lock on a file that both see: the second would wait for the first. */
const LOCK = `
import fcntl, os, sys, time
f = open("/tmp/own-lock", "w")
fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
time.sleep(1)
print("had it")
`;

export const neighbours: readonly Case[] = [
	{
		name: "two jails side by side do not see each other: files, keys, sockets, vsock, SysV and POSIX IPC, processes, signals",
		async run(judge) {
			const [a, b] = await Promise.all([
				judge.run({ command: [...python(LOOK), "a", "b"] }),
				judge.run({ command: [...python(LOOK), "b", "a"] }),
			]);
			expect([a.stderr.toString(), b.stderr.toString()]).toEqual(["", ""]);
			expect([a.stdout.toString(), b.stdout.toString()]).toEqual(["own\n", "own\n"]);
		},
	},
	{
		name: "the same look without a jail between them sees everything but what the filter refuses",
		async run(judge) {
			const both = `python3 -c "$LOOK" a b & python3 -c "$LOOK" b a; wait`;
			const env = { LOOK, PATH: "/usr/bin:/bin" };
			const { stdout } = await judge.run({ command: ["/bin/sh", "-c", both], env });
			const [first = ""] = stdout.toString().split("\n");
			for (const what of ["shm file", "tmp file", "SysV shm", "SysV sem", "port", "process", "signal"]) {
				expect(first).toContain(what);
			}
		},
	},
	{
		name: "a lock in the one is none in the other",
		async run(judge) {
			const results = await Promise.all([1, 2].map(() => judge.run({ command: python(LOCK) })));
			expect(results.map(({ stdout }) => stdout.toString())).toEqual(["had it\n", "had it\n"]);
		},
	},
];
