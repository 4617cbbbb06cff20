/*
 * export/http.h - what the OTLP/HTTP sink (export/http.c, opened by http_sink_open() of
 * export/export.h) shows beside its sink: a bell, and its bounds.
 */
#ifndef EXPORT_HTTP_H
#define EXPORT_HTTP_H

#include "export/retry.h"

/*
 * Has the user asked to stop? Asked from any thread; must not block. Set before a sink is opened.
 */
extern bool (*http_stop_requested)(void);

/* For tests: set before a sink is opened. */
extern struct retry_timing http_timing;

#endif
