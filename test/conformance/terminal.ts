import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";

/** Holds the master side: says the name of the slave, then copies what is written there; types its input when told. */
const HOLDER = `
import os, pty, sys, fcntl, termios, struct, threading
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
print(os.ttyname(slave), flush=True)
def type_in():
    for line in sys.stdin:
        os.write(master, bytes.fromhex(line.strip()))
    os.close(slave)
threading.Thread(target=type_in, daemon=True).start()
while True:
    try: data = os.read(master, 65536)
    except OSError: break
    if not data: break
    os.write(1, data)
`;

export interface Streams {
	readonly stdio: { readonly stdin: number; readonly stdout: number; readonly stderr: number };
	finish(): Promise<{ readonly stdout: string; readonly stderr: string }>;
	close(): void;
}

/** A terminal of 24 rows and 80 columns. What is to be typed is typed when the program has written its first line. */
export async function openTerminal(typed = ""): Promise<Streams> {
	const holder = spawn("python3", ["-c", HOLDER], { stdio: ["pipe", "pipe", "inherit"] });
	const chunks: Buffer[] = [];
	const output = () => Buffer.concat(chunks).toString("latin1");
	const name = await firstLine(holder);
	const slave = openSync(name, constants.O_RDWR | constants.O_NOCTTY);
	let waiting = typed;
	holder.stdout.on("data", (chunk: Buffer) => {
		chunks.push(chunk);
		if (waiting === "" || !output().includes("\n")) return;
		holder.stdin.write(`${Buffer.from(waiting, "latin1").toString("hex")}\n`);
		waiting = "";
	});
	return {
		stdio: { stdin: slave, stdout: slave, stderr: slave },
		async finish() {
			closeSync(slave);
			holder.stdin.end();
			await once(holder, "close");
			return { stdout: output(), stderr: "" };
		},
		close: () => {
			holder.kill("SIGKILL");
		},
	};
}

async function firstLine(holder: ChildProcess): Promise<string> {
	const stream = holder.stdout;
	let line = "";
	while (!line.includes("\n")) {
		await once(stream ?? holder, "readable");
		line += (stream?.read() as Buffer | null)?.toString("latin1") ?? "";
	}
	return line.trim();
}
