/*
 * What lies between a stream of bytes and HAProxy's message: framing (RFC 6587), envelopes (RFC
 * 3164, RFC 5424, HAProxy's own, log files'), and lines of HAProxy's that are no traffic.
 */
#include "lines.h"

#include <unistd.h>

#define MSG                                                                                        \
	"127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - ---- "        \
	"1/1/0/0/0 0/0 "                                                                           \
	"\"GET /x HTTP/1.1\""

/* ---- envelopes ------------------------------------------------------------------------------- */

/* 2026-11-21T08:23:33.728523Z */
#define WHEN INT64_C(1795249413728523)

struct peeled {
	const char *raw, *msg, *host;
	int64_t time_us;
	int zone_min;
};

static void check_peeled(const struct peeled *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct frame f = { .raw = slice_str(t[i].raw) };
		char *base;

		f.raw.p = lines_padded(t[i].raw, f.raw.len, &base);
		envelope_peel(&f);
		if (strcmp(lines_text(f.msg), t[i].msg) != 0 ||
		    strcmp(lines_text(f.host), t[i].host) != 0)
			fail_msg("%s\n  message %s\n  host %s", t[i].raw, lines_text(f.msg),
				 lines_text(f.host));
		assert_int_equal(f.zone_min, t[i].zone_min);
		assert_int_equal(f.time_us, t[i].zone_min == ZONE_UNKNOWN ? 0 : t[i].time_us);
		assert_int_equal(slice_eq(f.raw, slice_str(t[i].raw)), 1);
		free(base);
	}
}

static void bsd_headers_are_peeled(void **state)
{
	static const struct peeled t[] = {
		/* HAProxy's local and rfc3164 */
		{ "<134>Nov 21 08:23:33 haproxy[16577]: " MSG, MSG, "", 0, ZONE_UNKNOWN },
		{ "<134>Nov 21 08:23:33 myhost haproxy[16577]: " MSG, MSG, "myhost", 0,
		  ZONE_UNKNOWN },
		{ "<134>Nov  1 08:23:33 myhost haproxy[16577]: " MSG, MSG, "myhost", 0,
		  ZONE_UNKNOWN },
		{ "<134>Jan 01 00:00:00 10.0.0.1 haproxy[1]: " MSG, MSG, "10.0.0.1", 0,
		  ZONE_UNKNOWN },
		{ "<134>Dec 31 23:59:59 fe80::1 haproxy[1]: " MSG, MSG, "fe80::1", 0,
		  ZONE_UNKNOWN },
		{ "<6>Nov 21 08:23:33 lb-1.example.org haproxy: " MSG, MSG, "lb-1.example.org", 0,
		  ZONE_UNKNOWN },
		{ "<134>Nov 21 08:23:33 haproxy: " MSG, MSG, "", 0, ZONE_UNKNOWN },
		{ "<134>Nov 21 08:23:33 - haproxy[1]: " MSG, MSG, "", 0, ZONE_UNKNOWN },
		{ "<134>Nov 21 08:23:33 myhost /usr/sbin/haproxy[1]: " MSG, MSG, "myhost", 0,
		  ZONE_UNKNOWN },
		{ "<134>Nov 21 08:23:33 myhost haproxy@prod_2.x-y[1]: " MSG, MSG, "myhost", 0,
		  ZONE_UNKNOWN },
		/* rsyslog's traditional file, syslog-ng's default: no PRI */
		{ "Nov 21 08:23:33 myhost haproxy[16577]: " MSG, MSG, "myhost", 0, ZONE_UNKNOWN },
		{ "Nov 21 08:23:33 myhost haproxy[16577]:  " MSG, MSG, "myhost", 0, ZONE_UNKNOWN },
		{ "Nov 21 08:23:33  myhost haproxy[16577]: " MSG, MSG, "myhost", 0, ZONE_UNKNOWN },
		/* journalctl's short-precise */
		{ "Nov 21 08:23:33.728523 myhost haproxy[16577]: " MSG, MSG, "myhost", 0,
		  ZONE_UNKNOWN },
		{ "Nov 21 08:23:33.7 myhost haproxy[16577]: " MSG, MSG, "myhost", 0, ZONE_UNKNOWN },
		/* nothing but a date */
		{ "<134>Nov 21 08:23:33 " MSG, MSG, "", 0, ZONE_UNKNOWN },
		{ "Nov 21 08:23:33 " MSG, MSG, "", 0, ZONE_UNKNOWN },
		/* an empty message */
		{ "<134>Nov 21 08:23:33 myhost haproxy[1]: ", "", "myhost", 0, ZONE_UNKNOWN },
		{ "<134>Nov 21 08:23:33 myhost haproxy[1]:", "", "myhost", 0, ZONE_UNKNOWN },
	};

	(void)state;
	check_peeled(t, COUNT(t));
}

static void rfc5424_headers_are_peeled(void **state)
{
	static const struct peeled t[] = {
		{ "<134>1 2026-11-21T08:23:33.728523+00:00 myhost haproxy 16577 - - " MSG, MSG,
		  "myhost", WHEN, 0 },
		{ "<134>1 2026-11-21T08:23:33.728523+00:00 - haproxy 8904 - - " MSG, MSG, "", WHEN,
		  0 },
		{ "<134>1 2026-11-21T10:23:33.728523+02:00 h haproxy 8904 - - " MSG, MSG, "h", WHEN,
		  120 },
		{ "<134>1 2026-11-21T02:53:33.728523-05:30 h haproxy 8904 - - " MSG, MSG, "h", WHEN,
		  -330 },
		{ "<134>1 2026-11-21T08:23:33.728523Z h haproxy 8904 - - " MSG, MSG, "h", WHEN, 0 },
		{ "<134>1 2026-11-21T08:23:33Z h haproxy 8904 - - " MSG, MSG, "h", WHEN - 728523,
		  0 },
		/* the time is not known, or its offset is not (RFC 3339 section 4.3) */
		{ "<134>1 - h haproxy 8904 - - " MSG, MSG, "h", 0, ZONE_UNKNOWN },
		{ "<134>1 2026-11-21T08:23:33-00:00 h haproxy 8904 - - " MSG, MSG, "h", 0,
		  ZONE_UNKNOWN },
		/* what HAProxy's log-forward makes of a line without a host */
		{ "<134>1 2026-11-21T08:23:33-00:00 haproxy[16577]: - - - - " MSG, MSG, "", 0,
		  ZONE_UNKNOWN },
		{ "<134>1 - - - - - - " MSG, MSG, "", 0, ZONE_UNKNOWN },
		/* structured data */
		{ "<134>1 - h haproxy 1 - [a@1] " MSG, MSG, "h", 0, ZONE_UNKNOWN },
		{ "<134>1 - h haproxy 1 ID47 [a@1 b=\"c\"] " MSG, MSG, "h", 0, ZONE_UNKNOWN },
		{ "<134>1 - h haproxy 1 - [a@1 b=\"c\" d=\"e f\"][g@2 h=\"i\"] " MSG, MSG, "h", 0,
		  ZONE_UNKNOWN },
		{ "<134>1 - h haproxy 1 - [a@1 b=\"]\"] " MSG, MSG, "h", 0, ZONE_UNKNOWN },
		{ "<134>1 - h haproxy 1 - [a@1 b=\"\\]\\\"\\\\\"] " MSG, MSG, "h", 0,
		  ZONE_UNKNOWN },
		{ "<134>1 - h haproxy 1 - [a@1 b=\"x\\\"] y\" c=\"\\\\\"] " MSG, MSG, "h", 0,
		  ZONE_UNKNOWN },
		/* +Q leaves numbers without quotes: not RFC 5424, but HAProxy writes it */
		{ "<134>1 - h haproxy 1 - [haspan@32473 id=\"7F\" ta=0] " MSG, MSG, "h", 0,
		  ZONE_UNKNOWN },
		/* MSG-UTF8's mark */
		{ "<134>1 - h haproxy 1 - - \xef\xbb\xbf" MSG, MSG, "h", 0, ZONE_UNKNOWN },
		{ "<134>1 - h haproxy 1 - [a@1 b=\"c\"] \xef\xbb\xbf" MSG, MSG, "h", 0,
		  ZONE_UNKNOWN },
		/* no message at all */
		{ "<134>1 2026-11-21T08:23:33.728523Z h haproxy 1 - -", "", "h", WHEN, 0 },
		{ "<134>1 2026-11-21T08:23:33.728523Z h haproxy 1 - [a@1 b=\"c\"]", "", "h", WHEN,
		  0 },
	};

	(void)state;
	check_peeled(t, COUNT(t));
}

/* A header that the frame before had too is known; that must not show. */
static void the_frame_before_changes_nothing(void **state)
{
	static const char *const raws[] = {
		"<134>Nov 21 08:23:33 lb1 haproxy[1]: " MSG, "Nov 21 08:23:33 lb1 haproxy[1]: " MSG,
		"Nov 21 08:23:34 lb1 haproxy[1]:  " MSG, "Nov 21 08:23:34 lb1 haproxy[1]: x",
		"Nov 21 08:23:34 lb1 haproxy[1]: ", "Nov 21 08:23:34 lb1 haproxy[1]:", "Nov 21 08:23:34 lb1 haproxy[1]:" MSG, "Nov 21 08:23:34 lb1",
		"Nov 21 08:23:34  haproxy[1]: " MSG, "Nov 21 08:23:34   " MSG, "Nov 21 08:23:34  lb1 haproxy[1]: " MSG,
		"Nov 21 08:23:34 haproxy[1]: " MSG, "Nov 21 08:23:34 " MSG, "Nov 21 08:23:34.123456 lb1 haproxy[1]: " MSG,
		"Nov 21 08:23:34 lb2 haproxy[1]: " MSG, "Nov 21 08:23:34 - haproxy[1]: " MSG, MSG, "",
		"<134>1 2026-11-21T08:23:33.728523Z lb1 haproxy 1 - - " MSG, "2026-11-21T08:23:33.728523Z lb1 haproxy[1]: " MSG,
	};
	char *base[COUNT(raws)];
	struct frame f[COUNT(raws)];

	(void)state;
	for (size_t i = 0; i < COUNT(raws); i++) {
		f[i] = (struct frame){ .raw = slice_str(raws[i]) };
		f[i].raw.p = lines_padded(raws[i], f[i].raw.len, &base[i]);
		envelope_peel(&f[i]);
	}
	for (size_t i = 0; i < COUNT(raws); i++)
		for (size_t k = 0; k < COUNT(raws); k++) {
			struct frame next = { .raw = f[k].raw };

			envelope_peel_next(&next, &f[i]);
			if (next.msg.p != f[k].msg.p || next.msg.len != f[k].msg.len || !slice_eq(next.host, f[k].host))
				fail_msg("behind %s\n  %s", raws[i], raws[k]);
		}
	for (size_t i = 0; i < COUNT(raws); i++)
		free(base[i]);
}

static void haproxys_short_forms_are_peeled(void **state)
{
	static const struct peeled t[] = {
		{ MSG, MSG, "", 0, ZONE_UNKNOWN },				  /* raw */
		{ "<6>" MSG, MSG, "", 0, ZONE_UNKNOWN },			  /* short */
		{ "<134>" MSG, MSG, "", 0, ZONE_UNKNOWN },			  /* priority */
		{ "<6>2026-11-21T08:23:33.728523+00:00 " MSG, MSG, "", WHEN, 0 }, /* timed */
		{ "2026-11-21T08:23:33.728523+00:00 " MSG, MSG, "", WHEN, 0 },	  /* iso */
		{ "2026-11-21T08:23:33-00:00 " MSG, MSG, "", 0, ZONE_UNKNOWN },
		/* rsyslog's RFC 3339 file */
		{ "2026-11-21T09:23:33.728523+01:00 myhost haproxy[1]: " MSG, MSG, "myhost", WHEN,
		  60 },
		{ "2026-11-21T08:23:33.728523+00:00 myhost haproxy: " MSG, MSG, "myhost", WHEN, 0 },
		/* journalctl's short-iso */
		{ "2026-11-21T09:23:33+0100 myhost haproxy[1]: " MSG, MSG, "myhost", WHEN - 728523,
		  60 },
		/* a message that has words with a colon is not taken for a host and a tag */
		{ "2026-11-21T08:23:33.728523+00:00 SPOE: [agent] <EVENT:on-request> sid=3 st=2 "
		  "0/0 0/0",
		  "SPOE: [agent] <EVENT:on-request> sid=3 st=2 0/0 0/0", "", WHEN, 0 },
		{ "2026-11-21T08:23:33.728523+00:00 acme: example: done", "acme: example: done", "",
		  WHEN, 0 },
		{ "2026-11-21T08:23:33.728523+00:00 acme: started", "acme: started", "", WHEN, 0 },
		{ "<134>Nov 21 08:23:33 haproxy[1]: acme: x: y", "acme: x: y", "", 0,
		  ZONE_UNKNOWN },
		{ "<134>Nov 21 08:23:33 h haproxy[1]: SPOE: [agent] x", "SPOE: [agent] x", "h", 0,
		  ZONE_UNKNOWN },
		{ "", "", "", 0, ZONE_UNKNOWN },
		{ "<134>", "", "", 0, ZONE_UNKNOWN },
	};

	(void)state;
	check_peeled(t, COUNT(t));
}

static void what_is_no_envelope_is_the_message(void **state)
{
	static const char *const same[] = {
		"<>x",
		"<a>x",
		"<1234>x",
		"<13x",
		"<",
		"<1",
		"<134",
		"Nov 21 8:23:33 h haproxy: x",
		"Now 21 08:23:33 h haproxy: x",
		"Nov 21 08-23-33 h haproxy: x",
		"Nov 21 08:23:33",
		"Nov x1 08:23:33 h haproxy: x",
		"Nov 21 08:23:33.x h haproxy: x",
		"Nov 21 0x:23:33 h haproxy: x",
		"Nov 21 08:x3:33 h haproxy: x",
		"Nov 21 08:23:3x h haproxy: x",
		"Nov 21 08:23:33.728523",
		"2026-11-21T08:23:33+00:00",
		"2026-11-21T08:23:33 h haproxy: x",
		"2026-13-21T08:23:33Z h haproxy: x",
		"2026-02-30T08:23:33Z x",
		"2026-11-21T24:00:00Z x",
		"2026-11-21T08:23:33+24:00 x",
		"2026-11-21T08:23:33Zx",
		"20261121T082333Z x",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(same); i++) {
		struct peeled t = { same[i], same[i], "", 0, ZONE_UNKNOWN };

		check_peeled(&t, 1);
	}
	/* `<PRI>1 ` that is no RFC 5424 after all: the PRI goes */
	check_peeled(&(struct peeled){ "<134>1 x h haproxy 1 - - m", "1 x h haproxy 1 - - m", "", 0,
				       ZONE_UNKNOWN },
		     1);
	check_peeled(&(struct peeled){ "<134>1 - h haproxy", "1 - h haproxy", "", 0, ZONE_UNKNOWN },
		     1);
}

/* The bytes of a host go into the resource of every span. */
static void a_host_that_cannot_be_one_is_none(void **state)
{
	static const struct peeled t[] = {
		{ "<134>Nov 21 08:23:33 h\xc3\xa9 haproxy[1]: " MSG, MSG, "", 0, ZONE_UNKNOWN },
		{ "<134>1 - h\x01 haproxy 1 - - " MSG, MSG, "", 0, ZONE_UNKNOWN },
		{ "<134>1 - h\xff haproxy 1 - - " MSG, MSG, "", 0, ZONE_UNKNOWN },
	};
	char raw[600] = "<134>1 - ", host[256];

	(void)state;
	check_peeled(t, COUNT(t));
	for (size_t n = 254; n <= 257; n++) {
		memset(host, 'h', 255);
		host[255] = '\0';
		memset(raw + 9, 'h', n);
		snprintf(raw + 9 + n, sizeof(raw) - 9 - n, " haproxy 1 - - x");
		host[n <= 255 ? n : 0] = '\0';
		check_peeled(&(struct peeled){ raw, "x", host, 0, ZONE_UNKNOWN }, 1);
	}
}

static void trailing_blanks_cr_and_nul_are_no_message(void **state)
{
	static const char *const tails[] = { "", " ", "\t", "\r", "\r\n", "\n", "  \t \r" };
	static const char *const heads[] = { "", "<134>Nov 21 08:23:33 h haproxy[1]: ", "<6>",
					     "<134>1 - h haproxy 1 - - " };

	(void)state;
	for (size_t h = 0; h < COUNT(heads); h++)
		for (size_t i = 0; i < COUNT(tails); i++)
			for (size_t nul = 0; nul < 3; nul++) {
				char raw[512];
				size_t n = (size_t)snprintf(raw, sizeof(raw), "%s" MSG "%s",
							    heads[h], tails[i]);
				struct frame f;
				char *base;

				raw[n + 1] = '\0';
				f = (struct frame){
					.raw = slice_of(lines_padded(raw, n + nul, &base), n + nul)
				};
				envelope_peel(&f);
				assert_text(f.msg, MSG);
				free(base);
			}
}

static void a_bare_date_is_remembered_because_it_may_be_the_formats_own(void **state)
{
	static const struct {
		const char *raw;
		bool bare;
	} t[] = {
		{ "2026-11-21T08:23:33.728523+00:00 " MSG, true },
		{ "2026-11-21T08:23:33.728523+00:00 h haproxy: " MSG, false },
		{ "<6>2026-11-21T08:23:33.728523+00:00 " MSG, false },
		{ MSG, false },
		{ "<134>1 2026-11-21T08:23:33.728523+00:00 h haproxy 1 - - " MSG, false },
	};
	struct lines l;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct frame f = { .raw = slice_str(t[i].raw) };
		char *base;

		f.raw.p = lines_padded(t[i].raw, f.raw.len, &base);
		envelope_peel(&f);
		assert_int_equal(f.flags, t[i].bare ? FRAME_BARE_ISO : 0);
		free(base);
	}
	/* a format that begins with such a date keeps it */
	lines_simple(&l, "%[accept_date(us),us_utime()] %ci [%tr] %Ta");
	lines_record(&l, "2026-11-21T08:23:33Z 192.0.2.1 [21/Nov/2026:08:23:33.728] 10");
	assert_text(l.parser.rec.extra[0], "2026-11-21T08:23:33Z");
	lines_free(&l);
}

/* ---- framing --------------------------------------------------------------------------------- */

/* Cut a whole stream into frames, `max` at a time; their texts, each in brackets. */
static const char *cut(const char *p, size_t len, enum framing framing, uint32_t max)
{
	static char out[4096];
	struct frame f[8];
	struct block b = { .len = len, .framing = framing };
	size_t at = 0, n = 0;
	uint32_t got;
	char *base;

	b.p = lines_padded(p, len, &base);
	out[0] = '\0';
	while ((got = frame_cut(&b, &at, f, max)) != 0) {
		assert_true(got <= max);
		for (uint32_t i = 0; i < got; i++)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "[%.*s]", (int)f[i].raw.len,
					      f[i].raw.p);
	}
	assert_int_equal(at, len);
	free(base);
	return out;
}

static void lines_are_cut_at_every_newline(void **state)
{
	static const struct {
		const char *stream, *frames;
	} t[] = {
		{ "", "" },
		{ "a\n", "[a]" },
		{ "a\nb\n", "[a][b]" },
		{ "a\nb", "[a][b]" },
		{ "a\r\nb\r\n", "[a\r][b\r]" },
		{ "\n\na\n\n", "[][][a][]" },
		{ "12 <a\n", "[12 <a]" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++)
		for (uint32_t max = 1; max < 4; max++)
			assert_string_equal(
				cut(t[i].stream, strlen(t[i].stream), FRAMING_LINES, max),
				t[i].frames);
}

static void counted_messages_are_cut_by_their_counts(void **state)
{
	static const struct {
		const char *stream, *frames;
	} t[] = {
		{ "4 <6>a", "[<6>a]" },
		{ "4 <6>a5 <6>bc", "[<6>a][<6>bc]" },
		{ "9 <6>a\nb\r\nc4 <6>d", "[<6>a\nb\r\nc][<6>d]" },
		{ "3 <6>3 <7>", "[<6>][<7>]" },
		/* the stream has lost its way: what comes up to the next newline is one message */
		{ "4 <6>ajunk\n4 <6>b", "[<6>a][junk\n][<6>b]" },
		/* the last one is cut short */
		{ "4 <6>a9 <6>b", "[<6>a][<6>b]" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++)
		for (uint32_t max = 1; max < 4; max++)
			assert_string_equal(
				cut(t[i].stream, strlen(t[i].stream), FRAMING_COUNTED, max),
				t[i].frames);
}

static void framing_is_told_by_the_first_bytes(void **state)
{
	static const struct {
		const char *stream;
		bool last;
		enum framing framing;
		size_t whole;
	} t[] = {
		{ "", false, FRAMING_UNKNOWN, 0 },
		{ "312", false, FRAMING_UNKNOWN, 0 },
		{ "312 <13", false, FRAMING_UNKNOWN, 0 },
		{ "312 <134", false, FRAMING_COUNTED, 0 },
		{ "4 <6>a5 <6>b", false, FRAMING_COUNTED, 6 },
		{ "4 <6>a", true, FRAMING_COUNTED, 6 },
		{ "<134>Nov 21", false, FRAMING_LINES, 0 },
		{ "<134>Nov\n21", false, FRAMING_LINES, 9 },
		{ "127.0.0.1:1 [x]\nabc", false, FRAMING_LINES, 16 },
		{ "12 monkeys\n", false, FRAMING_LINES, 11 },
		{ "012 <6>abcdefgh", false, FRAMING_LINES, 0 },
		{ "9999999 <6>abc", false, FRAMING_LINES, 0 },
		{ "a\n", false, FRAMING_LINES, 2 },
		{ "a", true, FRAMING_LINES, 1 },
		{ "7 <", true, FRAMING_COUNTED, 3 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		enum framing framing = FRAMING_UNKNOWN;
		size_t whole =
			frame_boundary(t[i].stream, strlen(t[i].stream), t[i].last, &framing);

		if (framing != t[i].framing || whole != t[i].whole)
			fail_msg("%s: framing %d, whole %zu", t[i].stream, (int)framing, whole);
	}
}

/* Wherever a read ends, the frames are the same. */
static void a_stream_may_be_torn_anywhere(void **state)
{
	static const struct {
		const char *stream, *frames;
	} t[] = {
		{ "first line\nsecond\n\nlast one\n", "[first line][second][][last one]" },
		{ "9 <6>first\n4 <6>x17 <134>a\nlonger one3 <6>", "[<6>first\n][<6>x][<134>"
								  "a\nlonger one][<6>]" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		const char *p = t[i].stream;
		size_t len = strlen(p);

		for (size_t split = 0; split <= len; split++) {
			enum framing framing = FRAMING_UNKNOWN;
			size_t head = frame_boundary(p, split, false, &framing);
			char both[256];

			assert_true(head <= split);
			assert_int_equal(frame_boundary(p + head, len - head, true, &framing),
					 len - head);
			snprintf(both, sizeof(both), "%s", cut(p, head, framing, 8));
			snprintf(both + strlen(both), sizeof(both) - strlen(both), "%s",
				 cut(p + head, len - head, framing, 8));
			assert_string_equal(both, t[i].frames);
		}
	}
}

static void a_nul_inside_a_line_is_a_byte_like_any_other(void **state)
{
	static const char stream[] = "a\0b\nc\0\n";
	struct frame f[4];
	struct block b = { .len = sizeof(stream) - 1, .framing = FRAMING_LINES };
	size_t at = 0;
	char *base;

	(void)state;
	b.p = lines_padded(stream, b.len, &base);
	assert_int_equal(frame_cut(&b, &at, f, 4), 2);
	assert_int_equal(f[0].raw.len, 3);
	assert_memory_equal(f[0].raw.p, "a\0b", 3);
	assert_int_equal(f[1].raw.len, 2);
	envelope_peel(&f[0]);
	assert_int_equal(f[0].msg.len, 3);
	envelope_peel(&f[1]);
	assert_text(f[1].msg, "c");
	free(base);
}

/* ---- over-long lines ------------------------------------------------------------------------- */

static void a_line_is_over_long_above_the_limit_and_not_at_it(void **state)
{
	struct block b = { .framing = FRAMING_LINES };
	struct frame f[3];

	(void)state;
	for (size_t n = LINE_MAX_BYTES - 1; n <= LINE_MAX_BYTES + 1; n++) {
		char *text = malloc(n + 3), *base;
		size_t at = 0;

		assert_non_null(text);
		memset(text, 'x', n);
		memcpy(text + n, "\ny\n", 3);
		b.len = n + 3;
		b.p = lines_padded(text, b.len, &base);
		assert_int_equal(frame_cut(&b, &at, f, 3), 2);
		assert_int_equal(f[0].raw.len, n);
		assert_int_equal(f[0].flags, n > LINE_MAX_BYTES ? FRAME_TORN : 0);
		assert_int_equal(f[1].flags, 0);
		free(base);
		free(text);
	}
}

/* Good line, one of `long_len` bytes, good line: through a file, in blocks. */
static void check_long_line(size_t long_len, bool final_newline)
{
	size_t size = 2 * sizeof(MSG) + long_len + 1 - !final_newline, at = 0, back = 0;
	char *text = malloc(size), *got = malloc(size), path[] = P_tmpdir "/haspan-test-XXXXXX";
	unsigned lines = 0, torn = 0, requests = 0;
	int fd = mkstemp(path);
	struct lines l;
	struct block b;
	struct err err = { 0 };
	struct source *source;

	assert_true(text && got && fd >= 0);
	memcpy(text, MSG "\n", sizeof(MSG));
	memset(text + sizeof(MSG), 'x', long_len);
	text[sizeof(MSG) + long_len] = '\n';
	memcpy(text + sizeof(MSG) + long_len + 1, MSG "\n", sizeof(MSG) - !final_newline);
	assert_int_equal(write(fd, text, size), size);
	close(fd);

	lines_simple(&l, "auto");
	block_alloc(&b);
	source = source_open(slice_str(path), &err);
	assert_non_null(source);
	while (source_fill(source, &b, &err) == FILL_BLOCK) {
		struct frame f;
		struct recent recent;

		memset(&recent, 0xff, sizeof(recent));
		at = 0;
		while (frame_cut(&b, &at, &f, 1)) {
			lines += !(f.flags & FRAME_CONTINUES);
			memcpy(got + back, f.raw.p, f.raw.len);
			back += f.raw.len;
			if (!(f.flags & FRAME_OPEN) && back < size)
				got[back++] = '\n';
			if (f.flags & FRAME_TORN) {
				torn += !(f.flags & FRAME_CONTINUES);
				f.msg = f.host = slice_of(f.raw.p, 0);
			} else {
				envelope_peel(&f);
			}
			requests += parse_frame(&l.parser, &f, &recent) == PARSED_REQUEST;
		}
	}
	source_close(source);
	assert_int_equal(err.code, EXIT_DONE);
	assert_int_equal(lines, 3);
	assert_int_equal(torn, long_len > LINE_MAX_BYTES);
	assert_int_equal(requests, 2);
	/* nothing is lost of what was not understood */
	assert_int_equal(back, size);
	assert_memory_equal(got, text, size);
	block_free(&b);
	lines_free(&l);
	remove(path);
	free(text);
	free(got);
}

static void an_over_long_line_is_one_rejected_line_in_pieces(void **state)
{
	static const size_t lengths[] = {
		100,
		LINE_MAX_BYTES,
		LINE_MAX_BYTES + 1,
		BLOCK_SIZE - sizeof(MSG) - 1,
		BLOCK_SIZE - sizeof(MSG),
		BLOCK_SIZE - 1,
		BLOCK_SIZE,
		BLOCK_SIZE + 1,
		2 * BLOCK_SIZE - sizeof(MSG),
		2 * BLOCK_SIZE,
		3 * BLOCK_SIZE + 17,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++)
		for (int newline = 0; newline < 2; newline++)
			check_long_line(lengths[i], newline);
}

/* ---- lines that are no traffic --------------------------------------------------------------- */

static void haproxys_own_notices_are_known(void **state)
{
	static const char *const notices[] = {
		"Server b/s2 is DOWN, reason: Layer4 connection problem, info: \"Connection "
		"refused\", check duration: "
		"0ms. 1 active and 1 backup servers left. Running on backup. 0 sessions active, 0 "
		"requeued, 0 remaining "
		"in queue.",
		"Server b/s2 is DOWN. 1 active and 1 backup servers left. 0 sessions active, 0 "
		"requeued, 0 remaining in "
		"queue.",
		"Server b/s2 is DOWN via b/s1. 1 active and 0 backup servers left.",
		"Backup Server b/s3 is UP, reason: Layer7 check passed, code: 200, check duration: "
		"3ms. 1 active and 1 "
		"backup servers online. 0 sessions requeued, 0 total in queue.",
		"Server b/s1 is UP, reason: Layer7 check passed, code: 200, check duration: 3ms. 2 "
		"active and 0 backup "
		"servers online. 0 sessions requeued, 0 total in queue.",
		"Server b/s1 is UP/READY (leaving forced maintenance).",
		"Server b/s1 is going DOWN for maintenance. 1 active and 0 backup servers left.",
		"Server b/s1 enters drain state. 1 active and 0 backup servers left.",
		"Server b/s1 is UP (leaving forced drain).",
		"Server b/s1 was DOWN and now enters maintenance (DNS resolution).",
		"Server b/s1 is stopping. 1 active and 0 backup servers left.",
		"Server b/s1 remains in forced maintenance mode.",
		"Server b/s1 remains in forced drain mode.",
		"b/s1 changed its FQDN from a.example to b.example by 'stats command'",
		"b/s1 changed its IP from 10.0.0.1 to 10.0.0.2 by DNS cache.",
		"Health check for server b/s1 succeeded, reason: Layer7 check passed, code: 200, "
		"check duration: 3ms, "
		"status: 1/1 UP.",
		"Health check for backup server b/s1 failed, reason: Layer4 timeout, check "
		"duration: 2000ms, status: "
		"0/2 DOWN.",
		"Health check for server b/s1 conditionally succeeded, reason: x, status: 1/1 UP.",
		"Agent check for server b/s1 failed, reason: Layer4 connection problem, status: "
		"0/1 DOWN.",
		"backend b has no server available!",
		"Proxy f stopped (cumulated conns: FE: 1, BE: 0).",
		"Proxy f stopped (FE: 1 conns, BE: 0 conns).",
		"Proxy f started.",
		"Stopping frontend f in 0 ms.",
		"Paused frontend f.",
		"Resumed frontend f.",
		"SPOE: [agent] <EVENT:on-frontend-http-request> sid=3 st=2 -1/-1/-1/-1/0 0/0 0/0 "
		"4/4",
		"SPOE: [agent] <EVENT:on-frontend-http-request> sid=3 st=0 12 0/7",
		"<OCSP-UPDATE> /etc/haproxy/a.pem 1 \"Update successful\" 0 1",
		"acme: foobar.pem.rsa: Starting update of the certificate.",
		"Blocking cacheable cookie in response from instance b, server s1.",
		"Connect() failed for backend b: can't connect to server s1.",
		"SIGHUP received, dumping servers states for proxy b.",
		"[NOTICE]   (1234) : haproxy version is 2.6.12-1+deb12u4",
		"[WARNING]  (1234) : Exiting Master process...",
		"[ALERT]    (1234) : Current worker (1236) exited with code 143 (Terminated)",
		"1 event dropped",
		"17 events dropped",
		"Connect from 192.0.2.1:40000 to 192.0.2.2:80 (fe/HTTP)",
		"Connect from 192.0.2.1:40000 to undetermined address:0 (fe/HTTP)",
		"Connect to unix:1 (fe/TCP)",
		"Connect from unknown source to listener 1 (fe/HTTP)",
	};
	static const char *const heads[] = {
		"",
		"<133>Nov 21 08:23:33 lb1 haproxy[1]: ",
		"2026-11-21T08:23:33.728523+00:00 ",
		"<133>1 2026-11-21T08:23:33.728523+00:00 - haproxy 1 - - ",
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "auto");
	for (size_t i = 0; i < COUNT(notices); i++) {
		if (!notice_match(slice_str(notices[i])))
			fail_msg("not known: %s", notices[i]);
		for (size_t h = 0; h < COUNT(heads); h++) {
			char line[1024];

			snprintf(line, sizeof(line), "%s%s", heads[h], notices[i]);
			if (lines_parse(&l, line) != PARSED_OTHER)
				fail_msg("not taken for a notice: %s", line);
		}
	}
	/* the length of this one counts its NUL */
	assert_int_equal(lines_parse_n(&l, "<133>17 events dropped\0", 23), PARSED_OTHER);
	lines_free(&l);
}

static void nothing_else_is_a_notice(void **state)
{
	static const char *const others[] = {
		"hello",
		"Server",
		"Server b/s1",
		"Server b is DOWN",
		"server b/s1 is DOWN",
		"Proxy f",
		"Health check",
		"backend b has no server available",
		"Connect from 192.0.2.1:40000",
		"1 events dropped!",
		"event dropped",
		"[NOTICE] 1234",
		"SPOE",
		"SPOE: agent",
		"acme",
		MSG " x y",
		"GET / HTTP/1.1",
		"192.0.2.1:1 [21/Nov/2026:08:23:33.728] fe/1:",
	};
	struct lines l;
	char long_one[4200];

	(void)state;
	lines_simple(&l, "auto");
	for (size_t i = 0; i < COUNT(others); i++) {
		if (notice_match(slice_str(others[i])))
			fail_msg("taken for a notice: %s", others[i]);
		if (lines_parse(&l, others[i]) != PARSED_REJECTED)
			fail_msg("taken: %s", others[i]);
	}
	assert_false(notice_match(slice_str(MSG)));
	assert_int_equal(lines_parse(&l, MSG), PARSED_REQUEST);
	/* an empty line is nobody's loss */
	assert_int_equal(lines_parse(&l, ""), PARSED_OTHER);
	assert_int_equal(lines_parse(&l, "<134>Nov 21 08:23:33 lb1 haproxy[1]: \r"), PARSED_OTHER);
	/* no notice is this long */
	memset(long_one, 'x', sizeof(long_one));
	memcpy(long_one, "acme: ", 6);
	assert_true(notice_match(slice_of(long_one, 4096)));
	assert_false(notice_match(slice_of(long_one, 4097)));
	lines_free(&l);
}

/* ---- lines that HAProxy cut ------------------------------------------------------------------ */

static void a_line_cut_at_the_length_limit_is_worth_what_is_left(void **state)
{
	static const char whole[] = "192.0.2.1:49686 [21/Nov/2026:08:15:44.900] fe be/app "
				    "0/0/0/21/21 200 68 - - ---- 1/1/0/0/0 0/0 {a|b} {3} "
				    "\"GET /some/path?q=1 HTTP/1.1\"";
	unsigned cut_lines = 0;
	struct lines l;

	(void)state;
	lines_simple(&l, "auto");
	l.formats.log_len = 79 + 128;
	for (size_t n = 1; n < sizeof(whole) - 1; n++) {
		enum parsed got = lines_parse_n(&l, whole, n);
		struct record *r = &l.parser.rec;

		if (whole[n - 1] == ' ')
			continue; /* peeled: the length before is the same line */
		/* a syslog header of up to 128 bytes counts towards the limit, and may be gone */
		assert_int_equal(got, n < 79 ? PARSED_REJECTED : PARSED_REQUEST);
		if (got != PARSED_REQUEST)
			continue;
		cut_lines++;
		rebuild(&l.rebuilder, r, &l.frame, &l.trace);
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "haspan.truncated"), "true");
		assert_int_equal(record_num(r, SLOT_Ta, 0), 21);
		assert_text(record_text(r, SLOT_ci), "192.0.2.1");
	}
	assert_true(cut_lines > 40);
	lines_request(&l, whole);
	assert_null(lines_attr(&l, ROLE_SERVER, "haspan.truncated"));
	/* what is left of the request is kept */
	assert_int_equal(lines_parse_n(&l, whole, strlen(whole) - 12), PARSED_REQUEST);
	rebuild(&l.rebuilder, &l.parser.rec, &l.frame, &l.trace);
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "url.path"), "/some/path");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "http.request.method"), "GET");
	lines_free(&l);
}

static void a_line_far_below_the_limit_was_not_cut(void **state)
{
	/* what is almost of a known format is of another one */
	static const char *const lines[] = { MSG "x", MSG " x", MSG " 0", MSG " 7F000001:0031" };
	struct lines l;

	(void)state;
	lines_simple(&l, "auto");
	assert_int_equal(lines_parse(&l, MSG), PARSED_REQUEST);
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_int_equal(lines_parse(&l, lines[i]), PARSED_REJECTED);
	/* before the timers there is nothing to draw, at whatever limit */
	l.formats.log_len = 0;
	for (size_t n = 1; n < 53; n++)
		assert_int_equal(lines_parse_n(&l, MSG, n), PARSED_REJECTED);
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bsd_headers_are_peeled),
		cmocka_unit_test(rfc5424_headers_are_peeled),
		cmocka_unit_test(the_frame_before_changes_nothing),
		cmocka_unit_test(haproxys_short_forms_are_peeled),
		cmocka_unit_test(what_is_no_envelope_is_the_message),
		cmocka_unit_test(a_host_that_cannot_be_one_is_none),
		cmocka_unit_test(trailing_blanks_cr_and_nul_are_no_message),
		cmocka_unit_test(a_bare_date_is_remembered_because_it_may_be_the_formats_own),
		cmocka_unit_test(lines_are_cut_at_every_newline),
		cmocka_unit_test(counted_messages_are_cut_by_their_counts),
		cmocka_unit_test(framing_is_told_by_the_first_bytes),
		cmocka_unit_test(a_stream_may_be_torn_anywhere),
		cmocka_unit_test(a_nul_inside_a_line_is_a_byte_like_any_other),
		cmocka_unit_test(a_line_is_over_long_above_the_limit_and_not_at_it),
		cmocka_unit_test(an_over_long_line_is_one_rejected_line_in_pieces),
		cmocka_unit_test(haproxys_own_notices_are_known),
		cmocka_unit_test(nothing_else_is_a_notice),
		cmocka_unit_test(a_line_cut_at_the_length_limit_is_worth_what_is_left),
		cmocka_unit_test(a_line_far_below_the_limit_was_not_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
