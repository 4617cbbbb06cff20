/*
 * report/backends.h - what `haspan check --baseline` remembers of a capture: of each backend how many requests there
 * were, how many failed, and how long each phase took.
 */
#ifndef REPORT_BACKENDS_H
#define REPORT_BACKENDS_H

#include "report/report.h"
#include "report/sketch.h"

/* What is timed: the phases of a request, and the whole of it. */
enum timed { TIMED_REQUEST, TIMED_QUEUE, TIMED_CONNECT, TIMED_RESPONSE, TIMED_DATA, TIMED_TOTAL, TIMED_MAX };

/* As the spans are called: "request", …, and "total". */
const char *timed_name(enum timed t);

struct backend {
	uint64_t hash;
	struct slice name;		/* as it was logged, cut at COMPARE_NAME_MAX; empty: of lines that name none */
	bool rest;			/* no backend of its own, but those for which there was no room */
	uint64_t requests, failed;	/* failed: the status of SERVER is an error */
	struct sketch time[TIMED_MAX];	/* microseconds, of those requests that reached the phase */
};

/*
 * Of more than COMPARE_BACKENDS_MAX backends those with the smallest hashes have rows of their own: the same ones in
 * whatever order they come, and in both captures.
 */
struct backends;

/* NULL: no memory. */
struct backends *backends_new(void);

/* It gathers through this one, which is lent. */
struct watcher *backends_watcher(struct backends *c);

/* The rows in order of their names, the rest last; when all parts have been joined. Lent until backends_free. */
uint32_t backends_rows(struct backends *c, struct backend *const **rows);

void backends_free(struct backends *c);

#endif
