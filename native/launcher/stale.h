/* Is the build of a checkout older than its sources? */
#ifndef VMJAIL_STALE_H
#define VMJAIL_STALE_H

#include <stdbool.h>

/* `root`: an open folder. True as well where something that the build needs is missing or cannot be looked at. */
bool build_is_stale(int root);

/* Are the parts of a build that a start needs there? */
bool build_is_whole(int root);

#endif
