/*
 * Zone data come from libc (tzdata); one look-up serves a quarter of an hour, because no zone changes inside
 * one.
 */
#include "reconstruct/zone.h"

#include "core/civil.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define QUARTER_MS INT64_C(900000)

/* +hh:mm, -hhmm, +hh, UTC, Z */
static bool parse_offset(struct slice s, int32_t *seconds)
{
	int hour, min = 0;

	if (slice_ieq(s, SLICE("UTC")) || slice_ieq(s, SLICE("Z"))) {
		*seconds = 0;
		return true;
	}
	if ((s.len != 3 && s.len != 5 && s.len != 6) || (s.p[0] != '+' && s.p[0] != '-'))
		return false;
	if (s.len == 6 && s.p[3] != ':')
		return false;
	hour = civil_two(s.p + 1);
	if (s.len > 3)
		min = civil_two(s.p + s.len - 2);
	if (hour < 0 || hour > 23 || min < 0 || min > 59)
		return false;
	*seconds = (hour * 60 + min) * 60 * (s.p[0] == '-' ? -1 : 1);
	return true;
}

/* Zone data begin with this (RFC 8536); libc takes any other file, and a folder, for UTC without a word. */
static bool is_zone_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char magic[4];
	bool is = file && fread(magic, 1, 4, file) == 4 && memcmp(magic, "TZif", 4) == 0;

	if (file)
		fclose(file);
	return is;
}

#define TZ_MAX 256

/* Is it a zone that libc must know? Else it is the system's, or an offset. */
static bool is_named(struct slice name)
{
	int32_t seconds;

	return name.len && !parse_offset(name, &seconds);
}

bool zone_check(struct slice name, struct err *err)
{
	char path[512], tz[TZ_MAX];

	if (!is_named(name))
		return true;
	if (name.len >= sizeof(tz))
		return err_set(err, EXIT_USAGE, "this is no time zone");
	memcpy(tz, name.p, name.len);
	tz[name.len] = '\0';
	snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", tz);
	/* A POSIX TZ has rules behind a comma; libc takes any nonsense for UTC, so look before. */
	if (strchr(tz, ',') == NULL && (tz[0] == '/' || strstr(tz, "..") || !is_zone_file(path)))
		return err_at(err, EXIT_USAGE, name.p, name.len, 0,
			      "no such time zone: expected a name such as Europe/Paris (package tzdata), UTC or +02:00");
	return true;
}

bool zone_prepare(struct slice name, struct err *err)
{
	static bool changed, had;
	static char before[TZ_MAX];
	const char *system = getenv("TZ");
	char tz[TZ_MAX];

	if (!zone_check(name, err))
		return false;
	if (!changed && system && strlen(system) < sizeof(before)) {
		had = true;
		memcpy(before, system, strlen(system) + 1);
	}
	if (is_named(name)) {
		changed = true;
		snprintf(tz, sizeof(tz), "%.*s", (int)name.len, name.p);
		setenv("TZ", tz, 1);
	} else if (changed) {		/* a new configuration has no zone any more: the system's again */
		changed = false;
		if (had)
			setenv("TZ", before, 1);
		else
			unsetenv("TZ");
	}
	tzset();
	return true;
}

void zone_init(struct zone *z, struct slice name)
{
	*z = (struct zone){ .given = name.len > 0, .quarter = INT64_MIN };
	z->fixed = name.len > 0 && parse_offset(name, &z->offset_s);
}

/* Seconds east of UTC at a moment. */
static int32_t offset_at(int64_t utc_s)
{
	time_t t = (time_t)utc_s;
	struct tm tm;

	return localtime_r(&t, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

/*
 * The offsets that a local time can have. A change of clocks lies at most a day away, so the offset of a day
 * before and of a day after are the only candidates; one is right if it leads to itself.
 */
static void look_up(struct zone *z, int64_t local_s)
{
	int32_t before = offset_at(local_s - offset_at(local_s - 86400) - 86400);
	int32_t after = offset_at(local_s - offset_at(local_s + 86400) + 86400);
	bool before_fits = offset_at(local_s - before) == before, after_fits = offset_at(local_s - after) == after;

	/* In a gap neither fits: such a time never was; go on as if the clock had not been moved yet. */
	z->early_s = before_fits || !after_fits ? before : after;
	z->late_s = after_fits ? after : z->early_s;
}

int64_t zone_utc(struct zone *z, int64_t local_ms, int envelope_min, int64_t near_ms)
{
	int64_t quarter, early, late;

	if (z->fixed)
		return local_ms - z->offset_s * INT64_C(1000);
	if (!z->given && envelope_min != INT16_MIN)
		return local_ms - envelope_min * INT64_C(60000);
	quarter = local_ms / QUARTER_MS;
	if (quarter != z->quarter) {
		look_up(z, quarter * (QUARTER_MS / 1000));
		z->quarter = quarter;
	}
	early = local_ms - z->early_s * INT64_C(1000);
	if (z->early_s == z->late_s)
		return early;
	late = local_ms - z->late_s * INT64_C(1000);
	return near_ms && llabs(near_ms - late) < llabs(near_ms - early) ? late : early;
}
