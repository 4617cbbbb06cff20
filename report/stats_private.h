/*
 * report/stats_private.h - what is gathered (stats.c) and shown (stats_print.c).
 */
#ifndef REPORT_STATS_PRIVATE_H
#define REPORT_STATS_PRIVATE_H

#include "report/groups.h"
#include "report/stats.h"

/* Bytes of a method and a path that are kept of a slow request. */
#define SLOW_METHOD 10
#define SLOW_PATH 160

struct slow {
	uint64_t ns, start_ns, id_hi, id_lo, span;
	uint64_t phase_ns;		/* of the longest phase */
	uint8_t phase, failed;		/* enum span_role: the longest, and the one that failed; ROLE_SERVER: there is none */
	bool error;
	uint16_t status;		/* 0: none */
	uint8_t method_len, path_len;
	char method[SLOW_METHOD], path[SLOW_PATH];
};

/* What one worker gathers, and all of it in the end. */
struct stats {
	const struct stats_config *c;
	struct groups groups;
	uint64_t first_ns, last_ns;	/* of all requests that have a date; `last_ns` 0: none has */
	struct slow **slow;		/* owned; from the slowest on */
	uint32_t nslow;
};

struct stats_watcher {
	struct watcher watcher;
	struct stats_config c;
	struct stats all;
};

/* Names for a person: "frontend"; "response", "total" for SERVER. */
const char *stats_group_name(uint8_t by);
struct slice stats_phase_name(enum span_role role);

/* Phases in the order in which time passes, SERVER, the whole, last; SPANS_MAX - 1 of them. */
extern const enum span_role stats_phases[SPANS_MAX - 1];

#endif
