/*
 * Dates: HAProxy's to numbers, RFC 3339's to numbers, local ones to UTC. Which moments a zone knows
 * was taken from the tz database (Europe/Paris 2026: 29 March 02:00, 25 October 03:00; Lord Howe:
 * half an hour; Dublin: winter time is the one that is `saved`).
 */
#include "lines.h"

#include "core/civil.h"

#include <time.h>

/* Milliseconds since 1970, as civil_days has them: its own test is below. */
static int64_t ms(int year, int month, int day, int hour, int min)
{
	return (civil_days(year, month, day) * 1440 + hour * 60 + min) * 60000;
}

/* ---- the calendar ---------------------------------------------------------------------------- */

static void days_are_counted_as_the_calendar_does(void **state)
{
	int64_t day = 0;

	(void)state;
	for (int year = 1970; year <= 2410; year++)
		for (int month = 1; month <= 12; month++) {
			static const int days[] = {
				31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
			};
			bool leap = month == 2 && year % 4 == 0 && (year % 100 || year % 400 == 0);

			assert_int_equal(civil_days_in(year, month), days[month - 1] + leap);
			assert_int_equal(civil_days(year, month, 1), day);
			assert_int_equal(civil_days(year, month, days[month - 1]),
					 day + days[month - 1] - 1);
			day += days[month - 1] + leap;
		}
	assert_int_equal(civil_days(1970, 1, 1), 0);
	assert_int_equal(civil_days(1969, 12, 31), -1);
	assert_int_equal(civil_days(2000, 2, 29), 11016);
}

static void haproxys_dates_have_their_limits(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: no date */
	} t[] = {
		{ "01/Jan/1970:00:00:00.000", 0 },
		{ "26/Apr/2024:09:39:58.774", 1714124398774 },
		{ "29/Feb/2024:23:59:59.999", 1709251199999 },
		{ "28/Feb/2023:00:00:00.000", 1677542400000 },
		{ "29/Feb/2000:00:00:00.000", 951782400000 },
		{ "31/Dec/2099:23:59:59.999", 4102444799999 },
		{ "30/Jun/2015:23:59:60.500", 1435708800500 }, /* a leap second */
		{ "29/Feb/2023:00:00:00.000", -1 },
		{ "29/Feb/2100:00:00:00.000", -1 },
		{ "30/Feb/2024:00:00:00.000", -1 },
		{ "31/Feb/2024:00:00:00.000", -1 },
		{ "31/Apr/2024:00:00:00.000", -1 },
		{ "32/Jan/2024:00:00:00.000", -1 },
		{ "00/Jan/2024:00:00:00.000", -1 },
		{ "31/Dec/1969:23:59:59.999", -1 },
		{ "21/nov/2026:08:15:44.900", -1 },
		{ "21/NOV/2026:08:15:44.900", -1 },
		{ "21/Nox/2026:08:15:44.900", -1 },
		{ "21/Nov/2026:24:00:00.000", -1 },
		{ "21/Nov/2026:23:60:00.000", -1 },
		{ "21/Nov/2026:23:59:61.000", -1 },
		{ "21/Nov/2026:08:15:44,900", -1 },
		{ "21/Nov/2026 08:15:44.900", -1 },
		{ "21/Nov/2026:08:15:44.9x0", -1 },
		{ "21/Nov/2026:08:15:44.90x", -1 },
		{ "21/Nov/2026:0x:15:44.900", -1 },
		{ "21/Nov/2026:08-15:44.900", -1 },
		{ "21/Nov/2026:08:15-44.900", -1 },
		{ "21-Nov-2026:08:15:44.900", -1 },
		{ "21/Nov-2026:08:15:44.900", -1 },
		{ "2x/Nov/2026:08:15:44.900", -1 },
		{ "21/Nov/20x6:08:15:44.900", -1 },
		{ " 1/Nov/2026:08:15:44.900", -1 },
	};
	static const char good[] = "21/Nov/2026:08:15:44.900";

	(void)state;
	/* alone, and behind a date of another day or of the same one */
	for (int warm = 0; warm < 3; warm++)
		for (size_t i = 0; i < COUNT(t); i++) {
			struct day_memo memo = { .ms = 0 };
			int64_t got = 42;
			bool ok;

			if (warm)
				assert_true(date_parse(warm == 1 ? good : t[0].text, &memo, &got));
			got = 42;
			ok = date_parse(t[i].text, &memo, &got);
			if (ok != (t[i].ms >= 0) || got != (ok ? t[i].ms : 42))
				fail_msg("%s: %lld", t[i].text, (long long)got);
			/* a bad one leaves no trace */
			assert_true(date_parse(good, &memo, &got));
			assert_int_equal(got, 1795248944900);
			assert_true(date_parse(good, &memo, &got));
			assert_int_equal(got, 1795248944900);
		}
}

static void dates_with_a_zone_are_utc_at_once(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: no date */
	} t[] = {
		{ "26/Apr/2024:07:41:11 +0000", 1714117271000 },
		{ "26/Apr/2024:09:41:11 +0200", 1714117271000 },
		{ "26/Apr/2024:02:11:11 -0530", 1714117271000 },
		{ "26/Apr/2024:21:26:11 +1345", 1714117271000 },
		{ "26/Apr/2024:07:41:11 -0000", 1714117271000 },
		{ "01/Jan/1970:00:00:00 -2359", 86340000 },
		{ "26/Apr/2024:07:41:60 +0000", 1714117320000 },
		{ "26/Apr/2024:07:41:11 +2400", -1 },
		{ "26/Apr/2024:07:41:11 +0060", -1 },
		{ "26/Apr/2024:07:41:11 00000", -1 },
		{ "26/Apr/2024:07:41:11 +00:0", -1 },
		{ "26/Apr/2024:07:41:11.+0000", -1 },
		{ "31/Apr/2024:07:41:11 +0000", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct day_memo memo = { .ms = 0 };
		int64_t got = -1;

		assert_int_equal(datez_parse(t[i].text, &memo, &got), t[i].ms >= 0);
		assert_int_equal(got, t[i].ms);
	}
}

static void rfc3339_dates_are_read_to_the_microsecond(void **state)
{
	static const struct {
		const char *text;
		size_t len; /* 0: no date */
		int64_t us;
		int zone_min;
		bool known;
	} t[] = {
		{ "1970-01-01T00:00:00Z", 20, 0, 0, true },
		{ "2026-11-21T08:15:44.922103+00:00", 32, 1795248944922103, 0, true },
		{ "2026-11-21T08:15:44.922103+00:00 more", 32, 1795248944922103, 0, true },
		{ "2026-11-21T09:15:44.922103+01:00", 32, 1795248944922103, 60, true },
		{ "2026-11-21T02:45:44.922103-05:30", 32, 1795248944922103, -330, true },
		{ "2026-11-22T08:14:44.922103+23:59", 32, 1795248944922103, 1439, true },
		{ "2026-11-21 08:15:44Z", 20, 1795248944000000, 0, true },
		{ "2026-11-21T08:15:44z", 20, 1795248944000000, 0, true },
		{ "2026-11-21T08:15:44.9Z", 22, 1795248944900000, 0, true },
		{ "2026-11-21T08:15:44.922103999Z", 30, 1795248944922103, 0, true },
		{ "2026-11-21T08:15:60Z", 20, 1795248960000000, 0, true },
		{ "2024-02-29T00:00:00Z", 20, 1709164800000000, 0, true },
		/* the offset is not known (section 4.3): the time is as if local were UTC */
		{ "2026-11-21T08:15:44-00:00", 25, 1795248944000000, 0, false },
		{ "2026-11-21T08:15:44-00:01", 25, 1795249004000000, -1, true },
		/* journalctl's short-iso leaves the colon out */
		{ "2026-11-21T09:15:44+0100 lb1", 24, 1795248944000000, 60, true },
		{ "2026-11-21T02:45:44-0530 lb1", 24, 1795248944000000, -330, true },
		{ "2026-11-21T08:15:44+2400 lb1", 0, 0, 0, false },
		{ "2026-11-21T08:15:44+0160 lb1", 0, 0, 0, false },
		{ "2026-11-21T08:15:44+01.0 lb1", 0, 0, 0, false },
		{ "2023-02-29T00:00:00Z", 0, 0, 0, false },
		{ "2026-02-31T00:00:00Z", 0, 0, 0, false },
		{ "2026-00-21T00:00:00Z", 0, 0, 0, false },
		{ "2026-13-21T00:00:00Z", 0, 0, 0, false },
		{ "2026-11-00T00:00:00Z", 0, 0, 0, false },
		{ "2026-11-21T24:00:00Z", 0, 0, 0, false },
		{ "2026-11-21T08:60:00Z", 0, 0, 0, false },
		{ "2026-11-21T08:15:61Z", 0, 0, 0, false },
		{ "2026-11-21T08:15:44", 0, 0, 0, false },
		{ "2026-11-21T08:15:44.922103", 0, 0, 0, false },
		{ "2026-11-21T08:15:44+0100", 0, 0, 0, false },
		{ "2026-11-21T08:15:44+24:00", 0, 0, 0, false },
		{ "2026-11-21T08:15:44+01:60", 0, 0, 0, false },
		{ "2026-11-21T08:15:44+01", 0, 0, 0, false },
		{ "2026-11-21T08:15:44 ", 0, 0, 0, false },
		{ "2026/11/21T08:15:44Z", 0, 0, 0, false },
		{ "2026-11-21X08:15:44Z", 0, 0, 0, false },
		{ "2026-11-21T08-15-44Z", 0, 0, 0, false },
		{ "x026-11-21T08:15:44Z", 0, 0, 0, false },
		{ "2026-11-21", 0, 0, 0, false },
		{ "", 0, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		size_t n = strlen(t[i].text), len = 99;
		char *exact = malloc(n + 1); /* nothing is read behind the end */
		int64_t us = 99;
		int zone_min = 99;
		bool known = false, ok;

		assert_non_null(exact);
		memcpy(exact, t[i].text, n);
		ok = civil_iso(slice_of(exact, n), &len, &us, &zone_min, &known);
		if (ok != (t[i].len > 0))
			fail_msg("%s", t[i].text);
		if (ok) {
			assert_int_equal(len, t[i].len);
			assert_int_equal(us, t[i].us);
			assert_int_equal(zone_min, t[i].zone_min);
			assert_int_equal(known, t[i].known);
		}
		free(exact);
	}
}

static void moments_are_written_for_a_person(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} t[] = {
		{ 0, "1970-01-01 00:00:00.000" },
		{ 1795248944900000000, "2026-11-21 08:15:44.900" },
		{ 1795248944900123000, "2026-11-21 08:15:44.900123" },
		{ 1795248944900123999, "2026-11-21 08:15:44.900123" },
		{ 1709251199999000000, "2024-02-29 23:59:59.999" },
		{ 4107542400000000000, "2100-03-01 00:00:00.000" },
		{ UINT64_MAX, "2554-07-21 23:34:33.709551" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char out[32];

		civil_format(t[i].ns, out);
		assert_string_equal(out, t[i].text);
	}
}

/* ---- zones ----------------------------------------------------------------------------------- */

static struct zone zone_of(const char *name)
{
	struct err err = { 0 };
	struct zone z;

	assert_true(zone_prepare(slice_str(name), &err));
	zone_init(&z, slice_str(name));
	return z;
}

static void a_zones_clock_is_moved_twice_a_year(void **state)
{
	static const struct {
		const char *zone;
		int month, day, hour, min;
		int offset_min; /* UTC = local - offset */
	} t[] = {
		{ "Europe/Paris", 1, 15, 12, 0, 60 },
		{ "Europe/Paris", 7, 15, 12, 0, 120 },
		{ "Europe/Paris", 3, 29, 1, 59, 60 },
		{ "Europe/Paris", 3, 29, 3, 0, 120 },
		/* the hour that never was: as if the clock had not been moved yet */
		{ "Europe/Paris", 3, 29, 2, 0, 60 },
		{ "Europe/Paris", 3, 29, 2, 30, 60 },
		{ "Europe/Paris", 3, 29, 2, 59, 60 },
		/* the hour that was twice: the first, when nothing decides */
		{ "Europe/Paris", 10, 25, 1, 59, 120 },
		{ "Europe/Paris", 10, 25, 2, 0, 120 },
		{ "Europe/Paris", 10, 25, 2, 30, 120 },
		{ "Europe/Paris", 10, 25, 2, 59, 120 },
		{ "Europe/Paris", 10, 25, 3, 0, 60 },
		{ "Europe/Dublin", 1, 15, 12, 0, 0 },
		{ "Europe/Dublin", 7, 15, 12, 0, 60 },
		{ "America/New_York", 3, 8, 1, 59, -300 },
		{ "America/New_York", 3, 8, 3, 0, -240 },
		{ "America/New_York", 11, 1, 1, 30, -240 },
		{ "America/New_York", 11, 1, 2, 0, -300 },
		{ "Australia/Lord_Howe", 1, 15, 12, 0, 660 },
		{ "Australia/Lord_Howe", 7, 15, 12, 0, 630 },
		{ "Australia/Lord_Howe", 4, 5, 1, 45, 660 },
		{ "Australia/Lord_Howe", 4, 5, 2, 0, 630 },
		{ "Asia/Kathmandu", 7, 15, 12, 0, 345 },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 7, 15, 12, 0, 120 },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 10, 25, 3, 0, 60 },
		{ "UTC", 7, 15, 12, 0, 0 },
		{ "utc", 7, 15, 12, 0, 0 },
		{ "Z", 7, 15, 12, 0, 0 },
		{ "+02:00", 10, 25, 2, 30, 120 },
		{ "-03:30", 7, 15, 12, 0, -210 },
		{ "+0530", 7, 15, 12, 0, 330 },
		{ "-08", 7, 15, 12, 0, -480 },
		{ "+23:59", 7, 15, 12, 0, 1439 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct zone z = zone_of(t[i].zone);
		int64_t local = ms(2026, t[i].month, t[i].day, t[i].hour, t[i].min), utc;

		/* what was asked before must not matter */
		zone_utc(&z, ms(2026, 1, 1, 0, 0), INT16_MIN, 0);
		utc = zone_utc(&z, local + 59999, INT16_MIN, 0);
		if (utc != local + 59999 - t[i].offset_min * INT64_C(60000))
			fail_msg("%s %d-%d %d:%02d: %lld minutes", t[i].zone, t[i].month, t[i].day,
				 t[i].hour, t[i].min, (long long)(local + 59999 - utc) / 60000);
		assert_int_equal(zone_utc(&z, local, INT16_MIN, 0),
				 local - t[i].offset_min * INT64_C(60000));
	}
}

/* Minute by minute through a year: UTC goes on, but for the hours that the clock skips and repeats.
 */
static void every_minute_of_a_year_maps_back_to_itself(void **state)
{
	struct zone z = zone_of("Europe/Paris");
	int twice = 0, never = 0;

	(void)state;
	for (int64_t utc = ms(2026, 1, 1, 0, 0); utc < ms(2027, 1, 1, 0, 0); utc += 60000) {
		time_t s = (time_t)(utc / 1000);
		struct tm tm;
		int64_t local, first, second;

		assert_non_null(localtime_r(&s, &tm));
		local = utc + tm.tm_gmtoff * INT64_C(1000);
		first = zone_utc(&z, local, INT16_MIN, 0);
		second = zone_utc(&z, local, INT16_MIN, utc + 1000);
		assert_int_equal(second, utc); /* the envelope decides */
		twice += first != utc;
	}
	assert_int_equal(twice, 60);
	for (int64_t local = ms(2026, 3, 29, 0, 0); local < ms(2026, 3, 30, 0, 0); local += 60000) {
		time_t s = (time_t)(zone_utc(&z, local, INT16_MIN, 0) / 1000);
		struct tm tm;

		assert_non_null(localtime_r(&s, &tm));
		never += s * INT64_C(1000) + tm.tm_gmtoff * INT64_C(1000) != local;
	}
	assert_int_equal(never, 60);
}

static void who_says_the_zone_first_is_believed(void **state)
{
	int64_t noon = ms(2026, 7, 15, 12, 0);
	struct zone z;

	(void)state;
	/* --timezone, then the envelope, then the system */
	z = zone_of("Europe/Paris");
	assert_int_equal(zone_utc(&z, noon, 300, 0), noon - 120 * 60000);
	z = zone_of("+01:00");
	assert_int_equal(zone_utc(&z, noon, 300, 0), noon - 60 * 60000);
	setenv("TZ", "America/New_York", 1);
	z = zone_of("");
	assert_int_equal(zone_utc(&z, noon, 300, 0), noon - 300 * 60000);
	assert_int_equal(zone_utc(&z, noon, -300, 0), noon + 300 * 60000);
	assert_int_equal(zone_utc(&z, noon, 0, 0), noon);
	assert_int_equal(zone_utc(&z, noon, INT16_MIN, 0), noon + 240 * 60000);
}

static void what_is_no_zone_is_refused(void **state)
{
	static const char *const names[] = {
		"Europe/Pariss",
		"Europe",
		"Mars/Olympus",
		"../../../etc/passwd",
		"/etc/localtime",
		"Europe/../UTC",
		"+25:00",
		"+02:60",
		"+2",
		"+02:0",
		"+2:00",
		"02:00",
		"tzdata.zi",
		"zone.tab",
		"UTC+2x",
	};
	char long_name[300];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct err err = { 0 };

		if (zone_prepare(slice_str(names[i]), &err))
			fail_msg("taken: %s", names[i]);
		assert_int_equal(err.code, EXIT_USAGE);
	}
	memset(long_name, 'x', sizeof(long_name));
	for (size_t n = 250; n < 300; n += 49) {
		struct err err = { 0 };

		assert_false(zone_prepare(slice_of(long_name, n), &err));
		assert_int_equal(err.code, EXIT_USAGE);
	}
}

/* ---- in a line ------------------------------------------------------------------------------- */

static void an_envelope_decides_the_hour_that_was_twice(void **state)
{
	static const struct {
		const char *zone, *envelope, *date, *timers;
		int64_t utc_ms;
	} t[] = {
		/* nobody decides: the first */
		{ "Europe/Paris", "", "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792888200000 },
		{ "Europe/Paris", "<134>Oct 25 02:30:00 lb haproxy[1]: ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792888200000 },
		{ "Europe/Paris", "<134>1 2026-10-25T02:30:00-00:00 lb haproxy 1 - - ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792888200000 },
		/* written at 00:30 or at 01:30 UTC, in whatever zone */
		{ "Europe/Paris", "<134>1 2026-10-25T02:30:00.021+02:00 lb haproxy 1 - - ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792888200000 },
		{ "Europe/Paris", "<134>1 2026-10-25T02:30:00.021+01:00 lb haproxy 1 - - ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792891800000 },
		{ "Europe/Paris", "2026-10-25T01:30:00.021+00:00 ", "25/Oct/2026:02:30:00.000",
		  "0/0/0/20/20", 1792891800000 },
		{ "Europe/Paris", "2026-10-25T00:30:00.021Z lb haproxy[1]: ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792888200000 },
		/* the line was written at the end of a request of 50 minutes, of two hours */
		{ "Europe/Paris", "2026-10-25T01:20:00.000+00:00 ", "25/Oct/2026:02:30:00.000",
		  "0/0/0/20/3000000", 1792888200000 },
		{ "Europe/Paris", "2026-10-25T02:20:00.000+00:00 ", "25/Oct/2026:02:30:00.000",
		  "0/0/0/20/3000000", 1792891800000 },
		{ "Europe/Paris", "2026-10-25T02:30:00.000+00:00 ", "25/Oct/2026:02:30:00.000",
		  "0/0/0/20/7200000", 1792888200000 },
		/* the hour that never was */
		{ "Europe/Paris", "", "29/Mar/2026:02:30:00.000", "0/0/0/20/20", 1774747800000 },
		/* without --timezone the envelope's offset is HAProxy's own */
		{ "", "<134>1 2026-10-25T02:30:00.021+02:00 lb haproxy 1 - - ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792888200000 },
		{ "", "<134>1 2026-10-25T02:30:00.021+01:00 lb haproxy 1 - - ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792891800000 },
		{ "", "2026-10-25T02:30:00.021-09:30 ", "25/Oct/2026:02:30:00.000", "0/0/0/20/20",
		  1792929600000 },
		/* --timezone is said by a person: it wins */
		{ "UTC", "<134>1 2026-10-25T02:30:00.021+02:00 lb haproxy 1 - - ",
		  "25/Oct/2026:02:30:00.000", "0/0/0/20/20", 1792895400000 },
		{ "-01:00", "2026-10-25T02:30:00.021+02:00 ", "25/Oct/2026:02:30:00.000",
		  "0/0/0/20/20", 1792899000000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[512];
		struct lines l;

		lines_init(&l);
		lines_format(&l, "httplog");
		lines_start(&l, t[i].zone);
		snprintf(line, sizeof(line),
			 "%s127.0.0.1:1 [%s] fe be/app %s 200 68 - - ---- 1/1/0/0/0 0/0 "
			 "\"GET / HTTP/1.1\"",
			 t[i].envelope, t[i].date, t[i].timers);
		lines_request(&l, line);
		if (l.trace.span[0].start_ns != (uint64_t)t[i].utc_ms * 1000000)
			fail_msg("%s: %llu", line,
				 (unsigned long long)l.trace.span[0].start_ns / 1000000);
		lines_free(&l);
	}
}

static void without_any_word_the_system_has_its_way(void **state)
{
	struct lines l;

	(void)state;
	setenv("TZ", "America/New_York", 1);
	lines_init(&l);
	lines_format(&l, "tcplog");
	lines_start(&l, "");
	lines_request(&l, "<134>Jul 15 12:00:00 lb haproxy[1]: 127.0.0.1:1 "
			  "[15/Jul/2026:12:00:00.000] fe be/app 1/0/5 "
			  "68 -- 1/1/0/0/0 0/0");
	assert_int_equal(l.trace.span[0].start_ns, UINT64_C(1784131200000000000));
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_are_counted_as_the_calendar_does),
		cmocka_unit_test(haproxys_dates_have_their_limits),
		cmocka_unit_test(dates_with_a_zone_are_utc_at_once),
		cmocka_unit_test(rfc3339_dates_are_read_to_the_microsecond),
		cmocka_unit_test(moments_are_written_for_a_person),
		cmocka_unit_test(a_zones_clock_is_moved_twice_a_year),
		cmocka_unit_test(every_minute_of_a_year_maps_back_to_itself),
		cmocka_unit_test(who_says_the_zone_first_is_believed),
		cmocka_unit_test(what_is_no_zone_is_refused),
		cmocka_unit_test(an_envelope_decides_the_hour_that_was_twice),
		cmocka_unit_test(without_any_word_the_system_has_its_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
