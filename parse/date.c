#include "parse/date.h"

#include "core/civil.h"

/* 21/Nov/2026 */
static bool day_parse(const char *p, struct day_memo *memo)
{
	int day = civil_two(p), month = civil_month(p + 3), hi = civil_two(p + 7), lo = civil_two(p + 9);
	int year = hi * 100 + lo;

	if (p[2] != '/' || p[6] != '/' || month == 0 || hi < 0 || lo < 0 || year < 1970 || day < 1 ||
	    day > civil_days_in(year, month))
		return false;
	memcpy(memo->text, p, 11);
	memo->ms = civil_days(year, month, day) * 86400000;
	return true;
}

/* Eleven bytes in two words that overlap. */
static inline bool same_day(const char *p, const struct day_memo *memo)
{
	uint64_t a, b, c, d;

	memcpy(&a, p, 8);
	memcpy(&b, memo->text, 8);
	memcpy(&c, p + 3, 8);
	memcpy(&d, memo->text + 3, 8);
	return a == b && c == d;
}

/* 21/Nov/2026:08:15:44 */
static bool second_parse(const char *p, struct day_memo *memo, int64_t *ms)
{
	int hour = civil_two(p + 12), min = civil_two(p + 15), sec = civil_two(p + 18);

	if ((!same_day(p, memo) && !day_parse(p, memo)) || p[11] != ':' || p[14] != ':' ||
	    p[17] != ':' || hour < 0 || hour > 23 || min < 0 || min > 59 || sec < 0 || sec > 60)
		return false;
	*ms = memo->ms + ((hour * 60 + min) * 60 + sec) * INT64_C(1000);
	return true;
}

bool date_parse(const char *p, struct day_memo *memo, int64_t *ms)
{
	unsigned a = (unsigned)(p[21] - '0'), b = (unsigned)(p[22] - '0'), c = (unsigned)(p[23] - '0');

	if (p[20] != '.' || a > 9 || b > 9 || c > 9 || !second_parse(p, memo, ms))
		return false;
	*ms += a * 100 + b * 10 + c;
	return true;
}

bool datez_parse(const char *p, struct day_memo *memo, int64_t *ms)
{
	int hour = civil_two(p + 22), min = civil_two(p + 24);
	int64_t zone;

	if (p[20] != ' ' || (p[21] != '+' && p[21] != '-') || hour < 0 || hour > 23 || min < 0 || min > 59 ||
	    !second_parse(p, memo, ms))
		return false;
	zone = (hour * 60 + min) * INT64_C(60000);
	*ms += p[21] == '+' ? -zone : zone;
	return true;
}
