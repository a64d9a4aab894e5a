/* The rights of a jail's program, taken on by one thread for a moment. */
#ifndef VMJAIL_IDENTITY_H
#define VMJAIL_IDENTITY_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>

enum { MAX_GROUPS = 64 };

struct identity {
	uint32_t uid;
	uint32_t gid;
	uint32_t groups[MAX_GROUPS];
	uint32_t group_count;
};

struct before {
	struct __user_cap_data_struct caps[2];
	uint32_t uid;
	uint32_t gid;
	uint32_t groups[MAX_GROUPS * 4];
	long group_count;
	bool regrouped;
	bool known; /* all of the above */
};

/* False, with EPERM: the rights are not as they should be, and nothing may be done with them. unbecome() either way. */
bool become(const struct identity *who, struct before *was);
void unbecome(const struct before *was);

#endif
