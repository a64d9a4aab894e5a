/* The zygote: one for each vmjail process. Starts jails on request and ends with vmjail, taking every jail with it. */
#ifndef VMJAIL_ZYGOTE_H
#define VMJAIL_ZYGOTE_H

/* Serves the socket until its peer is gone; returns an exit status. */
int zygote_serve(int socket);

#endif
