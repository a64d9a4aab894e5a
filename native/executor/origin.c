/*
 * glibc's start of a static program asks for the folder of its file, and gives up where /proc/self/exe has no path: as in
 * gVisor, where the executor is executed by a descriptor of the host. It loads nothing, and has no use for the folder.
 */
const char *_dl_get_origin(void);

const char *_dl_get_origin(void)
{
	return (const char *)-1; /* "unknown" (elf/dl-origin.c) */
}
