/** What gVisor's own file systems hold, in all builds since 2024 (listed from inside; docs/runsc.md). */

/** Devices that the Sentry makes in its /dev: a bind from the host would only be worse. */
export const OWN_DEVICES: ReadonlySet<string> = new Set([
	"/dev/full",
	"/dev/null",
	"/dev/ptmx",
	"/dev/random",
	"/dev/tty",
	"/dev/urandom",
	"/dev/zero",
]);

/** Of the paths that container runtimes mask, those that exist in the Sentry's /proc and /sys. The rest is not there. */
export const MASKABLE: Readonly<Record<string, "directory" | "file">> = {
	"/proc/cmdline": "file",
	"/proc/cpuinfo": "file",
	"/proc/meminfo": "file",
	"/proc/loadavg": "file",
	"/proc/stat": "file",
	"/proc/uptime": "file",
	"/proc/version": "file",
	"/proc/filesystems": "file",
	"/proc/sentry-meminfo": "file",
	"/proc/sysrq-trigger": "file",
	"/proc/bus": "directory",
	"/proc/fs": "directory",
	"/proc/irq": "directory",
	"/proc/net": "directory",
	"/proc/sys": "directory",
	"/sys/block": "directory",
	"/sys/bus": "directory",
	"/sys/class": "directory",
	"/sys/dev": "directory",
	"/sys/devices": "directory",
	"/sys/firmware": "directory",
	"/sys/fs": "directory",
	"/sys/fs/cgroup": "directory",
	"/sys/kernel": "directory",
	"/sys/module": "directory",
	"/sys/power": "directory",
};
