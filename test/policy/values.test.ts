import { describe, expect, it } from "vitest";
import { nested, policyOf, policyOfJson, problemsOf } from "./helpers.ts";

describe("normalisation", () => {
	it("every key of system", () => {
		const { system } = policyOfJson({
			system: {
				runtime: "auto",
				rollback: "runlc",
				accel: "kvm",
				root: { path: "/srv//rootfs/", readonly: false },
				memory: { max: "1GiB", swap: "64MiB" },
				cpu: { number: 0.5, pin: "3,0-1,2,7" },
				pids: { max: 64 },
				io: { readBps: "50MiB", writeBps: 1000 },
				time: { cpu: "10s", wall: "1m" },
				output: { max: "64MiB" },
				rlimits: { nofile: 1024, fsize: "256MiB", core: 0, cpu: "1500ms", rttime: "250ms", stack: "unlimited" },
				devices: ["/dev/null", "/dev/kvm"],
				capabilities: ["net_admin", "CAP_NET_ADMIN", "cap_kill"],
				user: { uid: 0, gid: 4294967294 },
				hostname: "box-1.example",
				cwd: "/work/.",
				env: { pass: ["LANG", "A"], set: { A: "1", B: "" } },
				optional: ["memory", "memory", "landlock"],
			},
		});
		expect(system).toEqual({
			runtime: "auto",
			rollback: "runlc",
			accel: "kvm",
			root: { path: "/srv/rootfs", readonly: false },
			memory: { maxBytes: 2 ** 30, swapBytes: 2 ** 26 },
			cpu: { cores: 0.5, pin: "0-3,7" },
			pids: { max: 64 },
			io: { readBytesPerSecond: 52428800, writeBytesPerSecond: 1000 },
			time: { cpuMs: 10000, wallMs: 60000 },
			output: { maxBytes: 2 ** 26 },
			rlimits: { nofile: 1024, fsize: 2 ** 28, core: 0, cpu: 2, rttime: 250000, stack: Number.POSITIVE_INFINITY },
			devices: ["/dev/null", "/dev/kvm"],
			capabilities: ["CAP_NET_ADMIN", "CAP_KILL"],
			user: { uid: 0, gid: 4294967294 },
			hostname: "box-1.example",
			cwd: "/work",
			env: {
				pass: ["LANG"],
				set: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", A: "1", B: "" },
			},
			optional: ["memory", "landlock"],
		});
	});

	it("every key of security.file", () => {
		const { file } = policyOfJson(
			nested("security.file", {
				writablePaths: ["/tmp/", "//srv/./data"],
				readablePaths: ["/home/ada"],
				maskedPaths: ["/proc/cpuinfo", "/home"],
				tmpfs: [{ path: "/scratch" }, { path: "/s/t/", size: 4096 }],
			}),
		).security;
		expect(file).toEqual({
			writablePaths: ["/tmp", "/srv/data"],
			readablePaths: ["/home/ada"],
			maskedPaths: ["/proc/cpuinfo", "/home"],
			tmpfs: [
				{ path: "/scratch", sizeBytes: 67108864 },
				{ path: "/s/t", sizeBytes: 4096 },
			],
		});
	});

	it("absent keys are absent, not undefined", () => {
		const { system, security } = policyOf("{}");
		expect(Object.keys(system.memory)).toEqual(["swapBytes"]);
		expect(Object.keys({ ...system.cpu, ...system.time, ...system.io, ...system.pids, ...system.output })).toEqual([]);
		expect("user" in system || "cwd" in system).toBe(false);
		expect(security.mac).toEqual({});
	});

	it("negative zero is zero", () => {
		expect(Object.is(policyOf('{"system": {"user": {"uid": -0, "gid": -0}}}').system.user?.uid, 0)).toBe(true);
	});
});

describe("seccomp objects", () => {
	const filter = (args: string) =>
		`{"security": {"syscalls": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
		  "syscalls": [{"names": ["clone", "read"], "action": "SCMP_ACT_ALLOW", "args": [${args}]}]}}}`;

	it("are kept as they are, 64-bit values to the last digit", () => {
		const text = filter(
			'{"index": 0, "value": 18446744073709551615, "valueTwo": 9007199254740993, "op": "SCMP_CMP_MASKED_EQ"}, {"index": 5, "value": 9007199254740991, "op": "SCMP_CMP_EQ"}',
		);
		expect(policyOf(text).security.syscalls).toEqual({
			defaultAction: "SCMP_ACT_ERRNO",
			defaultErrnoRet: 38,
			architectures: ["SCMP_ARCH_X86_64"],
			flags: ["SECCOMP_FILTER_FLAG_LOG"],
			syscalls: [
				{
					names: ["clone", "read"],
					action: "SCMP_ACT_ALLOW",
					args: [
						{ index: 0, value: 18446744073709551615n, valueTwo: 9007199254740993n, op: "SCMP_CMP_MASKED_EQ" },
						{ index: 5, value: 9007199254740991, op: "SCMP_CMP_EQ" },
					],
				},
			],
		});
	});

	it.each([
		['{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}', "from 0 to 5"],
		[
			'{"index": 0, "value": 18446744073709551616, "op": "SCMP_CMP_EQ"}',
			"18446744073709551615, got 18446744073709551616",
		],
		['{"index": 0, "value": 1e19, "op": "SCMP_CMP_EQ"}', "from 0 to 18446744073709551615"],
		['{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}', "got -1"],
		['{"index": 0, "value": 0.5, "op": "SCMP_CMP_EQ"}', "got 0.5"],
		['{"index": 0, "value": "0", "op": "SCMP_CMP_EQ"}', 'got "0"'],
		['{"index": 0, "value": 0, "op": "SCMP_CMP_GTE"}', 'did you mean "SCMP_CMP_GE"?'],
		['{"index": 0, "value": 0}', 'the key "op" is missing'],
		['{"index": 0, "value": 0, "op": "SCMP_CMP_EQ", "values": 1}', 'did you mean "value"?'],
	])("refuse %s", (args, words) => {
		const lines = problemsOf(undefined, { text: filter(args) });
		expect(lines).toHaveLength(1);
		expect(lines[0]).toContain(words);
	});

	it.each([
		[{ names: [], action: "SCMP_ACT_ALLOW" }, "at least one name"],
		[{ names: ["Read"], action: "SCMP_ACT_ALLOW" }, "name of a system call"],
		[{ names: ["read"], action: "SCMP_ACT_ALOW" }, 'did you mean "SCMP_ACT_ALLOW"?'],
		[{ names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: 5000 }, "from 0 to 4095"],
	])("refuse the rule %j", (rule, words) => {
		const lines = problemsOf(nested("security.syscalls", { defaultAction: "SCMP_ACT_ALLOW", syscalls: [rule] }));
		expect(lines).toHaveLength(1);
		expect(lines[0]).toContain(words);
	});
});
