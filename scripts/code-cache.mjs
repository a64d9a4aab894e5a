/**
 * Leaves V8's compiled code for the command line in `build/code-cache`, for `dist/cli.cjs` to start with. It holds the
 * functions that a few typical runs came through: where no jail can be made, fewer.
 *
 *   node [OPTION…] scripts/code-cache.mjs      to be started by the Node that will run vmjail, with the options it will have
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
const folder = join(root, "build/code-cache");

/** Exercises the readers of flags and of every part of a policy. */
const POLICY = `{
	// a comment, as people write them
	"extends": "agent",
	"system": { "memory": { "max": "512MiB" }, "time": { "wall": "1m" }, "env": { "set": { "A": "b" } }, "optional": [] },
	"security": { "network": { "mode": "none" }, "file": { "readablePaths": ["/usr"], "tmpfs": [{ "path": "/tmp", "size": "64MiB" }] } },
}`;

/** Of what is in the folder, the script that `cli.cjs` names: those of earlier builds may be in use still. */
function mainScript() {
	const [name] = /main-[0-9a-f]{16}\.script/.exec(readFileSync(join(dist, "cli.cjs"), "latin1"));
	return name;
}

/** Standard streams are not the training's: it runs with nothing to read and nowhere to write. */
async function train(main) {
	const policy = join(tmpdir(), `vmjail-training-${process.pid}.json`);
	writeFileSync(policy, POLICY, { flag: "wx", mode: 0o600 });
	try {
		await main(["--", "/bin/true"]);
		await main(["-q", "-c", policy, "--ro", "/etc", "--cwd", "/", "--pids", "64", "--", "/bin/sh", "-c", "exit 3"]);
	} finally {
		rmSync(policy, { force: true });
	}
}

const name = mainScript();
const script = new Script(readFileSync(join(dist, name), "latin1"), { filename: join(dist, name) });
const module = { exports: {} };
script.runInThisContext()(createRequire(join(dist, "cli.cjs")), module, dist);
await train(module.exports.main);

const target = [name, process.version, process.arch, ...process.execArgv].join("-").replaceAll("/", "-");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, `.${process.pid}`), script.createCachedData());
renameSync(join(folder, `.${process.pid}`), join(folder, target));
for (const other of readdirSync(folder)) if (!other.startsWith(name)) rmSync(join(folder, other), { force: true });
process.exit(0);
