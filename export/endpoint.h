/*
 * export/endpoint.h - where an OTLP/HTTP sink sends to, and how: its URI and the shared settings,
 * merged.
 */
#ifndef EXPORT_ENDPOINT_H
#define EXPORT_ENDPOINT_H

#include "export/export.h"

/* A URI's length: what proxies and servers commonly take as a request line. */
#define ENDPOINT_URI_MAX ((size_t)8192)

/* Headers of the user's: servers commonly take 100 in all. */
#define ENDPOINT_HEADERS_MAX 64

/* Requests in flight: each may hold a mebibyte of spans. */
#define ENDPOINT_CONNECTIONS_MAX 128

/* The longest timeout: a day. Anything above is a mistake in the unit. */
#define ENDPOINT_TIMEOUT_MAX 86400000

/* All strings are owned and NUL-terminated. */
struct endpoint {
	char *url;		/* what is requested; no user, no parameters of haspan's own */
	char *shown;		/* for messages: `url` without its query, which may hold a token */
	char *user, *password;	/* HTTP basic authentication; NULL: none */
	char *header[ENDPOINT_HEADERS_MAX];	/* "Name: value", names unique */
	unsigned headers;
	bool json, gzip;
	unsigned timeout_ms;	/* 0: none */
	unsigned connections;	/* 1 … ENDPOINT_CONNECTIONS_MAX */
};

/*
 * `http[s]://[user[:password]@]host[:port][/path][?query]`; parameters of the query that are
 * haspan's own (protocol, compression, timeout, connections, header) win over `cfg`. Returns false
 * with `err` filled and `out` to be thrown away: what it quotes has its secrets masked. `out` is
 * freed with endpoint_free() in either case.
 */
bool endpoint_parse(struct slice uri, const struct export_config *cfg, struct endpoint *out,
		    struct err *err);

void endpoint_free(struct endpoint *e);

#endif
