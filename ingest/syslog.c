/*
 * ingest/syslog.c - peel what syslog, a relay or a log file put around HAProxy's message. Pure.
 *
 * HAProxy's own layouts are in its configuration manual, section 4.2 "log", and were read off the wire; the file
 * layouts are rsyslog's RSYSLOG_TraditionalFileFormat and RSYSLOG_FileFormat, and syslog-ng's default.
 */
#include "core/civil.h"
#include "core/scan.h"
#include "ingest/ingest.h"
#include "ingest/record.h"

/* `<134>`; returns its length, 0 when there is none. */
static size_t pri_len(struct slice s)
{
	size_t i = 1;

	if (s.len < 3 || s.p[0] != '<')
		return 0;
	while (i < s.len && i < 4 && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i > 1 && i < s.len && s.p[i] == '>' ? i + 1 : 0;
}

/*
 * `Nov 21 08:15:44 `, the day padded by a blank, or with a fraction (journalctl's short-precise); returns its
 * length, 0 when there is none.
 */
static size_t bsd_len(struct slice s)
{
	size_t n = 15;

	if (s.len < 16 || s.p[3] != ' ' || s.p[6] != ' ' || s.p[9] != ':' || s.p[12] != ':' || civil_month(s.p) == 0 ||
	    civil_two(s.p + 7) < 0 || civil_two(s.p + 10) < 0 || civil_two(s.p + 13) < 0 ||
	    (s.p[4] != ' ' && civil_two(s.p + 4) < 0))
		return 0;
	if (s.p[n] == '.')
		for (n++; n < s.len && n < 26 && s.p[n] >= '0' && s.p[n] <= '9'; n++)
			;
	return n < s.len && s.p[n] == ' ' ? n + 1 : 0;
}

static struct slice skip_blanks(struct slice s)
{
	while (s.len && *s.p == ' ')
		s = slice_skip(s, 1);
	return s;
}

/* The word in front; `*rest` is behind its blank. */
static struct slice word(struct slice s, struct slice *rest)
{
	const char *end = s.p + s.len, *blank = scan_byte(s.p, end, ' ');

	*rest = blank < end ? slice_to(blank + 1, end) : slice_of(end, 0);
	return slice_to(s.p, blank);
}

/* `haproxy[8904]:` or `haproxy:`. A word of a HAProxy line never looks like this. */
static bool is_tag(struct slice s)
{
	size_t i = 0;

	if (s.len < 2 || s.len > 80 || s.p[--s.len] != ':')
		return false;
	for (; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		      c == '-' || c == '.' || c == '/' || c == '@'))
			break;
	}
	return i > 0 && (i == s.len || (s.p[i] == '[' && s.p[s.len - 1] == ']'));
}

/* A host that can be named: printable ASCII, not too long, no NILVALUE and no tag (RFC 5424 section 6). */
struct slice envelope_host(struct slice s)
{
	bool named = s.len <= 255 && !slice_eq(s, SLICE("-")) && !is_tag(s);

	for (size_t i = 0; i < s.len && named; i++)
		named = s.p[i] > ' ' && s.p[i] < 0x7f;
	return slice_of(s.p, named ? s.len : 0);
}

/* `host tag: ` or, with `bare`, `tag: ` in front of the message. */
static struct slice peel_host_tag(struct frame *f, struct slice s, bool bare)
{
	struct slice rest, first = word(s, &rest), after, second;

	if (bare && is_tag(first))
		return skip_blanks(rest);
	second = word(rest, &after);
	/* No host ends in a colon: that is a message of HAProxy's own, `acme: example.pem: …`. */
	if (first.len == 0 || first.len > 255 || is_tag(first) || !is_tag(second))
		return s;
	f->host = envelope_host(first);
	return skip_blanks(after);
}

/* Structured data (RFC 5424 section 6.3): `-`, or elements in brackets. Returns what is behind, or `s` itself. */
static struct slice skip_structured(struct slice s)
{
	const char *p = s.p, *end = s.p + s.len;
	bool quoted = false;

	if (p < end && *p == '-')
		return slice_to(p + 1, end);
	while (p < end && *p == '[') {
		for (p++; p < end && (quoted || *p != ']'); p++) {
			if (quoted && *p == '\\' && p + 1 < end)
				p++;
			else if (*p == '"')
				quoted = !quoted;
		}
		if (p == end)
			return s;
		p++;
	}
	return slice_to(p, end);
}

/* An RFC 3339 date; true with the frame's time set and `*s` behind it and its blank. */
static bool peel_iso(struct frame *f, struct slice *s)
{
	size_t len;
	int64_t us;
	int zone_min;
	bool known;

	if (!civil_iso(*s, &len, &us, &zone_min, &known) || len >= s->len || s->p[len] != ' ')
		return false;
	if (known) {
		f->time_us = us;
		f->zone_min = (int16_t)zone_min;
	}
	*s = slice_skip(*s, len + 1);
	return true;
}

/* Behind `<PRI>1 `. False when it is no RFC 5424 header after all. */
static bool peel_5424(struct frame *f, struct slice s)
{
	struct slice host, rest;

	if (s.len > 2 && s.p[0] == '-' && s.p[1] == ' ')
		s = slice_skip(s, 2);
	else if (!peel_iso(f, &s))
		return false;
	host = word(s, &rest);
	for (int k = 0; k < 3; k++)	/* APP-NAME, PROCID, MSGID */
		if (word(rest, &rest).len == 0)
			return false;
	if (rest.len && (*rest.p == '-' || *rest.p == '['))
		rest = skip_structured(rest);
	rest = skip_blanks(rest);
	if (slice_starts(rest, SLICE("\xef\xbb\xbf")))	/* MSG-UTF8's mark */
		rest = slice_skip(rest, 3);
	/* HAProxy's log-forward takes `haproxy[8904]:` for the host when a line came without one. */
	f->host = envelope_host(host);
	f->msg = rest;
	return true;
}

/* `1795248944.922103 `: seconds since 1970. Returns its length, 0 when there is none. */
static size_t unix_len(struct slice s, int64_t *us)
{
	uint64_t seconds, micros;

	if (s.len < 18 || s.p[10] != '.' || s.p[17] != ' ' || !slice_uint(slice_of(s.p, 10), &seconds) ||
	    !slice_uint(slice_of(s.p + 11, 6), &micros))
		return 0;
	*us = (int64_t)(seconds * 1000000 + micros);
	return 18;
}

/* `Sat 2026-11-21 08:15:44 UTC `; the date is a moment only in UTC: names of zones are not unique. */
static size_t weekday_len(struct slice s, int64_t *us)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	char iso[20];
	size_t day = 0, len;
	struct slice zone, rest;
	int zone_min;
	bool known;

	while (day < sizeof(days) - 1 && memcmp(s.p, days + day, 3) != 0)
		day += 3;
	if (s.len < 28 || day == sizeof(days) - 1 || s.p[3] != ' ' || s.p[23] != ' ')
		return 0;
	memcpy(iso, s.p + 4, 19);
	iso[19] = 'Z';
	if (!civil_iso(slice_of(iso, 20), &len, us, &zone_min, &known))
		return 0;
	zone = word(slice_skip(s, 24), &rest);
	if (!slice_eq(zone, SLICE("UTC")))
		*us = 0;
	return zone.len && zone.len < 10 && rest.len ? (size_t)(rest.p - s.p) : 0;
}

/* `[ 5581.346123] `, `[ 5581.346123 <    0.016004 >] `: since the machine started; its length or 0. */
static size_t monotonic_len(struct slice s)
{
	size_t n = 1;

	while (n < s.len && n < 60 && (s.p[n] == ' ' || s.p[n] == '.' || s.p[n] == '<' || s.p[n] == '>' ||
				       (s.p[n] >= '0' && s.p[n] <= '9')))
		n++;
	return s.len && *s.p == '[' && n > 2 && n + 1 < s.len && s.p[n] == ']' && s.p[n + 1] == ' ' ? n + 2 : 0;
}

/* Worth a look? No address begins with four digits. */
static inline bool may_be_journalctl(const char *p)
{
	if (p[10] == '.')
		return (unsigned)(p[1] - '0') < 10 && (unsigned)(p[2] - '0') < 10 && (unsigned)(p[3] - '0') < 10;
	return *p == '[' || (p[3] == ' ' && p[8] == '-');
}

/* journalctl's short-unix, short-full, with-unit, short-monotonic and short-delta: always with host and tag. */
__attribute__((noinline, cold)) static void peel_journalctl(struct frame *f, struct slice s)
{
	int64_t us = 0;
	size_t n = monotonic_len(s);
	struct slice msg;

	if (n == 0)
		n = unix_len(s, &us);
	if (n == 0)
		n = weekday_len(s, &us);
	if (n == 0)
		return;
	s = slice_skip(s, n);
	msg = peel_host_tag(f, s, false);
	if (msg.p == s.p)
		return;
	f->msg = msg;
	f->time_us = us;
	/* `UTC` is the zone that journalctl ran in. */
	if (us && n > 18)
		f->zone_min = 0;
}

/* Is `s`, behind its date, the host and tag of `before` and a message? Then these are known. */
static bool same_header(struct frame *f, struct slice s, const struct frame *before)
{
	size_t n = before ? before->header : 0;

	if (n == 0 || s.len <= n || memcmp(s.p, before->msg.p - n, n) != 0 || s.p[n] == ' ')
		return false;
	f->host = before->host;
	f->msg = slice_skip(s, n);
	f->header = (uint8_t)n;
	return true;
}

/* Behind the date of RFC 3164. */
static void peel_3164(struct frame *f, struct slice s, const struct frame *before)
{
	struct slice rest = skip_blanks(s);

	if (same_header(f, s, before))
		return;
	f->msg = peel_host_tag(f, rest, true);
	if (f->msg.p != rest.p && f->msg.p[-1] == ' ' && f->msg.p - s.p <= UINT8_MAX)
		f->header = (uint8_t)(f->msg.p - s.p);
}

static void peel_line(struct frame *f, const struct frame *before)
{
	struct slice s = f->line;
	size_t pri, bsd;

	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\r' || s.p[s.len - 1] == '\n' ||
			 s.p[s.len - 1] == '\t' || s.p[s.len - 1] == '\0'))
		s.len--;
	f->host = slice_of(s.p, 0);
	f->time_us = 0;
	f->zone_min = ZONE_UNKNOWN;
	f->header = 0;
	pri = pri_len(s);
	s = slice_skip(s, pri);
	if (pri && s.len > 2 && s.p[0] == '1' && s.p[1] == ' ' && peel_5424(f, slice_skip(s, 2)))
		return;
	bsd = bsd_len(s);
	if (bsd) {
		peel_3164(f, slice_skip(s, bsd), before);
		return;
	}
	f->msg = s;
	if (s.len && *s.p >= '0' && *s.p <= '9' && peel_iso(f, &s)) {
		f->msg = peel_host_tag(f, s, false);
		if (f->msg.p == s.p && !pri)
			f->flags |= FRAME_BARE_ISO;
	} else if (s.len > 20 && may_be_journalctl(s.p)) {
		peel_journalctl(f, s);
	}
}

void envelope_line(struct frame *f)
{
	peel_line(f, NULL);
	f->header = 0;			/* its host may come from elsewhere */
}

void envelope_peel_next(struct frame *f, const struct frame *before)
{
	f->line = f->raw;
	f->whole.len = 0;
	peel_line(f, before);
}

void envelope_peel(struct frame *f)
{
	envelope_peel_next(f, NULL);
}
