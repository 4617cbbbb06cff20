/*
 * export/retry.h - what a collector's answer means, and when to try again. Pure functions.
 *
 * doc/design.md over the table of OTLP/HTTP (specification, "Failures"; RFC 9110
 * section 10.2.3).
 */
#ifndef EXPORT_RETRY_H
#define EXPORT_RETRY_H

#include "core/slice.h"

enum answer_action {
	ANSWER_ACCEPT,		/* taken; the body may say that some spans were not */
	ANSWER_RETRY,		/* the same bytes again, later */
	ANSWER_HOLD,		/* a person must do something: the same bytes again, slowly */
	ANSWER_SPLIT,		/* too large: in two parts */
	ANSWER_FOLLOW,		/* the same bytes to another place */
	ANSWER_REFUSE,		/* never again; counted */
};

/* How long to wait. Only tests change these. */
struct retry_timing {
	uint32_t first_ms, max_ms;		/* ceiling of the first and last backoff */
	uint32_t after_min_ms, after_max_ms;	/* what is believed of a Retry-After */
	uint32_t hold_ms;			/* after 401 and 403 */
	/* After 413: until twice as much is sent together again, and at most, when that was too much each time. */
	uint32_t join_ms, join_max_ms;
};

#define RETRY_TIMING_DEFAULT { \
	.first_ms = 500, .max_ms = 30000, .after_min_ms = 100, .after_max_ms = 300000, \
	.hold_ms = 30000, .join_ms = 10000, .join_max_ms = 600000 }

/* `status` of HTTP, or 0 when there was no (whole) answer. */
enum answer_action retry_action(int status);

/*
 * Milliseconds until the next try: exponential with full jitter. `tries` counts the failures before
 * this one, `random` is any number.
 */
uint32_t retry_backoff_ms(const struct retry_timing *t, unsigned tries, uint64_t random);

/*
 * What a Retry-After of `text` asks for, in milliseconds and clamped; -1 when it is to be ignored:
 * empty, negative, in the past, no number and no date. `date_s` is what the caller's library made
 * of `text` as an HTTP-date, or -1; it and `now_s` are seconds since the epoch.
 */
int64_t retry_after_ms(const struct retry_timing *t, struct slice text, int64_t date_s,
		       int64_t now_s);

#endif
