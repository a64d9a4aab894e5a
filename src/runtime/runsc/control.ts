/**
 * The Sentry's control socket (gVisor, runsc/boot/controller.go and pkg/urpc): a request is one JSON object with a
 * method's name and its argument, the answer another one. Here only: a signal to the program.
 */

import { connect } from "node:net";
import { join } from "node:path";

/** Of `runsc --root=state run … id`. */
export function controlSocket(state: string, id: string): string {
	return join(state, `runsc-${id}.sock`);
}

/** boot.SignalArgs: process 0 is the container's first; mode 0 is that process alone. */
function signalRequest(id: string, signal: number): string {
	return JSON.stringify({ Method: "containerManager.Signal", Arg: { CID: id, Signo: signal, PID: 0, Mode: 0 } });
}

const RETRY_MS = 20;

/** Tries until the Sentry has taken the signal, or the run is over: it may still be starting. */
export async function sendSignal(path: string, id: string, signal: number, isOver: () => boolean): Promise<void> {
	while (!isOver() && !(await isTaken(path, signalRequest(id, signal)))) {
		await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
	}
}

function isTaken(path: string, request: string): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(path);
		let answer = "";
		socket.setEncoding("utf8");
		socket.on("connect", () => socket.write(request));
		socket.on("error", () => resolve(false));
		socket.on("close", () => resolve(false));
		socket.on("data", (text: string) => {
			answer += text;
			try {
				const { success } = JSON.parse(answer) as { readonly success?: boolean };
				resolve(success === true);
				socket.destroy();
			} catch {
				// More is to come.
			}
		});
	});
}
