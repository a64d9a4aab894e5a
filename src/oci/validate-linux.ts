/** The `linux` section of a spec: namespaces, mappings, devices, resources. */

import { each, type Json, list, object, oneOf, optional, specInvalid, text, whole } from "./check.ts";
import { isClean } from "./paths.ts";
import type { IdMapping, NamespaceType } from "./types.ts";
import { seccomp } from "./validate-seccomp.ts";

const NAMESPACES: readonly NamespaceType[] = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"];
const PROPAGATIONS = [
	"shared",
	"slave",
	"private",
	"unbindable",
	"rshared",
	"rslave",
	"rprivate",
	"runbindable",
] as const;
const MAX_U32 = 0xffff_ffff;

/** @throws VmjailError SPEC_INVALID */
export function linux(section: Json): void {
	const types = list(section["namespaces"], "linux.namespaces").map((item, i) =>
		namespace(item, `linux.namespaces[${i}]`),
	);
	const twice = types.findIndex((type, i) => types.indexOf(type) !== i);
	if (twice !== -1) throw specInvalid(`linux.namespaces[${twice}].type`, "is there twice");
	for (const key of ["uidMappings", "gidMappings"]) {
		optional(section, key, "linux", mappings);
		if (section[key] !== undefined && !types.includes("user")) {
			throw specInvalid(`linux.${key}`, "is there without a user namespace");
		}
	}
	each(section, "devices", "linux", device);
	optional(section, "cgroupsPath", "linux", text);
	optional(section, "resources", "linux", resources);
	optional(section, "seccomp", "linux", seccomp);
	each(section, "maskedPaths", "linux", cleanPath);
	each(section, "readonlyPaths", "linux", cleanPath);
	optional(section, "rootfsPropagation", "linux", (value, path) => oneOf(value, path, PROPAGATIONS));
	optional(section, "sysctl", "linux", (map, path) => {
		for (const [key, value] of Object.entries(object(map, path))) text(value, `${path}[${JSON.stringify(key)}]`);
	});
}

function cleanPath(value: unknown, path: string): void {
	if (!isClean(text(value, path))) throw specInvalid(path, "is not a clean absolute path");
}

function namespace(value: unknown, path: string): NamespaceType {
	const found = object(value, path);
	optional(found, "path", path, cleanPath);
	return oneOf(found["type"], `${path}.type`, NAMESPACES);
}

function mappings(value: unknown, path: string): void {
	const found = list(value, path).map((item, i): IdMapping => {
		const mapping = object(item, `${path}[${i}]`);
		const containerID = whole(mapping["containerID"], `${path}[${i}].containerID`, 0, MAX_U32);
		const hostID = whole(mapping["hostID"], `${path}[${i}].hostID`, 0, MAX_U32);
		const room = MAX_U32 - Math.max(containerID, hostID);
		return { containerID, hostID, size: whole(mapping["size"], `${path}[${i}].size`, 1, room) };
	});
	for (const [i, a] of found.entries()) {
		const clash = found.slice(0, i).some((b) => overlap(a, b, "containerID") || overlap(a, b, "hostID"));
		if (clash) throw specInvalid(`${path}[${i}]`, "overlaps an earlier mapping");
	}
}

function overlap(a: IdMapping, b: IdMapping, side: "containerID" | "hostID"): boolean {
	return a[side] < b[side] + b.size && b[side] < a[side] + a.size;
}

function device(value: unknown, path: string): void {
	const found = object(value, path);
	oneOf(found["type"], `${path}.type`, ["c", "b", "p", "u"]);
	cleanPath(found["path"], `${path}.path`);
	for (const key of ["major", "minor", "uid", "gid"]) optional(found, key, path, u32);
	optional(found, "fileMode", path, (mode, at) => whole(mode, at, 0, 0o7777));
}

function resources(value: unknown, path: string): void {
	const found = object(value, path);
	each(found, "devices", path, deviceRule);
	optional(found, "memory", path, (memory, at) => {
		for (const key of ["limit", "swap"]) optional(object(memory, at), key, at, limit);
	});
	optional(found, "cpu", path, (cpu, at) => {
		optional(object(cpu, at), "quota", at, limit);
		optional(object(cpu, at), "period", at, (period, key) => whole(period, key, 1000, 1_000_000));
		optional(object(cpu, at), "cpus", at, (cpus, key) => {
			if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text(cpus, key)))
				throw specInvalid(key, 'is not a list of cores ("0-1,3")');
		});
	});
	optional(found, "pids", path, (pids, at) => limit(object(pids, at)["limit"], `${at}.limit`));
	optional(found, "blockIO", path, (io, at) => {
		for (const key of ["throttleReadBpsDevice", "throttleWriteBpsDevice"]) each(object(io, at), key, at, throttle);
	});
}

/** -1 is "no limit" (OCI config-linux, "Memory", "CPU", "PIDs"). */
function limit(value: unknown, path: string): number {
	return whole(value, path, -1);
}

function u32(value: unknown, path: string): number {
	return whole(value, path, 0, MAX_U32);
}

function deviceRule(value: unknown, path: string): void {
	const found = object(value, path);
	if (typeof found["allow"] !== "boolean") throw specInvalid(`${path}.allow`, "is neither true nor false");
	optional(found, "type", path, (type, at) => oneOf(type, at, ["a", "b", "c"]));
	for (const key of ["major", "minor"]) optional(found, key, path, limit);
	optional(found, "access", path, (access, at) => {
		if (!/^[rwm]{1,3}$/.test(text(access, at))) throw specInvalid(at, "is not made of r, w and m");
	});
}

function throttle(value: unknown, path: string): void {
	const found = object(value, path);
	u32(found["major"], `${path}.major`);
	u32(found["minor"], `${path}.minor`);
	whole(found["rate"], `${path}.rate`);
}
