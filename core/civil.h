/*
 * core/civil.h - calendar arithmetic without libc: no locale, no zone data.
 */
#ifndef CORE_CIVIL_H
#define CORE_CIVIL_H

#include "core/slice.h"

/*
 * Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant's days_from_civil: a
 * year that begins in March has its leap day at its end).
 */
static inline int64_t civil_days(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Days of a month, 1..12. */
static inline int civil_days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Month 1..12 of three letters ("Jan"), or 0. Reads 3 bytes. */
static inline int civil_month(const char *p)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int m = 0; m < 12; m++)
		if (memcmp(p, months + (ptrdiff_t)m * 3, 3) == 0)
			return m + 1;
	return 0;
}

/* Two digits at `p` as a number, or -1. */
static inline int civil_two(const char *p)
{
	unsigned a = (unsigned)(p[0] - '0'), b = (unsigned)(p[1] - '0');

	return a > 9 || b > 9 ? -1 : (int)(a * 10 + b);
}

/*
 * An RFC 3339 date (`2026-11-21T08:15:44.922103+00:00`, `Z`): false when `s` does not begin with one; else
 * `*len` is its length, `*us` the microseconds since 1970 in UTC, `*zone_min` its offset. `-00:00` says that
 * the offset is not known (section 4.3): `*known` is then false, and `*us` is local time.
 */
bool civil_iso(struct slice s, size_t *len, int64_t *us, int *zone_min, bool *known);

/*
 * Nanoseconds since 1970 as `2026-11-21 08:15:44.900123` in UTC: microseconds are left out when they are 0.
 * Writes at most 32 bytes with the NUL.
 */
void civil_format(uint64_t ns, char out[32]);

#endif
