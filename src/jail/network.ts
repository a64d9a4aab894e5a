/** A jail's way to the network: the gateway's namespaces, what netlink and nft set up in them, and the gateway itself. */

import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import { VmjailError } from "../errors.ts";
import { loadAddon } from "../executor/addon.ts";
import { type EncodedProgram, encodePlan, encodeWorkload } from "../executor/encode.ts";
import type { JailProcess } from "../executor/jail-process.ts";
import type { Zygote } from "../executor/zygote.ts";
import type { HostFacts } from "../host/types.ts";
import type { NetworkEvent } from "../network/events.ts";
import { hostFamilies } from "../network/families.ts";
import { firewallBatches, gatewayFirewall } from "../network/firewall.ts";
import { Gateway, type RenewalIo } from "../network/gateway.ts";
import type { Family } from "../network/ip.ts";
import { judge } from "../network/judge.ts";
import { furnishWorkload } from "../network/namespace/furnish.ts";
import { gatewayPlan, USER_NAMESPACE } from "../network/namespace/gateway-plan.ts";
import { dialWorkload, type SocketName } from "../network/namespace/sockets.ts";
import { toolWorkload } from "../network/namespace/tools.ts";
import { notifySteps, serveNotifications } from "../network/notifier.ts";
import { compileRules, needsUdp, type Rules } from "../network/rules.ts";
import type { Plan, Step, Workload } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import { launchError } from "./launch-error.ts";
import { openStreams } from "./stdio.ts";
import { flushTracked } from "./tracked.ts";

type Network = Policy["security"]["network"];

export interface NetworkOptions {
	readonly network: Network;
	readonly facts: HostFacts;
	/** Names the jail in events. */
	readonly jail: string;
	/** gVisor's, which makes the calls of all programs as one process of the host's. */
	readonly ownKernel: boolean;
	readonly onEvent: (event: NetworkEvent) => void;
	/** Default: what the host has. */
	readonly families?: readonly Family[];
	/** Every connection, not only refusals and failures. */
	readonly reportAll: boolean;
	/** It will be asked to {@link JailNetwork.renew}. */
	readonly renewed?: boolean;
}

/** The gateway of one jail. Made before the jail, connected when the jail is set up, closed after it. */
export class JailNetwork {
	readonly #options: NetworkOptions;
	readonly #rules: Rules;
	readonly #plan: Plan;
	readonly #program: EncodedProgram;
	readonly #holder: JailProcess;
	readonly #families: readonly Family[];
	/** Made while the jail is. */
	readonly #firewall: Promise<void>;
	#gateway: Gateway | undefined;
	#namespace: number | undefined;
	#stopExplaining: (() => void) | undefined;
	/** The holder runs one program at a time. */
	#turn: Promise<unknown> = Promise.resolve();

	/** @throws VmjailError POLICY_INVALID for rules that cannot be compiled */
	constructor(zygote: Zygote, options: NetworkOptions) {
		this.#options = options;
		this.#rules = compileRules(options.network.policy);
		this.#plan = gatewayPlan(options.facts);
		this.#program = encodePlan(this.#plan, options.facts.arch);
		this.#holder = zygote.launch(this.#program);
		this.#families = options.families ?? hostFamilies();
		this.#firewall = this.#setFirewall();
		this.#firewall.catch(() => undefined); // told by `connect`
	}

	/** Where the jail's user namespace belongs: below the gateway's, so that nothing in the jail has a right over it. */
	get parentJail(): NonNullable<Plan["parentJail"]> {
		return { id: this.#holder.id, slot: this.#program.slots.get(USER_NAMESPACE) ?? 0 };
	}

	/**
	 * Furnishes the jail's network namespace and serves it. To be called before a program runs in the jail.
	 *
	 * @throws VmjailError HOST_UNSUPPORTED where nft is missing or this kernel lacks what they need, or a port
	 *   cannot be published
	 */
	async connect(jail: JailProcess): Promise<void> {
		const namespace = await jail.sent;
		if (namespace === undefined) {
			// The jail came to nothing. Because the gateway did? Else its own failure is told by the program that is run in it next.
			await this.#firewall;
			return;
		}
		this.#namespace = namespace;
		await this.#firewall;
		await this.#serve(await this.#furnish());
	}

	async #setFirewall(): Promise<void> {
		for (const batch of firewallBatches(gatewayFirewall(this.#rules, this.#families)))
			await this.#tool(["nft", "-j", "-f", "-"], JSON.stringify(batch));
	}

	/** Sets up both namespaces; the sockets of G, by name. */
	async #furnish(): Promise<ReadonlyMap<SocketName, number>> {
		const { names, workload } = furnishWorkload(this.#rules, this.#families, {
			udp: needsUdp(this.#rules),
			renewed: this.#options.renewed === true,
		});
		const received: number[] = [];
		await this.#run(workload, { stdin: "ignore" }, (descriptor) => received.push(descriptor));
		return new Map(names.map((name, i) => [name, received[i] ?? -1]));
	}

	async #serve(sockets: ReadonlyMap<SocketName, number>): Promise<void> {
		const udp = needsUdp(this.#rules);
		const addon = loadAddon();
		const { jail, network, onEvent } = this.#options;
		const at = (name: SocketName) => sockets.get(name) ?? -1;
		const { listen, bytesPerSecond } = network.policy;
		this.#gateway = await Gateway.start({
			jail,
			rules: this.#rules,
			families: this.#families,
			descriptors: {
				tcp: this.#families.map((family) => at(`tcp${family}`)),
				dnsUdp: at("dnsUdp"),
				dnsTcp: at("dnsTcp"),
				...(udp
					? {
							udp: Object.fromEntries(
								this.#families.map((family) => [family, { receive: at(`udp${family}`), send: at(`send${family}`) }]),
							),
						}
					: {}),
			},
			datagrams: { receive: addon.receiveDatagrams, send: addon.sendPacket, close: closeSync },
			onEvent,
			relay: addon,
			...(sockets.has("tracked") ? { renewal: this.#renewal(at("tracked")) } : {}),
			...(bytesPerSecond === undefined ? {} : { limits: { bytesPerSecond } }),
			reportAll: this.#options.reportAll,
			...(listen.length === 0 ? {} : { publish: { ports: listen, dial: (port: number) => this.#dial(port) } }),
		});
	}

	#renewal(tracked: number): RenewalIo {
		const { duplicate, discard } = loadAddon();
		flushTracked(tracked); // found out now where it cannot be had
		return { tracked, flush: flushTracked, duplicate, discard, close: closeSync };
	}

	/** See {@link Gateway.renew}. */
	async renew(reportAll: boolean): Promise<void> {
		await this.#gateway?.renew(reportAll);
	}

	/** Resolves when the gateway's namespaces have lost their pid 1. */
	get end(): Promise<unknown> {
		return this.#holder.end;
	}

	/** A connection to a port of the jail's loopback, made from inside. */
	async #dial(port: number): Promise<Socket> {
		const received: number[] = [];
		await this.#run(dialWorkload(port), { stdin: "ignore" }, (descriptor) => received.push(descriptor));
		const [descriptor] = received;
		if (descriptor === undefined) throw new VmjailError("JAIL_CLOSED", "the jail has ended");
		return new Socket({ fd: descriptor, readable: true, writable: true, allowHalfOpen: true });
	}

	async #tool(argv: readonly string[], input: string): Promise<void> {
		await this.#run(toolWorkload(argv), { stdin: { content: input }, what: argv[0] ?? "" });
	}

	/** Runs something in the gateway, after whatever runs there now. */
	#run(
		workload: Workload,
		options: { readonly stdin: "ignore" | { readonly content: string }; readonly what?: string },
		onDescriptor?: (descriptor: number) => void,
	): Promise<void> {
		const turn = this.#turn.then(() => this.#runNow(workload, options, onDescriptor));
		this.#turn = turn.catch(() => undefined);
		return turn;
	}

	async #runNow(
		workload: Workload,
		{ stdin, what }: { readonly stdin: "ignore" | { readonly content: string }; readonly what?: string },
		onDescriptor?: (descriptor: number) => void,
	): Promise<void> {
		const program = encodeWorkload(workload, this.#program, this.#plan, this.#options.facts.arch);
		const streams = openStreams({ stdin, stdout: "ignore", stderr: "collect" });
		const extra = workload.descriptors === undefined ? [] : [this.#namespace ?? -1];
		const replied = this.#holder.exec({
			program,
			descriptors: [...streams.descriptors, ...extra],
			last: false,
			...(onDescriptor === undefined ? {} : { onDescriptor }),
		});
		streams.close();
		const [reply, said] = await Promise.all([replied, streams.stderr]);
		if (reply.kind === "exited" && reply.exit.status === 0) return;
		if (reply.kind === "failed") throw failed(workload, this.#plan, reply, what);
		throw new VmjailError(
			"HOST_UNSUPPORTED",
			`network rules: ${what ?? "the gateway"} failed: ${said?.toString().trim() ?? ""}`,
			{
				remedy: "Run `vmjail doctor`: it tries nft in a namespace and names the fix.",
			},
		);
	}

	/** Further steps for every program: its connect(2) and sendto(2) are looked at, to explain refusals. */
	get workloadSteps(): readonly Step[] {
		return notifySteps(this.#options.facts.arch, this.#options.ownKernel);
	}

	/** Serves the listener that those steps send. */
	explain(listener: number): void {
		const addon = loadAddon();
		this.#stopExplaining = serveNotifications(listener, {
			arch: this.#options.facts.arch,
			io: { watch: addon.watchNotifications, answer: addon.answerNotification, readMemory: addon.readMemory },
			allows: judge(this.#rules, this.#families),
			namesPrograms: !this.#options.ownKernel,
			refused: (protocol, address, port, process) => this.#gateway?.reportRefused(protocol, address, port, process),
		});
	}

	stopExplaining(): void {
		this.#stopExplaining?.();
		this.#stopExplaining = undefined;
	}

	/** After the jail's end. */
	async close(): Promise<void> {
		this.stopExplaining();
		await this.#turn;
		await this.#gateway?.close();
		if (this.#namespace !== undefined) closeSync(this.#namespace);
		this.#namespace = undefined;
		this.#holder.close();
		await this.#holder.end;
	}
}

type Failed = Extract<Awaited<ReturnType<JailProcess["exec"]>>, { kind: "failed" }>;

function failed(workload: Workload, plan: Plan, { of, failure }: Failed, what: string | undefined): VmjailError {
	const { message, code, remedy } = launchError(of === "jail" ? plan : workload, failure, [what ?? ""]);
	if (code === "LAUNCH_FAILED") {
		return new VmjailError(code, `the gateway: ${message}`, remedy === undefined ? {} : { remedy });
	}
	const error = getSystemErrorName(-failure.error);
	return new VmjailError("HOST_UNSUPPORTED", `network rules: ${what ?? "a tool"} cannot be run: ${error}`, {
		remedy: "Install nftables.",
	});
}
