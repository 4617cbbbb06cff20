/*
 * reconstruct/http.h - what a request line and its headers say, in the words of OpenTelemetry's conventions.
 */
#ifndef RECONSTRUCT_HTTP_H
#define RECONSTRUCT_HTTP_H

#include "parse/format.h"
#include "reconstruct/reconstruct.h"

/* HAProxy cuts longer request lines here unless told otherwise (tune.http.logurilen). */
#define REQUEST_LINE_MAX 1023

/* Captured headers with a name become the fields they mean (formats/headers.def). */
void http_headers(struct record *r);

/*
 * Derive method, path, query (secrets redacted), scheme, version, server and client address, TLS and route.
 * `scratch` has LINE_MAX_BYTES; `route_name` receives "{method} {route}".
 */
void http_request(struct record *r, const struct rules *rules, char *scratch, struct slice *route_name,
		  char *name_buf, size_t name_size);

/* Does the path fit the template `/orders/{id}`: same segments, `{…}` for any one, a last `*` for the rest? */
bool route_match(struct slice template, struct slice path);

#endif
