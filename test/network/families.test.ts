import { describe, expect, it } from "vitest";
import { hostFamilies } from "../../src/network/families.ts";

describe("the families of a jail's network", () => {
	it("are both where the kernel has IPv6, even if it is switched off for the host's own links", () => {
		expect(hostFamilies((path) => path.startsWith("/proc/sys/net/ipv6/"))).toEqual([4, 6]);
	});

	it("are IPv4 alone where it has not", () => {
		expect(hostFamilies(() => false)).toEqual([4]);
	});
});
