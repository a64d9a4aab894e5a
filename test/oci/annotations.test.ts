import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { annotationsOf, readAnnotations } from "../../src/oci/annotations.ts";
import { unavailable } from "../../src/oci/available.ts";
import type { NamespaceType } from "../../src/oci/types.ts";
import { network, policyOf } from "../helpers/policy.ts";

function specWith(
	annotations: Readonly<Record<string, string>>,
	types: readonly NamespaceType[] = ["user", "network"],
) {
	return { annotations, linux: { namespaces: types.map((type) => ({ type })) } };
}

const ports = fc.tuple(fc.nat(65535), fc.nat(65535)).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
const host = fc.oneof(fc.constantFrom("*", "10.0.0.0/8", "fd00::/8", "2001:db8::1"), fc.ipV4());
const text = fc.string();
const policies = fc
	.record({
		mode: fc.constantFrom("none", "hostwithpolicy" as const),
		tcp: fc.array(fc.record({ host, ports, text })),
		udp: fc.array(fc.record({ host, ports, text })),
		dns: fc.array(
			fc.record({
				name: fc.constantFrom("npm.org", "a.b-c.d", "xn--bcher-kva.example"),
				subdomains: fc.boolean(),
				ports,
				text,
			}),
		),
		listen: fc.array(
			fc.record({ hostAddress: fc.ipV4(), hostPort: fc.nat(65535), jailPort: fc.integer({ min: 1, max: 65535 }) }),
		),
		allow: fc.array(fc.constantFrom("/usr/bin/ls", "/bin/true")),
		cpuMs: fc.option(fc.integer({ min: 1, max: 2 ** 53 - 1 }), { nil: undefined }),
	})
	.map(({ mode, allow, cpuMs, ...rules }) =>
		policyOf({
			network: { mode: mode as "none" | "hostwithpolicy", policy: rules },
			allow,
			system: { time: cpuMs === undefined ? {} : { cpuMs }, optional: ["io"] },
		}),
	);

describe("annotations", () => {
	it("say what the policy says, written and read", () => {
		fc.assert(
			fc.property(policies, (policy) => {
				const rules = policy.security.network;
				const clean = JSON.stringify(rules).includes("\\u0000");
				fc.pre(!clean);
				const read = readAnnotations(specWith(annotationsOf(policy)));
				expect(read).toEqual({
					network: rules,
					allow: policy.security.process.allow,
					...policy.system.time,
					optional: ["io"],
				});
			}),
		);
	});

	it("that are absent leave it to the namespaces", () => {
		expect(readAnnotations(specWith({ "org.example": "x" })).network.mode).toBe("none");
		expect(readAnnotations(specWith({}, ["user"])).network.mode).toBe("host");
	});

	const good = annotationsOf(policyOf());
	const rules = (policy: object, mode = "none") =>
		JSON.stringify({ mode, policy: { listen: [], tcp: [], udp: [], dns: [], ...policy } });
	const any = { from: 0, to: 65535 };
	it.each([
		["an unknown key", { "dev.vmjail.future": "1" }, /not known/],
		["another version", { "dev.vmjail.version": "2" }, /is not "1"/],
		["no JSON", { "dev.vmjail.network": "{" }, /not JSON/],
		["nothing where the network should be", { "dev.vmjail.network": "" }, /not JSON/],
		["a mode that is none", { "dev.vmjail.network": rules({}, "all") }, /mode is not one of/],
		["a mode that the namespaces contradict", { "dev.vmjail.network": rules({}, "host") }, /has a network namespace/],
		["a rule that is none", { "dev.vmjail.network": rules({ tcp: ["1.1.1.1"] }) }, /policy\.tcp\[0\] is not an object/],
		[
			"a rule with an unknown key",
			{ "dev.vmjail.network": rules({ dns: [{ deny: true }] }) },
			/dns\[0\]\.deny is not known/,
		],
		[
			"an address spelled oddly",
			{ "dev.vmjail.network": rules({ tcp: [{ host: "0177.0.0.1", ports: any, text: "" }] }) },
			/host is not an address/,
		],
		[
			"a name spelled oddly",
			{ "dev.vmjail.network": rules({ dns: [{ name: "NPM.org", subdomains: false, ports: any, text: "" }] }) },
			/canonical/,
		],
		[
			"ports that run backwards",
			{ "dev.vmjail.network": rules({ udp: [{ host: "*", ports: { from: 2, to: 1 }, text: "" }] }) },
			/ports\.to/,
		],
		[
			"a block as a listener",
			{ "dev.vmjail.network": rules({ listen: [{ hostAddress: "10.0.0.0/8", hostPort: 1, jailPort: 1 }] }) },
			/hostAddress/,
		],
		["a rate of nothing", { "dev.vmjail.network": rules({ bytesPerSecond: 0 }) }, /bytesPerSecond/],
		["rules without end", { "dev.vmjail.network": " ".repeat((1 << 20) + 1) }, /longer than/],
		["an empty list of programs", { "dev.vmjail.process.allow": "[]" }, /empty list/],
		["a program without a path", { "dev.vmjail.process.allow": '["ls"]' }, /names "ls"/],
		["a limit of nothing", { "dev.vmjail.time.cpuMs": "0" }, /whole number above 0/],
		["a limit in other digits", { "dev.vmjail.time.wallMs": "1e3" }, /whole number above 0/],
		["a limit too large to count", { "dev.vmjail.output.maxBytes": "9007199254740993" }, /whole number/],
		["an unknown control", { "dev.vmjail.optional": '["everything"]' }, /optional"\]\[0\] is not one of/],
	])("refuse %s", (_what, more, message) => {
		expect(() => readAnnotations(specWith({ ...good, ...more }))).toThrow(
			expect.objectContaining({ code: "SPEC_INVALID", message: expect.stringMatching(message) }),
		);
	});

	it("refuse mode none where the spec shares the host's network", () => {
		expect(() => readAnnotations(specWith(good, ["user"]))).toThrow(/no network namespace/);
	});
});

describe("what is not available yet", () => {
	it("is nothing in a plain policy", () => {
		expect(unavailable(policyOf())).toEqual([]);
		expect(unavailable(policyOf({ system: { runtime: "auto", rollback: "runlc" }, network: network("host") }))).toEqual(
			[],
		);
	});

	it("is named, each with its path and a remedy", () => {
		const policy = policyOf({
			system: { runtime: "crun", rollback: "runc" },
			network: network("hostwithpolicy"),
			allow: ["/bin/ls"],
		});
		expect(unavailable(policy).map(({ path }) => path)).toEqual(["security.process.allow"]);
		expect(unavailable(policy, "runlc")).toEqual([]);
		expect(unavailable(policy, "runsc").map(({ path }) => path)).not.toContain("security.process.allow");
		for (const { what, remedy } of unavailable(policy)) expect([what, remedy]).not.toContain("");
	});
});
