/*
 * ingest/activation.h - sockets that systemd opened for us (sd_listen_fds(3)): LISTEN_PID, LISTEN_FDS.
 *
 * A source of the configuration takes the passed socket that has its address and type instead of binding its own, so
 * that no line is lost between two runs. One that no source names is a source by itself. No thread may run yet.
 */
#ifndef INGEST_ACTIVATION_H
#define INGEST_ACTIVATION_H

#include <sys/socket.h>

/*
 * Look at the variables, once, and remove them; the sockets become close-on-exec and non-blocking. Those that are no
 * source (a connection, a pipe, another type) are closed with a warning. Returns how many remain. The other functions
 * call it by themselves.
 */
unsigned activation_count(void);

/* The passed socket of this type and address, which is the caller's from now on; -1: there is none. */
int activation_take(int type, const struct sockaddr *a, socklen_t n);

/*
 * The URI of the i-th passed socket that nobody took: `tcp://ADDRESS:PORT`, `udp://ADDRESS:PORT` or `unix:PATH`; lent for
 * ever. Opening it takes it. NULL: it is taken, or there is none.
 */
const char *activation_uri(unsigned i);

#endif
