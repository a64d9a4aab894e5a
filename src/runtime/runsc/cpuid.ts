/** CPUID inside gVisor: as the processor answers it. Pure. */

import type { Architecture } from "../../host/types.ts";
import { SECCOMP_SET_MODE_FILTER } from "../../plan/constants.ts";
import { assemble } from "../../plan/seccomp/assemble.ts";
import { AUDIT_ARCH, bytesOf, OFFSET, returnValue } from "../../plan/seccomp/bpf.ts";
import { decisionMaker } from "../../plan/seccomp/decision.ts";
import { filterOf } from "../../plan/seccomp/install.ts";
import { syscallNumber } from "../../plan/syscalls.ts";
import type { Step } from "../../plan/types.ts";

/** arch/x86/include/uapi/asm/prctl.h */
const ARCH_SET_CPUID = 0x1012;
const ENODEV = 19;

/**
 * In the runtime's process, last: arch_prctl(ARCH_SET_CPUID) answers ENODEV, as on a processor that lacks CPUID faulting, for
 * it and for the processes that stand for its programs. Else gVisor asks for a fault at each CPUID and answers it itself, which
 * takes five times as long, and every start of a dynamic program executes CPUID 68 times (glibc 2.36). It says the
 * same, but for leaves that it does not know; on processors without CPUID faulting it does as here.
 *
 * Nothing else is looked at, calls of other architectures neither: they are for gVisor's own filters.
 */
export function nativeCpuidSteps(arch: Architecture): readonly Step[] {
	const call = syscallNumber(arch, "arch_prctl");
	if (call === undefined) return [];
	const make = decisionMaker();
	const allow = make.answer(returnValue({ action: "SCMP_ACT_ALLOW", errno: 0 }));
	const equal = (offset: number, k: number) => ({
		offset,
		mask: undefined,
		comparison: "equal" as const,
		k,
		no: allow,
	});
	const refuse = make.answer(returnValue({ action: "SCMP_ACT_ERRNO", errno: ENODEV }));
	const request = make.ask({ ...equal(OFFSET.arguments, ARCH_SET_CPUID), yes: refuse });
	const number = make.ask({ ...equal(OFFSET.number, call), yes: request });
	const bytes = bytesOf(assemble(make.ask({ ...equal(OFFSET.arch, AUDIT_ARCH[arch]), yes: number })));
	const args = [SECCOMP_SET_MODE_FILTER, 0, filterOf(bytes)];
	return [{ label: "let CPUID be the processor's own", call: "seccomp", args }];
}
