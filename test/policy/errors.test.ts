import { describe, expect, it } from "vitest";
import { errorOf, nested, policyOf, policyOfJson, problemsOf } from "./helpers.ts";

describe("text that is not a policy", () => {
	it.each([
		["", "policy.json:1:1: the policy is empty"],
		[" \n\t", "policy.json:1:1: the policy is empty"],
		["// nothing\n/* here */", "policy.json:1:1: the policy is empty"],
		["{", "policy.json:1:2: expected a key"],
		['{"system": {\n"cpu"', 'policy.json:2:6: expected ":", but the file ends here'],
		['{"system": {}', 'policy.json:1:14: expected "," or "}", but the file ends here'],
		['{"a": [1, 2', 'policy.json:1:12: expected "," or "]", but the file ends here'],
		['{"a": tru', 'policy.json:1:7: expected a value, got "tru"'],
		["{'a': 1}", "policy.json:1:2: expected a key in double quotes"],
		['{"a" 1}', 'policy.json:1:6: expected ":", got "1"'],
		['{"a": 1 "b": 2}', 'policy.json:1:9: expected "," or "}"'],
		["{,}", "policy.json:1:2: expected a key"],
		["[,]", "policy.json:1:2: expected a value"],
		["{} {}", "policy.json:1:4: expected the end of the file"],
		['{"a": "x\n"}', "policy.json:1:7: a string is not closed"],
		['{"a": "\t"}', "policy.json:1:7: a control character"],
		['{"a": "\\q"}', "policy.json:1:7: an invalid escape"],
		['{"a": "\\u12"}', "policy.json:1:7: an invalid \\u escape"],
		['{"a": "\\u0000"}', "policy.json:1:7: a NUL character"],
		['{"a": "\\ud800"}', "policy.json:1:7: half of a surrogate pair"],
		['{"a": 1e999}', "policy.json:1:7: a number is too large"],
		['{"a": 01}', 'policy.json:1:8: expected "," or "}"'],
		["{}\n/* never closed", "policy.json:2:1: a comment is not closed"],
		["{}\0", "policy.json:1:3: a NUL character"],
		['{"system": {},\r\n"system": {}}', 'policy.json:2:1: the key "system" appears twice'],
		['{"__proto__": {}}', 'policy.json:1:2: the key "__proto__" is not accepted'],
		['{"system": {"env": {"set": {"constructor": ""}}}}', 'the key "constructor" is not accepted'],
	])("%j", (text, message) => {
		const error = errorOf(() => policyOf(text));
		expect(error.code).toBe("POLICY_SYNTAX");
		expect(error.message).toContain(message);
		expect(error.remedy).toBeTruthy();
	});

	it.each([
		["[", 100_000],
		['{"a":', 100_000],
		["[", 66],
	])("nested too deeply: %s × %d", (open, times) => {
		const error = errorOf(() => policyOf(open.repeat(times)));
		expect(error).toMatchObject({
			code: "POLICY_SYNTAX",
			message: expect.stringContaining("nested deeper than 64 levels"),
		});
	});

	it("is larger than 1 MiB", () => {
		const error = errorOf(() => policyOf(`{}${" ".repeat(2 ** 20)}`));
		expect(error).toMatchObject({ code: "POLICY_SYNTAX", message: "policy.json: the policy is larger than 1 MiB" });
		expect(policyOf(`{}${" ".repeat(2 ** 20 - 2)}`)).toEqual(policyOf("{}"));
	});

	it("is not UTF-8", () => {
		const latin1 = Uint8Array.from([...'{"a":"'].map((c) => c.charCodeAt(0)).concat(0xe9, 0x22, 0x7d));
		expect(errorOf(() => policyOf(latin1))).toMatchObject({
			code: "POLICY_SYNTAX",
			message: "policy.json: the policy is not UTF-8 text",
		});
	});

	it("a byte order mark is no mistake", () => {
		expect(policyOf(new TextEncoder().encode("\ufeff{}"))).toEqual(policyOf("{}"));
		expect(policyOf("\ufeff{}")).toEqual(policyOf("{}"));
	});

	it.each(["null", "true", "3", '"agent"', "[]", "[{}]"])("%s is JSON, not a policy", (text) => {
		expect(errorOf(() => policyOf(text))).toMatchObject({
			code: "POLICY_INVALID",
			message: expect.stringContaining("policy.json:1:1: expected an object in braces"),
		});
	});

	it.each(["null", "[]", '"agent"'])("%s is no policy under a preset and flags either", (text) => {
		const error = errorOf(() => policyOf(text, { preset: "judge", flags: { pids: ["7"] } }));
		expect(error.message).toBe(`policy.json:1:1: expected an object in braces, got ${text}`);
	});

	it("an empty object is the strictest of policies, not the widest", () => {
		const { system, security } = policyOf("{}");
		expect(system.root).toEqual({ path: "/", readonly: true });
		expect(system.capabilities).toEqual([]);
		expect(security.network.mode).toBe("none");
		expect(security.file.writablePaths).toEqual([]);
	});
});

describe("every problem in one error", () => {
	it("in the words, with the places", () => {
		const error = errorOf(() =>
			policyOf(`{
	// comments count as lines
	"security": {
		"network": { "mode": "hots" },
		"file": { "writablePath": ["/tmp"], "maskedPaths": ["mnt"] },
	},
	"system": { "pids": { "max": "many" } },
	"writablePaths": ["/tmp"],
}`),
		);
		expect(error.message.split("\n").sort()).toEqual([
			'policy.json:4:24 security.network.mode: expected "none", "host" or "hostwithpolicy", got "hots" (did you mean "host"?)',
			'policy.json:5:13 security.file.writablePath: unknown key "writablePath" (did you mean "writablePaths"?)',
			'policy.json:5:55 security.file.maskedPaths[0]: expected an absolute path, got "mnt": begin it with "/"',
			'policy.json:7:31 system.pids.max: expected a whole number from 1 to 4194304, got "many"',
			'policy.json:8:2 writablePaths: unknown key "writablePaths" (did you mean security.file.writablePaths?)',
		]);
		expect(error.remedy).toBe("Correct these 5 values; nothing was started.");
	});

	it("at most a hundred lines", () => {
		const lines = problemsOf(
			nested(
				"security.process.allow",
				Array.from({ length: 5000 }, (_, index) => `relative-${index}`),
			),
		);
		expect(lines).toHaveLength(101);
		expect(lines.at(-1)).toBe("… and 4900 more");
	});

	it("a terminal is not at the policy's mercy", () => {
		const [line] = problemsOf({ "\u001b[2J\u009b\u202e": 1 });
		expect(line).toContain('["\\u001b[2J\\u009b\\u202e"]');
		expect(line).not.toMatch(/[^\x20-\x7e]/);
	});
});

describe("unknown keys", () => {
	it.each([
		[{ secruity: {} }, 'did you mean "security"?'],
		[nested("security.file.masked_paths", []), 'did you mean "maskedPaths"?'],
		[nested("security.file.writeablePaths", []), 'did you mean "writablePaths"?'],
		[nested("security.network.tcp", []), "did you mean security.network.policy.tcp?"],
		[nested("system.maskedPaths", []), "did you mean security.file.maskedPaths?"],
		[{ mode: "none" }, "did you mean security.network.mode?"],
		[nested("system.nofile", 1), "did you mean system.rlimits.nofile?"],
		[nested("system.memory.limit", 1), "did you mean system.rlimits?"],
		[nested("system.memory.zeppelin", 1), "the keys here are max, swap"],
		[nested("system.toString", {}), "unknown key"],
		[nested("system.hasOwnProperty", {}), "unknown key"],
		[{ security: { file: { tmpfs: [{ path: "/s", sise: 1 }] } } }, 'did you mean "size"?'],
		[nested("security.syscalls", { defaultAction: "SCMP_ACT_ALLOW", syscals: [] }), 'did you mean "syscalls"?'],
	])("%j", (document, hint) => {
		const lines = problemsOf(document);
		expect(lines).toHaveLength(1);
		expect(lines[0]).toContain(hint);
	});
});

describe("single values", () => {
	it.each<[string, unknown, string]>([
		["system", [], "expected an object in braces, got []"],
		["system.memory", [], "expected an object in braces, got []"],
		["system.memory", null, "expected an object in braces, got null"],
		["system.env.set", [], "expected an object in braces, got []"],
		["system.memory.max", "512", 'write "512MiB"'],
		["system.memory.max", 512, "too small"],
		["system.memory.max", true, "expected a size"],
		["system.memory.swap", 4096, "system.memory.max, which is not set"],
		["system.cpu.number", 0, "0.01 to 8192"],
		["system.cpu.number", "4", "expected a number of cores"],
		["system.cpu.pin", "3-1", "list of CPUs"],
		["system.cpu.pin", "0-99999", "list of CPUs"],
		["system.pids.max", 0, "from 1 to"],
		["system.pids.max", 1.5, "from 1 to"],
		["system.time.cpu", 10, 'write "10s" or "10ms"'],
		["system.output.max", 0, "too small"],
		["system.rlimits.nofile", "many", "expected a whole number"],
		["system.rlimits.nofile", "64MiB", "expected a whole number"],
		["system.rlimits.nofil", 1, 'did you mean "nofile"?'],
		["system.runtime", "docker", 'expected "runlc", "runsc", "runc", "crun" or "auto"'],
		["system.rollback", "auto", 'expected ""'],
		["system.rollback", "runlc", "already"],
		["system.accel", "kvms", 'did you mean "kvm"?'],
		["system.root.readonly", "true", "expected true or false"],
		["system.devices", ["/etc/passwd"], "below /dev"],
		["system.devices", ["/dev"], "below /dev"],
		["system.capabilities", ["net_admn"], 'did you mean "CAP_NET_ADMIN"?'],
		["system.capabilities", ["ALL"], "list the capabilities"],
		["system.capabilities", "CAP_KILL", "a list in brackets"],
		["system.user", { uid: 4294967295, gid: 0 }, "leave it as it is"],
		["system.user", { uid: -1, gid: 0 }, "0 to 4294967294"],
		["system.user", { uid: 0 }, 'the key "gid" is missing'],
		["system.hostname", "a_b", "host name"],
		["system.hostname", "a".repeat(65), "host name"],
		["system.cwd", "work", "absolute path"],
		["system.env.pass", ["LC_*"], "patterns are not supported"],
		["system.env.pass", ["A=1"], "system.env.set"],
		["system.env.set", { "": "x" }, "cannot be empty"],
		["system.env.set", { A: 1 }, "text in quotes"],
		["system.optional", ["memroy"], 'did you mean "memory"?'],
		["security.network.policy.listen", [70000], "expected a port"],
		["security.network.policy.tcp", ["1.1.1.1"], "has no port"],
		["security.network.policy.dns", ["*:*"], "every name"],
		["security.file.writablePaths", ["/"], "system.root.readonly"],
		["security.file.writablePaths", ["/proc"], "restricted /proc"],
		["security.file.writablePaths", ["/sys/fs/cgroup"], "restricted /sys"],
		["security.file.writablePaths", ["/dev//shm/"], "restricted /dev"],
		["security.file.writablePaths", ["~/x"], '"~" has no meaning'],
		["security.file.writablePaths", ["$HOME"], "variables have no meaning"],
		["security.file.writablePaths", ["/a/../b"], 'without ".."'],
		["security.file.writablePaths", ["./x"], "absolute path"],
		["security.file.writablePaths", [`/${"a".repeat(256)}`], "at most 255 bytes"],
		["security.file.writablePaths", [`/${"ü".repeat(128)}`], "at most 255 bytes"],
		["security.file.writablePaths", ["/a".repeat(2048)], "at most 4095 bytes"],
		["security.file.writablePaths", "/tmp", "a list in brackets"],
		["security.file.maskedPaths", ["/"], "cannot be masked"],
		["security.file.tmpfs", [{ size: "1MiB" }], 'the key "path" is missing'],
		["security.file.tmpfs", [{ path: "/dev/shm" }], "restricted /dev"],
		["security.file.tmpfs", [{ path: "/s", size: 64 }], "too small"],
		["security.file.tmpfs", ["/s"], "expected an object"],
		["security.process.allow", ["ls"], "absolute path"],
		["security.syscalls", "strictt", 'expected "default", "strict" or a seccomp object'],
		["security.syscalls", [], 'expected "default", "strict" or a seccomp object, got []'],
		["security.file.tmpfs", [[]], "expected an object in braces, got []"],
		["security.syscalls", {}, 'the key "defaultAction" is missing'],
		["security.mac.apparmor", "", "name of a profile"],
		["extends", "agnt", 'did you mean "agent"?'],
		["extends", ["agent", 3], "got 3"],
	])("%s: %j", (path, value, words) => {
		const lines = problemsOf(nested(path, value));
		expect(lines).toHaveLength(1);
		expect(lines[0]).toContain(words);
		expect(lines[0]).toContain(path);
	});
});

describe("contradictions", () => {
	const file = (lists: object) => nested("security.file", lists);

	it.each([
		[
			file({ writablePaths: ["/tmp"], maskedPaths: ["/tmp/"] }),
			'maskedPaths[0]: "/tmp" is in security.file.writablePaths[0] as well',
		],
		[
			file({ readablePaths: ["/a"], maskedPaths: ["/b", "/a"] }),
			'maskedPaths[1]: "/a" is in security.file.readablePaths[0]',
		],
		[file({ writablePaths: ["/a"], tmpfs: [{ path: "/a" }] }), 'tmpfs[0]: "/a" is in security.file.writablePaths[0]'],
		[file({ tmpfs: [{ path: "/a" }, { path: "/a", size: "1MiB" }] }), 'tmpfs[1]: "/a" is in security.file.tmpfs[0]'],
		[{ security: { file: { maskedPaths: ["/bin/sh"] }, process: { allow: ["/bin/sh"] } } }, "could never run"],
		[nested("security.network.policy.listen", ["80->1", 80]), "published for port 1 already"],
		[nested("system", { runtime: "runsc", rollback: "runsc" }), "already"],
		[nested("security.network", { mode: "host", policy: { rate: "1MiB" } }), "nothing holds a rate"],
	])("%j", (document, words) => {
		const lines = problemsOf(document);
		expect(lines).toHaveLength(1);
		expect(lines[0]).toContain(words);
	});

	it("are named beside other problems", () => {
		expect(problemsOf({ system: { rollback: "runlc", pids: { max: 0 } } })).toHaveLength(2);
	});

	it("the same twice is none", () => {
		const { file: placed, network } = policyOfJson({
			security: {
				file: { writablePaths: ["/a", "/a/"], tmpfs: [{ path: "/b" }, { path: "/b" }] },
				network: { policy: { listen: [80, "80"] } },
			},
		}).security;
		expect(placed.writablePaths).toEqual(["/a"]);
		expect(placed.tmpfs).toHaveLength(1);
		expect(network.policy.listen).toHaveLength(1);
	});

	it("nesting is none", () => {
		const lists = { writablePaths: ["/home/ada/project"], maskedPaths: ["/home", "/home/ada/project/.git"] };
		expect(policyOfJson(file(lists)).security.file).toMatchObject(lists);
	});
});
