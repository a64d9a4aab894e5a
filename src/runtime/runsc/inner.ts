/** vmjail's own pid 1 as the first process of gVisor's jail: its part of the spec, and the filters of the programs it runs. Pure. */

import { keyOfNamed, withKey } from "../../oci/seccomp-of.ts";
import type { LinuxSeccomp, SeccompAction, SeccompRule, Spec } from "../../oci/types.ts";
import { innerCapabilities, type Uses } from "../../plan/inner.ts";
import { OWN_LOG, REFUSED } from "./refused.ts";

/** Where pid 1 finds its socket. */
export const INNER_SOCKET = 3;

/**
 * The spec that the Sentry starts with: pid 1 in place of the program, which comes later with all that the spec says of it.
 *
 * @param spec as it would be with the program itself
 * @param start whom pid 1 starts as, before it takes an id of its own: root has capabilities in every build, another user
 *   has ambient ones, in builds that know them
 */
export function withInner(spec: Spec, uses: Uses, start: { readonly uid: number; readonly gid: number }): Spec {
	const granted = innerCapabilities(uses, spec.process.capabilities?.permitted ?? []);
	const { seccomp: _, ...linux } = spec.linux;
	return {
		...spec,
		process: {
			cwd: "/",
			env: [],
			args: ["vmjail-init", "inner", String(INNER_SOCKET)],
			user: start,
			...(spec.process.terminal === undefined ? {} : { terminal: spec.process.terminal }),
			capabilities: {
				bounding: granted,
				effective: granted,
				permitted: granted,
				inheritable: granted,
				ambient: granted,
			},
			noNewPrivileges: true,
		},
		linux,
	};
}

const NO_PROFILE: LinuxSeccomp = { defaultAction: "SCMP_ACT_ALLOW" };

const FLOOR = withKey("gvisor-floor", { defaultAction: "SCMP_ACT_ALLOW", syscalls: REFUSED });

/** A profile never changes. */
const derived = new WeakMap<LinuxSeccomp, LinuxSeccomp>();

/**
 * What a program's process installs: gVisor's seccomp(2) knows errno, and so these are exact where the spec's are not. What
 * the Sentry lacks becomes the stricter thing that it has.
 */
export function innerFilters(profile: LinuxSeccomp = NO_PROFILE): readonly LinuxSeccomp[] {
	const own = derived.get(profile) ?? inOwnWords(profile);
	derived.set(profile, own);
	return [FLOOR, own];
}

/** Its rules are made when somebody looks at them: the filters of named profiles are compiled when vmjail is built. */
function inOwnWords(profile: LinuxSeccomp): LinuxSeccomp {
	const { defaultErrnoRet, architectures } = profile;
	const rules: { all?: readonly SeccompRule[] } = {};
	const own: LinuxSeccomp = {
		defaultAction: actionOf(profile.defaultAction),
		...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
		...(architectures === undefined ? {} : { architectures }),
		get syscalls() {
			rules.all ??= [...(profile.syscalls ?? []).flatMap(rulesInOwnWords), OWN_LOG];
			return rules.all;
		},
	};
	const key = keyOfNamed(profile);
	return key === undefined ? own : withKey(`gvisor ${key}`, own);
}

function rulesInOwnWords(rule: SeccompRule): readonly SeccompRule[] {
	const names = rule.names.filter((name) => !OWN_LOG.names.includes(name));
	return names.length === 0 ? [] : [{ ...rule, names, action: actionOf(rule.action) }];
}

function actionOf(action: SeccompAction): SeccompAction {
	switch (action) {
		case "SCMP_ACT_NOTIFY":
			return "SCMP_ACT_ERRNO";
		case "SCMP_ACT_LOG":
			return "SCMP_ACT_ALLOW";
		case "SCMP_ACT_ERRNO":
		case "SCMP_ACT_KILL_PROCESS":
		case "SCMP_ACT_KILL_THREAD":
		case "SCMP_ACT_KILL":
		case "SCMP_ACT_TRAP":
		case "SCMP_ACT_TRACE":
		case "SCMP_ACT_ALLOW":
			return action;
		default:
			return action satisfies never;
	}
}
