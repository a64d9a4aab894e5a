#include "probe.h"
#include "sys.h"

#include <linux/audit.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

struct namespace_probe {
	const char *step; /* what failed, or NULL */
	int error;
};

uint32_t probe_landlock_abi(void)
{
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi < 0 ? 0 : (uint32_t)abi;
}

static bool has_action(uint32_t action)
{
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* In a new user namespace and mount namespace: is a mount allowed? AppArmor may let the namespace be made and refuse this. */
static int try_mount(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return errno;
	return mount("tmpfs", "/", "tmpfs", 0, "size=4k") == 0 ? 0 : errno;
}

static struct namespace_probe user_namespace(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, .exit_signal = SIGCHLD};
	int status;
	const pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid < 0)
		return (struct namespace_probe){"clone3", errno};
	if (pid == 0)
		_exit(try_mount());
	if (RETRY(waitpid(pid, &status, 0)) < 0 || !WIFEXITED(status))
		return (struct namespace_probe){"wait", ECHILD};
	if (WEXITSTATUS(status) != 0)
		return (struct namespace_probe){"mount", WEXITSTATUS(status)};
	return (struct namespace_probe){NULL, 0};
}

int probe_print(void)
{
	static const struct {
		const char *name;
		uint32_t action;
	} actions[] = {{"kill_process", SECCOMP_RET_KILL_PROCESS}, {"kill_thread", SECCOMP_RET_KILL_THREAD},
		       {"trap", SECCOMP_RET_TRAP}, {"errno", SECCOMP_RET_ERRNO}, {"user_notif", SECCOMP_RET_USER_NOTIF},
		       {"trace", SECCOMP_RET_TRACE}, {"log", SECCOMP_RET_LOG}, {"allow", SECCOMP_RET_ALLOW}};
	const struct namespace_probe ns = user_namespace();
	const char *separator = "";
	printf("{\"landlockAbi\":%u,\"seccompActions\":[", probe_landlock_abi());
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (has_action(actions[i].action)) {
			printf("%s\"%s\"", separator, actions[i].name);
			separator = ",";
		}
	if (ns.step == NULL)
		puts("],\"userNamespace\":{\"ok\":true}}");
	else
		printf("],\"userNamespace\":{\"ok\":false,\"step\":\"%s\",\"errno\":\"%s\"}}\n", ns.step, strerrorname_np(ns.error));
	return fflush(stdout) == 0 ? 0 : 1;
}
