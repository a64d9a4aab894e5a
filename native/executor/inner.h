/*
 * Pid 1 of a jail that another runtime made (gVisor): the first frame on its socket is FRAME_LAUNCH with what is left to
 * set up inside, then it serves as any pid 1.
 */
#ifndef VMJAIL_INNER_H
#define VMJAIL_INNER_H

/* Returns only where the socket says nothing that it understands: a status for exit(3). */
int inner_serve(int socket);

#endif
