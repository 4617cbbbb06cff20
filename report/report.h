/*
 * report/report.h - the report room: what all requests together say.
 *
 * A watcher sees every request, also those that the sampler or --drop leaves out. Each worker gathers a part of its own,
 * without a lock; parts are joined when the last line has been read, so what they gather must not depend on order.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "parse/record.h"
#include "reconstruct/span.h"

struct watcher;

struct watcher_ops {
	/* What one worker gathers; owned by it until `join`. NULL: no memory. */
	void *(*part)(struct watcher *w);
	/* One request, its derived slots and spans; all of it is lent for the call. One thread per part; allocates nothing per request. */
	void (*see)(void *part, const struct record *rec, const struct trace *trace);
	/* Take over what `part` holds, and free it. One at a time, after the last `see`, in any order. */
	void (*join)(struct watcher *w, void *part);
};

/* First member of every watcher's own struct. */
struct watcher {
	const struct watcher_ops *ops;
};

#endif
