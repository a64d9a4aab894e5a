/** The executor that build/vmjail-launch started before Node, so that it is ready by the time it is needed. */

import { closeSync } from "node:fs";
import { loadAddon } from "./addon.ts";

const given: { socket?: number } = {};

const FLAG = /^--executor=([1-9]\d{0,8})$/;

/**
 * Takes the launcher's own argument off the arguments of the command line.
 *
 * @throws VmjailError EXECUTOR_FAILED where the addon is not built
 */
export function receiveExecutor(args: readonly string[]): readonly string[] {
	const [first = "", ...rest] = args;
	const [, number] = FLAG.exec(first) ?? [];
	if (number === undefined) return args;
	const socket = Number(number);
	try {
		loadAddon().closeOnExec(socket);
	} catch (error) {
		closeSync(socket);
		throw error;
	}
	given.socket = socket;
	return rest;
}

/** The socket to an executor that nobody uses yet, once. */
export function takeExecutor(): number | undefined {
	const { socket } = given;
	delete given.socket;
	return socket;
}
