/*
 * vmjail-executor: carries out plans and knows nothing of policy.
 *   vmjail-executor serve FD   serve requests on the socket FD (see wire.h)
 *   vmjail-executor inner FD   the same as the first process of another runtime's jail
 *   vmjail-executor probe      print what the host can do, as one line of JSON
 */
#include "inner.h"
#include "probe.h"
#include "zygote.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of an open socket, from now on close-on-exec; -1 if it is none. */
static int socket_of(const char *text)
{
	char *end;
	const long socket = strtol(text, &end, 10);
	if (end == text || *end != '\0' || socket < 3 || socket > 65535 || fcntl((int)socket, F_SETFD, FD_CLOEXEC) != 0) {
		fputs("vmjail-executor: it needs the number of an open socket\n", stderr);
		return -1;
	}
	return (int)socket;
}

static int serve(const char *text, int (*with)(int socket))
{
	const int socket = socket_of(text);
	return socket < 0 ? 2 : with(socket);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], zygote_serve);
	if (argc == 3 && strcmp(argv[1], "inner") == 0)
		return serve(argv[2], inner_serve);
	if (argc == 2 && strcmp(argv[1], "probe") == 0)
		return probe_print();
	fputs("usage: vmjail-executor serve FD | inner FD | probe\nvmjail starts this program; it is of no use by itself.\n", stderr);
	return 2;
}
