/** `npm run lab -- COMMAND...`: a command (default: a shell) on the lab's host. Tells on standard error what the Internet received. */

import { once } from "node:events";
import { Lab } from "./lab.ts";

const words = process.argv.slice(2);
const command = words[0] === "--" ? words.slice(1) : words;
await using lab = await Lab.start();
const child = lab.hostSpawn(command.length > 0 ? command : [process.env.SHELL ?? "sh"], "inherit");
const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
for (const event of lab.log) process.stderr.write(`lab: ${JSON.stringify(event)}\n`);
process.exitCode = signal === null ? (code ?? 1) : 1;
