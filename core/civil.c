#include "core/civil.h"

#include <stdio.h>

/* Z or ±hh:mm at `p`. Returns its length, or 0. */
static size_t zone(struct slice s, int *zone_min, bool *known)
{
	int hour, min;
	size_t colon;

	*known = true;
	if (s.len && (*s.p == 'Z' || *s.p == 'z')) {
		*zone_min = 0;
		return 1;
	}
	if (s.len < 6 || (s.p[0] != '+' && s.p[0] != '-'))
		return 0;
	colon = s.p[3] == ':';		/* journalctl's short-iso leaves it out */
	if ((hour = civil_two(s.p + 1)) < 0 || (min = civil_two(s.p + 3 + colon)) < 0 || hour > 23 || min > 59)
		return 0;
	*known = s.p[0] == '+' || hour || min;
	*zone_min = (hour * 60 + min) * (s.p[0] == '-' ? -1 : 1);
	return 5 + colon;
}

bool civil_iso(struct slice s, size_t *len, int64_t *us, int *zone_min, bool *known)
{
	int century, year, month, day, hour, min, sec;
	int64_t fraction = 0, unit = 100000;
	size_t n = 19, z;

	if (s.len < 20 || s.p[4] != '-' || s.p[7] != '-' || (s.p[10] != 'T' && s.p[10] != ' ') || s.p[13] != ':' ||
	    s.p[16] != ':' || (century = civil_two(s.p)) < 0 || (year = civil_two(s.p + 2)) < 0 ||
	    (month = civil_two(s.p + 5)) < 1 || month > 12 || (day = civil_two(s.p + 8)) < 1 ||
	    (hour = civil_two(s.p + 11)) < 0 || hour > 23 || (min = civil_two(s.p + 14)) < 0 || min > 59 ||
	    (sec = civil_two(s.p + 17)) < 0 || sec > 60)
		return false;
	year += century * 100;
	if (day > civil_days_in(year, month))
		return false;
	if (s.p[19] == '.')
		for (n = 20; n < s.len && s.p[n] >= '0' && s.p[n] <= '9'; n++, unit /= 10)
			fraction += (s.p[n] - '0') * unit;
	z = zone(slice_skip(s, n), zone_min, known);
	if (z == 0)
		return false;
	*len = n + z;
	*us = ((civil_days(year, month, day) * 24 + hour) * 60 + min - *zone_min) * 60000000 + sec * INT64_C(1000000) +
	      fraction;
	return true;
}

/* Howard Hinnant's civil_from_days. */
static void date_of(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(y + era * 400 + (*month <= 2));
}

void civil_format(uint64_t ns, char out[32])
{
	uint64_t us = ns / 1000, s = us / 1000000;
	int year, month, day, n;
	unsigned of_day = (unsigned)(s % 86400);

	date_of((int64_t)(s / 86400), &year, &month, &day);
	n = snprintf(out, 32, "%04d-%02d-%02d %02u:%02u:%02u.%03u", year, month, day, of_day / 3600,
		     of_day / 60 % 60, of_day % 60, (unsigned)(us / 1000 % 1000));
	if (us % 1000 && n > 0 && n < 28)
		snprintf(out + n, 32 - (size_t)n, "%03u", (unsigned)(us % 1000));
}
