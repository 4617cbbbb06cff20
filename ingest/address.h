/*
 * ingest/address.h - private to ingest/: HOST:PORT?NAME=VALUE&… of the sources that are sockets.
 */
#ifndef INGEST_ADDRESS_H
#define INGEST_ADDRESS_H

#include "core/err.h"
#include "core/slice.h"

#include <sys/socket.h>

/* One parameter of a URI that a kind of source knows. */
struct address_param {
	const char *name;
	bool flag;		/* it may stand without a value: `reuseport` */
	bool given;		/* set by address_params */
	struct slice value;	/* as it stands in the URI; lent by it */
};

/*
 * Take the parameters off: leaves in `*rest`, a part of `uri`, what stands before the '?', and fills `param[n]`. false:
 * one is unknown, given twice, or lacks its value; `err` says where in `uri` (EXIT_USAGE).
 */
bool address_params(struct slice uri, struct slice *rest, struct address_param *param, size_t n, struct err *err);

/* `value` with its %XX decoded, NUL-terminated; owned. NULL: out of memory. */
char *address_text(struct slice value);

struct address {
	struct sockaddr_storage a;
	socklen_t n;
	bool any;		/* `*` or nothing: every address of the machine, IPv4 and IPv6 */
};

/*
 * `host` is HOST:PORT, HOST, :PORT, [IPV6]:PORT or *:PORT, a part of `uri`; without a port it is `port`. Of a name that has
 * several addresses the first is taken. `type` is SOCK_STREAM or SOCK_DGRAM. false: `err` filled (EXIT_USAGE, EXIT_INPUT).
 */
bool address_parse(struct slice uri, struct slice host, const char *port, int type, struct address *out, struct err *err);

/*
 * A socket bound to `at`, non-blocking and close-on-exec: the one that systemd passed, if one has this address
 * (ingest/activation.h); else a new one. `*passed` says which. -1: `err` filled (EXIT_INPUT).
 */
int address_bind(const struct address *at, int type, bool reuseport, bool *passed, struct err *err);

/* `ADDRESS:PORT` of a peer, for messages; IPv6 in brackets; "local" for other families. Returns `out`. */
#define ADDRESS_TEXT 64
const char *address_name(const struct sockaddr_storage *a, char out[ADDRESS_TEXT]);

/* The same of where a socket is bound; empty when that is not known. */
void address_bound(int fd, char out[ADDRESS_TEXT]);

#endif
