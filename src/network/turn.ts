/**
 * What the gateway has of one program: the names that it was told, its connections and flows, its share of the rate, what it
 * was refused. The next program gets another, and finds nothing of this one.
 */

import type { Report } from "./events.ts";
import type { RelayLimits } from "./relay/limits.ts";
import type { RelayIo } from "./relay/native.ts";
import { type RelayContext, TcpRelay } from "./relay/relay.ts";
import type { UdpPort } from "./udp/port.ts";
import { UdpRelay } from "./udp/relay.ts";

export interface TurnOptions {
	readonly context: RelayContext;
	readonly relay: RelayIo;
	/** Which are the turn's from now on. */
	readonly listeners: readonly number[];
	readonly limits?: Partial<RelayLimits>;
	readonly reportAll: boolean;
	/** Where the gateway has UDP. */
	readonly udp?: UdpPort;
	/** Ends the questions to the host's resolver that are under way. */
	readonly cancel: () => void;
}

export class Turn {
	readonly context: RelayContext;
	readonly relay: TcpRelay;
	readonly reportAll: boolean;
	readonly #udp: UdpRelay | undefined;
	readonly #cancel: () => void;
	#used = false;
	#over = false;

	constructor({ context, relay, listeners, limits, reportAll, udp, cancel }: TurnOptions) {
		const report: Report = (event) => {
			if (!this.#over) context.report(event);
		};
		this.context = { ...context, report, isOver: () => this.#over };
		this.relay = new TcpRelay(this.context, {
			io: relay,
			listeners,
			reportAll,
			...(limits === undefined ? {} : { limits }),
		});
		this.#udp = udp === undefined ? undefined : new UdpRelay(this.context, udp, this.relay);
		this.reportAll = reportAll;
		this.#cancel = cancel;
	}

	/** Something beside TCP came from the jail: a question, a datagram, a refusal that is to be told of once. */
	use(): void {
		this.#used = true;
	}

	/** Has it anything that another program must not find? To be asked when the listeners have been emptied. */
	get touched(): boolean {
		return this.#used || this.relay.touched;
	}

	/** Resets connections, forgets flows; whatever is still under way comes to nothing and is not reported. */
	close(): void {
		this.relay.close();
		this.#udp?.close();
		this.#over = true;
		this.#cancel();
	}
}
