/**
 * Explains refused destinations: connect(2), and sendto(2) with an address, wait until vmjail has looked at where they go.
 * What the routes will refuse answers EPERM at once and is reported, with its process. It only explains: the caller could
 * change the address after the look, and then meets the routes and the gateway's firewall, which decide.
 */

import { readlinkSync } from "node:fs";
import type { Architecture } from "../host/types.ts";
import type { SeccompRule } from "../oci/types.ts";
import { SECCOMP_SET_MODE_FILTER } from "../plan/constants.ts";
import { compileSeccomp } from "../plan/seccomp/compile.ts";
import { block, struct } from "../plan/steps.ts";
import { syscallNumber } from "../plan/syscalls.ts";
import type { Step } from "../plan/types.ts";
import { formatIp } from "./ip.ts";
import { type SocketAddress, socketAddressOf } from "./judge.ts";
import type { Protocol } from "./rules.ts";

const EPERM = 1;
const EINVAL = 22;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
const MOST_ADDRESS = 128; // sizeof(struct sockaddr_storage)

/** "This kernel has no notifications": of all processes with a filter in common, one may have a listener, and that is ours. */
const NO_OTHER_LISTENER: SeccompRule = {
	names: ["seccomp"],
	action: "SCMP_ACT_ERRNO",
	errnoRet: EINVAL,
	args: [
		{ index: 0, value: SECCOMP_SET_MODE_FILTER, op: "SCMP_CMP_EQ" },
		{
			index: 1,
			value: SECCOMP_FILTER_FLAG_NEW_LISTENER,
			valueTwo: SECCOMP_FILTER_FLAG_NEW_LISTENER,
			op: "SCMP_CMP_MASKED_EQ",
		},
	],
};

/**
 * In the workload, before its other filters and while it can still speak to vmjail: the listener is sent.
 *
 * @param ownKernel the workload is gVisor's kernel, which takes EBUSY for a second listener as a fault, and does without
 *   where there are none
 */
export function notifySteps(arch: Architecture, ownKernel = false): readonly Step[] {
	const { bytes, flags } = compileSeccomp(
		{
			defaultAction: "SCMP_ACT_ALLOW",
			syscalls: [
				{ names: ["connect"], action: "SCMP_ACT_NOTIFY" },
				{ names: ["sendto"], action: "SCMP_ACT_NOTIFY", args: [{ index: 4, value: 0, op: "SCMP_CMP_NE" }] },
				...(ownKernel ? [NO_OTHER_LISTENER] : []),
			],
		},
		arch,
	);
	const count = bytes.length / 8;
	const program = struct(`{${count} instructions}`, [
		{ u16: count },
		{ zeros: 6 },
		{ pointer: block(bytes, `<filter of ${count} instructions>`) },
	]);
	return [
		{
			label: "have connect and sendto wait for vmjail",
			call: "seccomp",
			args: [SECCOMP_SET_MODE_FILTER, flags, program],
			save: "listener",
		},
		{ label: "hand the listener to vmjail", call: "send_descriptor", args: [{ slot: "listener" }] },
	];
}

/** What the addon must be able to do. */
export interface NotificationIo {
	watch(listener: number, callback: (id: bigint, pid: number, call: number, args: BigUint64Array) => void): () => void;
	/** 0: go on. */
	answer(listener: number, id: bigint, error: number): void;
	readMemory(pid: number, address: bigint, size: number): Uint8Array | undefined;
}

export interface NotifierOptions {
	readonly arch: Architecture;
	readonly io: NotificationIo;
	readonly allows: (to: SocketAddress) => boolean;
	/** Is the process that calls one of the jail's programs? Not where a kernel of its own calls for them all. */
	readonly namesPrograms: boolean;
	/** `protocol`: as far as the call tells. */
	readonly refused: (
		protocol: Protocol,
		address: string,
		port: number,
		process: { readonly pid: number; readonly exe?: string } | undefined,
	) => void;
}

function programOf(pid: number): { readonly pid: number; readonly exe?: string } {
	try {
		return { pid, exe: readlinkSync(`/proc/${pid}/exe`) };
	} catch {
		return { pid };
	}
}

/** Owns the listener. Returns what ends the service; calls that still wait then fail with ENOSYS. */
export function serveNotifications(
	listener: number,
	{ arch, io, allows, namesPrograms, refused }: NotifierOptions,
): () => void {
	const connect = syscallNumber(arch, "connect");
	const destination = (pid: number, call: number, args: BigUint64Array): SocketAddress | undefined => {
		const [address = 0n, size = 0n] = call === connect ? [args[1], args[2]] : [args[4], args[5]];
		if (size > BigInt(MOST_ADDRESS)) return undefined;
		const bytes = io.readMemory(pid, address, Number(size));
		return bytes === undefined ? undefined : socketAddressOf(bytes);
	};
	return io.watch(listener, (id, pid, call, args) => {
		const to = destination(pid, call, args);
		const refuse = to !== undefined && !allows(to);
		const program = refuse && namesPrograms ? programOf(pid) : undefined;
		if (refuse) refused(call === connect ? "tcp" : "udp", formatIp(to.ip), to.port, program);
		io.answer(listener, id, refuse ? EPERM : 0);
	});
}
