/*
 * report/stats.h - `--to stats`: where the time went and what failed, for a person (doc/stats.md).
 */
#ifndef REPORT_STATS_H
#define REPORT_STATS_H

#include "core/buf.h"
#include "core/err.h"
#include "report/report.h"

struct stats_config {
	uint8_t by[STATS_BY_MAX];	/* rows of formats/groups.def */
	uint32_t nby;
	uint32_t top;			/* groups that are shown; 0: all */
	uint32_t slowest;		/* requests that are shown; at most SLOWEST_MAX */
	bool colour;
	unsigned width;			/* columns */
};

/* `frontend,backend` to `c->by`; `none` is none. false: `err` points at the place (EXIT_USAGE). */
bool stats_by(struct stats_config *c, struct slice list, struct err *err);

/* Is this one of them? */
bool stats_names(const struct stats_config *c, const char *name);

/* A watcher that copies `c`; the caller's to free, when the pipeline is done with it. NULL: no memory. */
struct watcher *stats_new(const struct stats_config *c);
void stats_free(struct watcher *w);

/* After the last join, once: all of it on standard output. */
void stats_print(struct watcher *w);

#endif
