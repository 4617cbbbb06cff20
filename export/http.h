/*
 * export/http.h - what the OTLP/HTTP sink (export/http.c, opened by http_sink_open() of
 * export/export.h) shows beside its sink.
 */
#ifndef EXPORT_HTTP_H
#define EXPORT_HTTP_H

#include "export/retry.h"

#include <stddef.h>

/* For tests: set before a sink is opened. */
extern struct retry_timing http_timing;
extern size_t http_join_max;	/* JOIN_MAX */

#endif
