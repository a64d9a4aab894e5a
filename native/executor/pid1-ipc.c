#include "pid1-state.h"

#include <sys/ipc.h>
#include <sys/shm.h>

/*
 * The kernel frees what is left of an IPC namespace some milliseconds after the last process has left it. Until then a segment
 * counts against the jail's memory, and so against the next program's: each is removed, which frees it at once.
 */
void remove_shared_memory(void)
{
	struct shmid_ds segment;
	struct shm_info info;
	const int last = shmctl(0, SHM_INFO, (struct shmid_ds *)&info);
	for (int i = 0; i <= last && info.used_ids > 0; i++) {
		const int id = shmctl(i, SHM_STAT_ANY, &segment);
		if (id >= 0)
			shmctl(id, IPC_RMID, NULL);
	}
}
