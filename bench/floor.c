/*
 * The floor: what the kernel itself takes for a jail, without a policy, a protocol or a check.
 *
 * One clone3 with every namespace that vmjail's jails have, id maps, private mounts, the root bound again and made
 * read-only throughout, a tmpfs, a proc, pivot_root, exec; with groups also their making, entering and removal. No
 * seccomp, no Landlock, no /dev, no masks, no limits: what vmjail does beyond this is what it is measured by.
 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DETACH = 2 /* MNT_DETACH, which only libc's header names, and that one does not go with the kernel's */ };

static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static int write_file(const char *path, const char *text)
{
	const size_t size = strlen(text);
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	const int result = write(fd, text, size) == (ssize_t)size ? 0 : -1;
	close(fd);
	return result;
}

static int write_of(pid_t pid, const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return write_file(path, text);
}

/* Root maps every id, as vmjail does; anybody else only their own. */
static int map_ids(pid_t pid)
{
	char uids[32], gids[32];
	if (geteuid() == 0)
		return write_of(pid, "uid_map", "0 0 4294967295\n") != 0 || write_of(pid, "gid_map", "0 0 4294967295\n") != 0 ? -1 : 0;
	snprintf(uids, sizeof uids, "%u %u 1\n", geteuid(), geteuid());
	snprintf(gids, sizeof gids, "%u %u 1\n", getegid(), getegid());
	if (write_of(pid, "setgroups", "deny") != 0 || write_of(pid, "uid_map", uids) != 0)
		return -1;
	return write_of(pid, "gid_map", gids);
}

static int make_groups(const struct floor *f)
{
	for (int i = 0; i < f->group_count; i++)
		if (mkdir(f->groups[i], 0755) != 0)
			return -1;
	return 0;
}

/*
 * The cheapest way in. Version 1: a thread writes "0" to `tasks` and so moves itself; whoever moves another process
 * (cgroup.procs) waits for an RCU grace period, ten times what all the rest takes. Version 2: born inside.
 */
static int open_groups(const struct floor *f, int tasks[MAX_GROUPS], struct clone_args *args)
{
	char path[4096];
	for (int i = 0; i < f->group_count; i++) {
		snprintf(path, sizeof path, "%s/tasks", f->groups[i]);
		tasks[i] = open(path, O_WRONLY | O_CLOEXEC);
		if (tasks[i] >= 0)
			continue;
		const int folder = errno == ENOENT ? open(f->groups[i], O_PATH | O_CLOEXEC) : -1;
		if (folder < 0 || args->flags & CLONE_INTO_CGROUP)
			return -1;
		args->flags |= CLONE_INTO_CGROUP;
		args->cgroup = (uint64_t)folder;
	}
	return 0;
}

static void close_groups(const struct floor *f, const int tasks[MAX_GROUPS], const struct clone_args *args)
{
	for (int i = 0; i < f->group_count; i++)
		if (tasks[i] >= 0)
			close(tasks[i]);
	if (args->flags & CLONE_INTO_CGROUP)
		close((int)args->cgroup);
}

static void enter_groups(const struct floor *f, const int tasks[MAX_GROUPS])
{
	for (int i = 0; i < f->group_count; i++)
		need(tasks[i] < 0 || write(tasks[i], "0", 1) == 1, f->groups[i]);
}

static void enter_root(void)
{
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	need(syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	const int root = (int)syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	need(root >= 0, "open_tree");
	need(syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH | AT_RECURSIVE, &readonly, sizeof readonly) == 0, "mount_setattr");
	need(syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0, "move_mount");
	need(fchdir(root) == 0, "fchdir");
	need(syscall(SYS_mount, "tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m") == 0, "tmpfs");
	need(syscall(SYS_mount, "proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "proc");
	need(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
	need(syscall(SYS_umount2, ".", DETACH) == 0, "umount2");
	need(chdir("/") == 0, "chdir");
}

static _Noreturn void become_program(const struct floor *f, const int tasks[MAX_GROUPS], const int hold[2])
{
	char go;
	close(hold[1]);
	enter_groups(f, tasks);
	if (read(hold[0], &go, 1) != 1)
		_exit(125);
	enter_root();
	execv(f->argv[0], f->argv);
	need(0, f->argv[0]);
	_exit(125);
}

pid_t floor_start(const struct floor *f)
{
	struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
					   CLONE_NEWUTS | CLONE_NEWCGROUP,
				  .exit_signal = SIGCHLD};
	int hold[2], tasks[MAX_GROUPS];
	if (make_groups(f) != 0 || open_groups(f, tasks, &args) != 0 || pipe2(hold, O_CLOEXEC) != 0)
		return -1;
	const pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		become_program(f, tasks, hold);
	close(hold[0]);
	const int ready = pid > 0 && map_ids(pid) == 0 && write(hold[1], "", 1) == 1;
	const int error = errno;
	close_groups(f, tasks, &args);
	close(hold[1]); /* without the byte the child gives up */
	errno = error;
	if (pid > 0 && !ready)
		fprintf(stderr, "floor: id maps: %s\n", strerror(error));
	return pid;
}

/* A group can be busy for a moment after its last process was waited for. */
static int remove_patiently(const char *path)
{
	const struct timespec pause = {.tv_nsec = 100000};
	for (int tries = 0; rmdir(path) != 0; tries++) {
		if (errno != EBUSY || tries == 10000)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int floor_clean(const struct floor *f)
{
	int result = 0;
	for (int i = 0; i < f->group_count; i++)
		if (remove_patiently(f->groups[i]) != 0)
			result = -1;
	return result;
}
