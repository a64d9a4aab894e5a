import { describe, expect, it } from "vitest";
import { POLICY_FLAGS } from "../../src/policy/flag-table.ts";
import type { FlagValues } from "../../src/policy/flags.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import type { Policy } from "../../src/policy/types.ts";
import { CONTEXT, errorOf, policyOfJson } from "./helpers.ts";

/** The policy that flags give over an empty file, which has no preset behind it. */
function withFlags(flags: FlagValues): Policy {
	return policyOfJson({}, { flags });
}

function problems(flags: FlagValues): readonly string[] {
	const error = errorOf(() => withFlags(flags));
	expect(error.code).toBe("POLICY_INVALID");
	return error.message.split("\n");
}

/** One use of every flag, and what it makes of the policy. */
const USES: Readonly<
	Record<string, { readonly value: string; readonly picks: (policy: Policy) => unknown; readonly gives: unknown }>
> = {
	preset: { value: "judge", picks: ({ system }) => system.pids.max, gives: 64 },
	runtime: { value: "crun", picks: ({ system }) => system.runtime, gives: "crun" },
	rollback: { value: "runc", picks: ({ system }) => system.rollback, gives: "runc" },
	optional: { value: "io", picks: ({ system }) => system.optional, gives: ["io"] },
	rw: { value: "out", picks: ({ security }) => security.file.writablePaths, gives: ["/home/ada/project/out"] },
	ro: { value: "../lib", picks: ({ security }) => security.file.readablePaths, gives: ["/home/ada/lib"] },
	mask: { value: "~/.ssh", picks: ({ security }) => security.file.maskedPaths, gives: ["/home/ada/.ssh"] },
	tmpfs: {
		value: "/s:64MiB",
		picks: ({ security }) => security.file.tmpfs,
		gives: [{ path: "/s", sizeBytes: 2 ** 26 }],
	},
	net: { value: "host", picks: ({ security }) => security.network.mode, gives: "host" },
	"allow-dns": {
		value: "npm.org:443",
		picks: ({ security }) => security.network.policy.dns.map(({ name }) => name),
		gives: ["npm.org"],
	},
	"allow-tcp": {
		value: "1.1.1.1:",
		picks: ({ security }) => security.network.policy.tcp.map(({ host }) => host),
		gives: ["1.1.1.1"],
	},
	"allow-udp": {
		value: "*:53",
		picks: ({ security }) => security.network.policy.udp.map(({ host }) => host),
		gives: ["*"],
	},
	listen: {
		value: "8080->80",
		picks: ({ security }) => security.network.policy.listen.map(({ hostPort }) => hostPort),
		gives: [8080],
	},
	"net-rate": { value: "10MiB", picks: ({ security }) => security.network.policy.bytesPerSecond, gives: 10 * 2 ** 20 },
	mem: { value: "512MiB", picks: ({ system }) => system.memory.maxBytes, gives: 2 ** 29 },
	swap: { value: "0B", picks: ({ system }) => system.memory.swapBytes, gives: 0 },
	cpu: { value: "0.5", picks: ({ system }) => system.cpu.cores, gives: 0.5 },
	pin: { value: "0,1", picks: ({ system }) => system.cpu.pin, gives: "0-1" },
	pids: { value: "64", picks: ({ system }) => system.pids.max, gives: 64 },
	time: { value: "10s", picks: ({ system }) => system.time.cpuMs, gives: 10000 },
	wall: { value: "1m", picks: ({ system }) => system.time.wallMs, gives: 60000 },
	output: { value: "64MiB", picks: ({ system }) => system.output.maxBytes, gives: 2 ** 26 },
	exec: { value: "./a.out", picks: ({ security }) => security.process.allow, gives: ["/home/ada/project/a.out"] },
	syscalls: { value: "strict", picks: ({ security }) => security.syscalls, gives: "strict" },
	env: { value: "A=b=c", picks: ({ system }) => system.env.set, gives: { A: "b=c" } },
	"pass-env": { value: "TZ", picks: ({ system }) => system.env.pass, gives: ["HOME", "LANG", "PATH", "TERM", "TZ"] },
	cwd: { value: "src", picks: ({ system }) => system.cwd, gives: "/home/ada/project/src" },
	user: { value: "1000:100", picks: ({ system }) => system.user, gives: { uid: 1000, gid: 100 } },
	hostname: { value: "box", picks: ({ system }) => system.hostname, gives: "box" },
};

describe("the table", () => {
	it("has one use below for each flag", () => {
		expect(Object.keys(USES)).toEqual(POLICY_FLAGS.map(({ name }) => name));
	});

	it.each(POLICY_FLAGS.map((flag) => [flag.name, flag] as const))("--%s", (name, flag) => {
		const { value, picks, gives } = USES[name] ?? { value: "", picks: () => undefined, gives: null };
		expect(picks(withFlags({ [name]: [value] }))).toEqual(gives);
		expect(flag.help).toMatch(/^\S[^\n]{3,70}$/);
		for (const choice of flag.choices ?? []) {
			if (name !== "rollback" || choice !== "runlc") expect(() => withFlags({ [name]: [choice] })).not.toThrow();
		}
	});

	it.each(POLICY_FLAGS.map(({ name, repeatable }) => [name, repeatable] as const))("--%s twice", (name, repeatable) => {
		const { value = "" } = USES[name] ?? {};
		if (repeatable) expect(() => withFlags({ [name]: [value, value] })).not.toThrow();
		else expect(problems({ [name]: [value, value] })[0]).toContain(`--${name}: given 2 times`);
	});
});

describe("precedence", () => {
	const file = {
		system: { memory: { max: "1GiB" } },
		security: { network: { mode: "host" }, file: { maskedPaths: ["/mnt"] } },
	};

	it("flags win over the file, the file over presets", () => {
		const policy = policyOfJson({ extends: "judge", ...file }, { flags: { mem: ["2GiB"], mask: ["/srv"] } });
		expect(policy.system.memory.maxBytes).toBe(2 ** 31);
		expect(policy.system.pids.max).toBe(64);
		expect(policy.security.network.mode).toBe("host");
		expect(policy.security.file.maskedPaths).toEqual(["/home", "/root", "/mnt", "/srv"]);
	});

	it("flags without a file go over the default preset", () => {
		const { security } = loadPolicy({ ...CONTEXT, flags: { rw: ["."] } });
		expect(security.file).toMatchObject({
			writablePaths: [CONTEXT.cwd],
			readablePaths: [],
			maskedPaths: ["/home", "/root"],
		});
	});

	it("flags with a preset go over that one", () => {
		const { system } = loadPolicy({ ...CONTEXT, flags: { preset: ["parser"], pids: ["7"] } });
		expect(system.pids.max).toBe(7);
		expect(system.time.cpuMs).toBe(10000);
	});

	it("--net none keeps a policy's rules, unused", () => {
		const rules = { security: { network: { mode: "hostwithpolicy", policy: { tcp: ["1.1.1.1:"] } } } };
		const { network } = policyOfJson(rules, { flags: { net: ["none"] } }).security;
		expect(network.mode).toBe("none");
		expect(network.policy.tcp).toHaveLength(1);
	});

	it.each(["allow-dns", "allow-tcp", "allow-udp", "listen"])(
		"--%s turns the rules on, unless --net says otherwise",
		(name) => {
			const value = USES[name]?.value ?? "";
			expect(withFlags({ [name]: [value] }).security.network.mode).toBe("hostwithpolicy");
			expect(withFlags({ [name]: [value], net: ["none"] }).security.network.mode).toBe("none");
		},
	);
});

describe("values", () => {
	it("a tmpfs without a size has the default one; a colon in a path is no size", () => {
		expect(withFlags({ tmpfs: ["/s", "/a:b"] }).security.file.tmpfs).toEqual([
			{ path: "/s", sizeBytes: 2 ** 26 },
			{ path: "/a:b", sizeBytes: 2 ** 26 },
		]);
	});

	it("--env wins over a passed variable", () => {
		const { env } = withFlags({ env: ["LANG=C"] }).system;
		expect(env.pass).not.toContain("LANG");
		expect(env.set).toMatchObject({ LANG: "C" });
	});

	it.each<[FlagValues, string]>([
		[{ mem: ["512"] }, '--mem: a size given as text needs a unit, got "512": write "512MiB", or "512B" for bytes'],
		[{ mem: [""] }, '--mem: expected a size such as "64MiB", got ""'],
		[{ time: ["10"] }, '--time: a duration needs a unit, got "10": write "10s" or "10ms"'],
		[{ cpu: ["two"] }, '--cpu: expected a number of cores such as 2 or 0.5, got "two"'],
		[{ pids: ["-1"] }, '--pids: expected a whole number from 1 to 4194304, got "-1"'],
		[{ net: ["hots"] }, '--net: expected "none", "host" or "hostwithpolicy", got "hots" (did you mean "host"?)'],
		[{ preset: ["agnt"] }, '(did you mean "agent"?)'],
		[{ env: ["A"] }, "--pass-env NAME passes the caller's own value on"],
		[{ env: ["=x"] }, "expected NAME=VALUE"],
		[{ env: ["__proto__=x"] }, "is not accepted"],
		[{ env: ["constructor=x"] }, "is not accepted"],
		[{ env: ["A=\0"] }, "a NUL character"],
		[{ user: ["root"] }, '--user: expected two numeric ids such as "1000:1000", got "root"'],
		[{ user: ["1:4294967295"] }, "leave it as it is"],
		[{ exec: ["ls"] }, 'write "./ls"'],
		[{ rw: [""] }, "--rw: expected a path"],
		[{ rw: ["/"] }, "--rw: "],
		[{ "allow-tcp": ["1.1.1.1"] }, "--allow-tcp: "],
		[{ listen: ["0.0.0.0:80"] }, '--listen: "0.0.0.0:80" does not say which port'],
		[{ tmpfs: ["/s:64M"] }, 'write "64MiB"'],
		[{ nonsense: ["1"] }, "--nonsense: not a flag of the policy"],
		[{ rw: ["x"], mask: ["x"] }, '--mask: "/home/ada/project/x" is in security.file.writablePaths[0] as well'],
	])("%j is refused by the name of its flag", (flags, words) => {
		const lines = problems(flags);
		expect(lines).toHaveLength(1);
		expect(lines[0]).toContain(words);
	});

	it("~ without a home folder is refused", () => {
		const error = errorOf(() => loadPolicy({ cwd: "/w", flags: { rw: ["~/x"] } }));
		expect(error.message).toBe('--rw: no home folder is known for "~/x"');
	});
});
