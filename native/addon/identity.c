#include "identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct __user_cap_header_struct cap_header(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

/* Raw calls: the C library's would change every thread of the process. */
bool become(const struct identity *who, struct before *was)
{
	struct __user_cap_header_struct header = cap_header();
	*was = (struct before){0};
	was->group_count = syscall(SYS_getgroups, MAX_GROUPS * 4, was->groups);
	if (was->group_count < 0 || syscall(SYS_capget, &header, was->caps) != 0)
		return false;
	was->known = true;
	/* Who may not set groups runs programs with his own. */
	was->regrouped = syscall(SYS_setgroups, who->group_count, who->groups) == 0;
	was->gid = (uint32_t)syscall(SYS_setfsgid, who->gid);
	was->uid = (uint32_t)syscall(SYS_setfsuid, who->uid);
	struct __user_cap_data_struct none[2];
	memcpy(none, was->caps, sizeof none);
	none[0].effective = none[1].effective = 0;
	const bool capless = syscall(SYS_capset, &header, none) == 0;
	/* setfsuid(2) never says whether it did anything: asking for what cannot be tells what is. */
	const bool is_it = (uint32_t)syscall(SYS_setfsuid, -1) == who->uid && (uint32_t)syscall(SYS_setfsgid, -1) == who->gid;
	errno = EPERM;
	return capless && is_it;
}

void unbecome(const struct before *was)
{
	struct __user_cap_header_struct header = cap_header();
	if (!was->known)
		return;
	/* Nothing of this can fail: it is what the thread had, and its permitted capabilities were not touched. */
	if (syscall(SYS_capset, &header, was->caps) != 0)
		abort();
	syscall(SYS_setfsuid, was->uid);
	syscall(SYS_setfsgid, was->gid);
	if (was->regrouped && syscall(SYS_setgroups, was->group_count, was->groups) != 0)
		abort();
	syscall(SYS_capset, &header, was->caps);
}
