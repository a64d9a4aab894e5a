/** Standard output of vmjail's own commands. */

function ignoreClosed(error: NodeJS.ErrnoException): void {
	if (error.code !== "EPIPE") throw error;
}

/** Writes to standard output. That nobody reads on (`vmjail --help | head`) is no error: what is written then is lost. */
export function print(text: string): void {
	const { stdout } = process;
	if (!stdout.listeners("error").includes(ignoreClosed)) stdout.on("error", ignoreClosed);
	stdout.write(text);
}
