import type { Policy } from "../../src/policy/types.ts";

type System = Policy["system"];
type File = Policy["security"]["file"];

/** What a test wants to differ from the plain policy; each section replaces its namesake as a whole, `file` by key. */
export interface PolicyParts {
	readonly system?: Partial<System>;
	readonly file?: Partial<File>;
	readonly network?: Policy["security"]["network"];
	readonly allow?: readonly string[];
	readonly syscalls?: Policy["security"]["syscalls"];
	readonly mac?: Policy["security"]["mac"];
}

/** A network section without rules. */
export function network(mode: Policy["security"]["network"]["mode"]): Policy["security"]["network"] {
	return { mode, policy: { listen: [], tcp: [], udp: [], dns: [] } };
}

/** A normalised policy that restricts nothing but what every jail restricts: read-only root, no network. */
export function policyOf(parts: PolicyParts = {}): Policy {
	return {
		system: {
			runtime: "runlc",
			rollback: "",
			accel: "systrap",
			root: { path: "/", readonly: true },
			memory: { swapBytes: 0 },
			cpu: {},
			pids: {},
			io: {},
			time: {},
			output: {},
			rlimits: {},
			devices: [],
			capabilities: [],
			hostname: "jail",
			env: { pass: [], set: {} },
			optional: [],
			...parts.system,
		},
		security: {
			network: parts.network ?? network("none"),
			file: { writablePaths: [], readablePaths: [], maskedPaths: [], tmpfs: [], ...parts.file },
			process: { allow: parts.allow ?? [] },
			syscalls: parts.syscalls ?? "default",
			mac: parts.mac ?? {},
		},
	};
}
