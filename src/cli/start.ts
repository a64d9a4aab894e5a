/**
 * The program's first file: says so when Node is too old, then loads the command line.
 *
 * The command line is imported dynamically, because Node links everything that is imported statically before the first
 * line runs: an old Node would fail with a message about some missing export.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
	process.stderr.write(
		`vmjail: Node ${process.versions.node} (${process.execPath}) is too old: vmjail needs 20.19 or later\n`,
	);
	process.exitCode = 125;
} else {
	await import("./main.ts");
}
