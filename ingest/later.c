/* ingest/later.c - ports that are not there yet: each goes when its file comes. */
#include "ingest/port.h"

#define LATER(name)                                                                                                            \
	struct port *name(struct live *l, struct slice uri, struct slice rest, struct err *err)                                \
	{                                                                                                                      \
		(void)l, (void)rest;                                                                                           \
		err_at(err, EXIT_USAGE, uri.p, uri.len, 0, "this version has no such source yet");                             \
		return NULL;                                                                                                   \
	}
LATER(udp_open)
LATER(unix_open)
LATER(tcp_open)
LATER(tls_open)
LATER(follow_open)
