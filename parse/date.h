/*
 * parse/date.h - HAProxy's dates to numbers, without libc: no locale, no zone data, no allocation.
 */
#ifndef PARSE_DATE_H
#define PARSE_DATE_H

#include "core/slice.h"

/* The day of the last date, and its number: nearly all dates of a run share one. Zeroed at first. */
struct day_memo {
	char text[16];		/* 21/Nov/2026 */
	int64_t ms;
};

#define DATE_LEN 24		/* 21/Nov/2026:08:15:44.900 */
#define DATEZ_LEN 26		/* 21/Nov/2026:08:15:44 +0000 */

/*
 * The DATE_LEN bytes at `p`: false when they are no date, else `*ms` is the number of milliseconds since
 * 1970-01-01 as if the local time were UTC. A second of 60 is taken (leap seconds).
 */
bool date_parse(const char *p, struct day_memo *memo, int64_t *ms);

/* The DATEZ_LEN bytes at `p`: the same, in UTC. */
bool datez_parse(const char *p, struct day_memo *memo, int64_t *ms);

#endif
