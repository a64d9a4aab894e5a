/** What the lab's Internet has received. */
export type LabEvent =
	| { readonly kind: "ready" }
	| {
			readonly kind: "dns";
			readonly server: string;
			readonly transport: "udp" | "tcp";
			readonly name: string;
			readonly type: string;
	  }
	| { readonly kind: "connection"; readonly address: string; readonly port: number; readonly peer: string }
	| { readonly kind: "http"; readonly host: string; readonly url: string; readonly sni?: string }
	| { readonly kind: "datagram"; readonly address: string; readonly port: number; readonly bytes: number };
