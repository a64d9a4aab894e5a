/** The policies of the talk that vmjail comes from: each loads unchanged, and means what its slide shows. */

import { describe, expect, it } from "vitest";
import { policyOf } from "./helpers.ts";

const ANY = { from: 0, to: 65535 };
const anyAddress = (port: number) => ({ host: "*", ports: { from: port, to: port }, text: `*:${port}` });

/** The network rules that most slides repeat. */
const NETWORK = `
  "network": {
    "mode": "hostwithpolicy",
    "policy": {
      "listen": [80],
      "tcp": ["1.1.1.1:"],
      "udp": ["*:53"],
      "dns": ["npm.org:*", "python.org:*"]
    }
  },`;

describe("policy → OCI spec", () => {
	const policy = policyOf(`{
"security": {${NETWORK}
  "file": {
    "writablePaths": ["/tmp"],
    "maskedPaths": ["/mnt"]
  },
  "process": {
    "allow": ["/usr/bin/ls"]
  }
}
}`);

	it("reaches 1.1.1.1 on every port, any address on 53, and two names", () => {
		expect(policy.security.network).toEqual({
			mode: "hostwithpolicy",
			policy: {
				listen: [{ hostAddress: "127.0.0.1", hostPort: 80, jailPort: 80 }],
				tcp: [{ host: "1.1.1.1", ports: ANY, text: "1.1.1.1:" }],
				udp: [anyAddress(53)],
				dns: [
					{ name: "npm.org", subdomains: false, ports: ANY, text: "npm.org:*" },
					{ name: "python.org", subdomains: false, ports: ANY, text: "python.org:*" },
				],
			},
		});
	});

	it("writes to /tmp, does not see /mnt, runs ls only", () => {
		expect(policy.security.file).toEqual({
			writablePaths: ["/tmp"],
			readablePaths: [],
			maskedPaths: ["/mnt"],
			tmpfs: [],
		});
		expect(policy.security.process.allow).toEqual(["/usr/bin/ls"]);
	});
});

describe("file system → vmjail", () => {
	it("system: gVisor by ptrace, the host's root read-only, no fall-back", () => {
		const { system } = policyOf(`{
"system": {
  "runtime": "runsc",
  "rollback": "",
  "accel": "ptrace",
  "root": {
    "path": "/",
    "readonly": true
  },
}
}`);
		expect(system).toMatchObject({
			runtime: "runsc",
			rollback: "",
			accel: "ptrace",
			root: { path: "/", readonly: true },
		});
	});
});

describe("network restriction", () => {
	it("mode none keeps its rules: they are no contradiction, and not used", () => {
		const { network } = policyOf(`{
"security": {
  "network": {
    "mode": "none",
    "policy": {
      "listen": [80],
      "tcp": ["1.1.1.1:"],
      "udp": ["*:53"],
      "dns": ["*.npm.org:*", "*.python.org:*"]
    }
  },
}
}`).security;
		expect(network.mode).toBe("none");
		expect(network.policy.dns).toEqual([
			{ name: "npm.org", subdomains: true, ports: ANY, text: "*.npm.org:*" },
			{ name: "python.org", subdomains: true, ports: ANY, text: "*.python.org:*" },
		]);
	});
});

describe("CPU, memory, devices", () => {
	it("1 GiB as a bare number of bytes, 4 cores, runc", () => {
		const { system } = policyOf(`{
"system": {
  "runtime": "runc",
  "rollback": "",
  "accel": "ptrace",
  "root": {
    "path": "/",
    "readonly": true
  },
  "memory": {
    "max": 1073741824
  },
  "cpu": {
    "number": 4
  }
},
}`);
		expect(system).toMatchObject({ runtime: "runc", memory: { maxBytes: 2 ** 30, swapBytes: 0 }, cpu: { cores: 4 } });
	});
});

describe("demonstrations", () => {
	it("a kernel of its own, root read-only (the slide's elided rest left out)", () => {
		const { system } = policyOf(`{
"system": {
  "runtime": "runsc",
  "rollback": "",
  "accel": "ptrace",
  "root": {
    "path": "/",
    "readonly": true
  },
}
}`);
		expect(system.root.readonly).toBe(true);
	});

	it("writable /tmp, masked /var", () => {
		const { file } = policyOf(`{
"security": {
"file": {
  "writablePaths": ["/tmp"],
  "maskedPaths": ["/var"]
},
}
}`).security;
		expect(file).toMatchObject({ writablePaths: ["/tmp"], maskedPaths: ["/var"] });
	});

	it.each(["hostwithpolicy", "none"])("network %s with names and all below them", (mode) => {
		const { network } = policyOf(`{
"security": {
  "network": {
    "mode": "${mode}",
    "policy": {
      "listen": [80],
      "tcp": ["1.1.1.1:"],
      "udp": ["*:53"],
      "dns": ["*.npm.org:*", "*.python.org:*"]
    }
  }
},
}`).security;
		expect(network.mode).toBe(mode);
		expect(network.policy.udp).toEqual([anyAddress(53)]);
		expect(network.policy.dns.map(({ subdomains }) => subdomains)).toEqual([true, true]);
	});
});
