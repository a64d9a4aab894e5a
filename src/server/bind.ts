/** Listening on an address. */

import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { VmjailError } from "../errors.ts";
import type { Address } from "./listen.ts";

function refuse(text: string, cause: unknown): VmjailError {
	const { code } = cause as NodeJS.ErrnoException;
	return new VmjailError("USAGE", `--listen ${text}: cannot listen there: ${code ?? String(cause)}`, {
		remedy: "Choose another address, or end the server that has this one.",
		cause,
	});
}

/** Does somebody answer at this socket? */
function isAlive(path: string): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = connect(path);
		probe.on("connect", () => {
			probe.destroy();
			resolve(true);
		});
		probe.on("error", () => resolve(false));
	});
}

/** A server that was killed leaves its socket; nothing but a socket that nobody listens to is removed. */
async function removeStale(path: string): Promise<void> {
	const stat = lstatSync(path, { throwIfNoEntry: false });
	if (stat?.isSocket() === true && !(await isAlive(path))) unlinkSync(path);
}

function listening(server: Server, options: Parameters<Server["listen"]>[0]): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(options, () => {
			server.off("error", reject);
			resolve();
		});
	});
}

/**
 * @param mode of a unix socket: nobody but the owner can connect before it is set
 * @returns the address that it got, for people
 * @throws VmjailError USAGE
 */
export async function listenOn(server: Server, address: Address, mode: number): Promise<string> {
	if (address.kind === "unix") {
		const before = process.umask(0o177);
		try {
			await removeStale(address.path);
			await listening(server, { path: address.path });
			chmodSync(address.path, mode);
		} catch (cause) {
			throw refuse(`unix:${address.path}`, cause);
		} finally {
			process.umask(before);
		}
		return `unix:${address.path}`;
	}
	const text = `${address.host}:${address.port}`;
	try {
		await listening(server, { host: address.host, port: address.port });
	} catch (cause) {
		throw refuse(text, cause);
	}
	const bound = server.address();
	const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
	return address.host.includes(":") ? `[${address.host}]:${port}` : `${address.host}:${port}`;
}
