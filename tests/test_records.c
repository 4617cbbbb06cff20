/*
 * What container runtimes, journald and log shippers put around a line: peeled off like an envelope,
 * whatever the place at which a block ends.
 */
#include "lines.h"

#include <unistd.h>

#define MSG                                                                                        \
	"127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - ---- "        \
	"1/1/0/0/0 0/0 \"GET /x HTTP/1.1\""
#define ESC                                                                                        \
	"127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - ---- "        \
	"1/1/0/0/0 0/0 \\\"GET /x HTTP/1.1\\\""

/* 2026-11-21T08:15:44.922103Z */
#define WHEN INT64_C(1795248944922103)

struct peeled {
	const char *raw, *msg, *host;
	int64_t time_us;
	int zone_min;
};

static void peel(struct unwrapper *u, const char *raw, size_t n, struct frame *f, char **base)
{
	*f = (struct frame){ .raw = slice_of(lines_padded(raw, n, base), n) };
	record_peel(u, f);
	assert_ptr_equal(f->raw.p, *base + BLOCK_PAD);
	assert_int_equal(f->raw.len, n);
}

static void check_peeled(const struct peeled *t, size_t n)
{
	struct unwrapper u;

	unwrapper_init(&u);
	for (size_t i = 0; i < n; i++) {
		struct frame f;
		char *base;

		unwrapper_reset(&u);
		peel(&u, t[i].raw, strlen(t[i].raw), &f, &base);
		if (strcmp(lines_text(f.msg), t[i].msg) != 0 ||
		    strcmp(lines_text(f.host), t[i].host) != 0)
			fail_msg("%s\n  message %s\n  host %s", t[i].raw, lines_text(f.msg),
				 lines_text(f.host));
		assert_int_equal(f.zone_min, t[i].zone_min);
		assert_int_equal(f.time_us, t[i].time_us);
		free(base);
	}
	unwrapper_free(&u);
}

/* ---- layouts --------------------------------------------------------------------------------- */

static void records_of_containers_are_peeled(void **state)
{
	static const struct peeled t[] = {
		{ "2026-11-21T08:15:44.922103456Z stdout F " MSG, MSG, "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stderr F " MSG, MSG, "", WHEN, 0 },
		{ "2026-11-21T09:15:44.922103456+01:00 stdout F " MSG, MSG, "", WHEN, 60 },
		{ "2026-11-21T08:15:44.922103456Z stdout P " MSG, MSG, "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stdout F:x:y " MSG, MSG, "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stdout F ", "", "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stdout F", "", "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stdout F <134>Nov 21 08:15:44 lb1 haproxy[1]: " MSG, MSG,
		  "lb1", WHEN, 0 },
		{ "{\"log\":\"" ESC "\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.922103456Z\"}", MSG, "",
		  WHEN, 0 },
		{ "{\"log\":\"" ESC
		  "\\n\",\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},\"time\":\"2026-11-21T08:15:44.922103456Z\"}",
		  MSG, "", WHEN, 0 },
		{ "{\"log\":\"\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.922103456Z\"}", "", "", WHEN,
		  0 },
		/* short and without its end of line: docker does not cut such a line, so it is one */
		{ "{\"log\":\"" ESC "\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.922103456Z\"}", MSG, "",
		  WHEN, 0 },
		/* no records */
		{ "2026-11-21T08:15:44.922103456Z stdout X " MSG, "stdout X " MSG, "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stdout FF " MSG, "stdout FF " MSG, "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stdnul F " MSG, "stdnul F " MSG, "", WHEN, 0 },
		{ "2026-11-21T08:15:44.922103456Z stdout", "stdout", "", WHEN, 0 },
	};

	(void)state;
	check_peeled(t, COUNT(t));
}

static void records_of_shippers_are_peeled(void **state)
{
	static const struct peeled t[] = {
		/* hosts */
		{ "{\"message\":\"" ESC "\",\"host\":\"lb1\"}", MSG, "lb1", 0, ZONE_UNKNOWN },
		{ "{\"host\":{\"name\":\"lb1\",\"ip\":[\"::1\"]},\"message\":\"" ESC "\"}", MSG, "lb1", 0,
		  ZONE_UNKNOWN },
		{ "{\"host\":{\"os\":{\"name\":\"x\"}},\"message\":\"" ESC "\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"x\":{\"name\":\"x\"},\"message\":\"" ESC "\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"host\":\"lb2\",\"_HOSTNAME\":\"lb1\",\"hostname\":\"lb3\",\"MESSAGE\":\"" ESC "\"}", MSG, "lb1", 0,
		  ZONE_UNKNOWN },
		{ "{\"host\":\"lb2\",\"message\":\"Nov 21 08:15:44 lb1 haproxy[1]: " ESC "\"}", MSG, "lb1", 0,
		  ZONE_UNKNOWN },
		{ "{\"host\":\"-\",\"message\":\"" ESC "\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"host\":\"a b\",\"message\":\"" ESC "\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"host\":\"\\u0061\",\"message\":\"" ESC "\"}", MSG, "", 0, ZONE_UNKNOWN },
		/* times */
		{ "{\"message\":\"" ESC "\",\"timestamp\":\"2026-11-21T08:15:44.922103Z\"}", MSG, "", WHEN, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"timestamp\":\"2026-11-21T08:15:44.922103+00:00\"}", MSG, "", WHEN, 0 },
		{ "{\"message\":\"" ESC "\",\"timestamp\":\"2026-11-21T09:15:44.922103+01:00\"}", MSG, "", WHEN, 60 },
		{ "{\"message\":\"" ESC "\",\"timestamp\":\"2026-11-21T08:15:44.922103-00:00\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"timestamp\":\"2026-11-21T08:15:44.922103Z x\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"stream\":\"stdout\",\"timestamp\":\"2026-11-21T08:15:44.922103Z\"}", MSG, "",
		  WHEN, 0 },
		{ "{\"message\":\"" ESC "\",\"date\":1795248944.922103}", MSG, "", WHEN, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":1795248944}", MSG, "", WHEN - 922103, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":1795248944922}", MSG, "", WHEN - 103, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":1795248944922103}", MSG, "", WHEN, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":\"1795248944922103456\"}", MSG, "", WHEN, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":17952489449221034567}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":-1}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":1.795e9}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"date\":null}", MSG, "", 0, ZONE_UNKNOWN },
		/* the envelope inside knows better */
		{ "{\"message\":\"<134>1 2026-11-21T08:15:44.922103+00:00 lb1 haproxy 1 - - " ESC
		  "\",\"host\":\"lb2\",\"timestamp\":\"2027-11-21T09:15:44.922103+01:00\"}",
		  MSG, "lb1", WHEN, 0 },
		/* which member */
		{ "{\"log\":\"no\",\"msg\":\"no\",\"message\":\"" ESC "\",\"MESSAGE\":\"no\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"log\":{\"file\":\"no\"},\"message\":\"\",\"msg\":\"" ESC "\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"" ESC "\",\"message\":\"no\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"event\":{\"original\":\"" ESC "\"}}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"line\":\"" ESC "\",\"labels\":{\"message\":\"no\"}}", MSG, "", 0, ZONE_UNKNOWN },
		/* bytes */
		{ "{\"MESSAGE\":[72,105,233]}", "Hi\xe9", "", 0, ZONE_UNKNOWN },
		{ "{\"MESSAGE\":[ 72 , 105 ]}", "Hi", "", 0, ZONE_UNKNOWN },
		/* ends */
		{ "{\"message\":\"" ESC "\\n\\r\\n\"}", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\" " ESC " \"} \r", MSG, "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"x\\\\n\"}", "x\\n", "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"x\\\\\\n\"}", "x\\", "", 0, ZONE_UNKNOWN },
		{ "{\"message\":\"\\n\"}", "", "", 0, ZONE_UNKNOWN },
	};

	(void)state;
	check_peeled(t, COUNT(t));
}

static void what_is_no_record_is_left_alone(void **state)
{
	static const char *const t[] = {
		"{", "{}", "{\"", "{\"message", "{\"message\"", "{\"message\":", "{\"message\":\"", "{\"message\":\"x",
		"{\"message\":\"x\"", "{\"message\":\"x\\", "{\"message\":\"x\"}x", "{\"message\":\"x\"}{}",
		"{\"message\":\"\"}", "{\"message\":1}", "{\"message\":null}", "{\"message\":{\"message\":\"x\"}}",
		"{\"message\":[]}", "{\"message\":[1", "{\"message\":[256]}", "{\"message\":[-1]}", "{\"message\":[1.5]}",
		"{\"message\":[\"a\"]}", "{\"message\":[1,[2]]}", "{\"a\":{\"message\":\"x\"}}", "{message:\"x\"}",
		"[\"message\"]", "{\"event\":\"x\"}", "{\"event\":{\"a\":{\"original\":\"x\"}}}", "{\"original\":\"x\"}",
	};
	struct unwrapper u;

	(void)state;
	unwrapper_init(&u);
	for (size_t i = 0; i < COUNT(t); i++) {
		struct frame f;
		char *base;

		peel(&u, t[i], strlen(t[i]), &f, &base);
		if (f.msg.p != f.raw.p || f.msg.len != f.raw.len || f.line.p != f.raw.p || f.whole.len || f.host.len ||
		    f.time_us || f.zone_min != ZONE_UNKNOWN)
			fail_msg("%s: %s", t[i], lines_text(f.msg));
		assert_int_equal(u.used, 0);
		free(base);
	}
	unwrapper_free(&u);
}

static void text_without_escapes_is_lent(void **state)
{
	static const struct {
		const char *raw;
		size_t used;
	} t[] = {
		{ "{\"message\":\"abc\"}", 0 },
		{ "{\"log\":\"abc\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44Z\"}", 0 },
		{ "2026-11-21T08:15:44.922103456Z stdout F a\\nb", 0 },
		{ "{\"message\":\"a\\tb\"}", 3 },
		{ "{\"message\":\"\\u0061\\n\"}", 1 },
		{ "{\"message\":[97,98]}", 2 },
	};
	struct unwrapper u;

	(void)state;
	unwrapper_init(&u);
	for (size_t i = 0; i < COUNT(t); i++) {
		struct frame f;
		char *base;
		bool lent;

		unwrapper_reset(&u);
		peel(&u, t[i].raw, strlen(t[i].raw), &f, &base);
		lent = f.msg.p > f.raw.p && f.msg.p < f.raw.p + f.raw.len;
		assert_int_equal(u.used, t[i].used);
		assert_int_equal(lent, t[i].used == 0);
		assert_true(lent || f.msg.p == u.p);
		free(base);
	}
	unwrapper_free(&u);
}

static void records_in_records_are_peeled_to_a_bound(void **state)
{
	char text[2048] = MSG, raw[4096];
	struct unwrapper u;

	(void)state;
	unwrapper_init(&u);
	for (int depth = 0; depth <= RECORD_DEPTH + 1; depth++) {
		struct frame f;
		char *base;
		size_t n = 0;

		unwrapper_reset(&u);
		peel(&u, text, strlen(text), &f, &base);
		if ((strcmp(lines_text(f.msg), MSG) == 0) != (depth <= RECORD_DEPTH))
			fail_msg("%d: %s", depth, lines_text(f.msg));
		assert_true(u.used <= strlen(text) * RECORD_DEPTH);
		free(base);
		n = (size_t)snprintf(raw, sizeof(raw), "{\"message\":\"");
		for (const char *p = text; *p; p++) {
			if (*p == '"' || *p == '\\')
				raw[n++] = '\\';
			raw[n++] = *p;
		}
		snprintf(raw + n, sizeof(raw) - n, "\"}");
		memcpy(text, raw, sizeof(text));
	}
	unwrapper_free(&u);
}

/* A block of nothing but escapes, three records deep, finds room, and nothing is written beyond it. */
static void the_room_is_large_enough_for_a_block(void **state)
{
	static const char record[] = "{\"log\":\"{\\\"log\\\":\\\"{\\\\\\\"log\\\\\\\":\\\\\\\"\\\\\\\\t\\\\\\\"}\\\"}\"}";
	struct block b;
	struct unwrapper u;
	struct frame f;
	size_t at = 0, lines = 0;

	(void)state;
	block_alloc(&b);
	unwrapper_init(&u);
	b.framing = FRAMING_LINES;
	for (; b.len + sizeof(record) <= BLOCK_SIZE; b.len += sizeof(record)) {
		memcpy(b.p + b.len, record, sizeof(record) - 1);
		b.p[b.len + sizeof(record) - 1] = '\n';
	}
	for (; frame_cut(&b, &at, &f, 1); lines++) {
		record_peel(&u, &f);
		assert_int_equal(f.line.len, 1);
		assert_int_equal(*f.line.p, '\t');
	}
	assert_int_equal(lines, b.len / sizeof(record));
	assert_true(u.used <= RECORD_ROOM);

	/* without room a record is left alone */
	u.used = RECORD_ROOM;
	at = 0;
	assert_int_equal(frame_cut(&b, &at, &f, 1), 1);
	record_peel(&u, &f);
	assert_ptr_equal(f.msg.p, f.raw.p);
	unwrapper_free(&u);
	block_free(&b);
}

/* ---- streams --------------------------------------------------------------------------------- */

struct stream {
	const char *text;
	size_t len;
	const char *raw[8]; /* of each frame */
	const char *msg[8];
};

#define STREAM(...) { __VA_ARGS__ }
#define TEXT(t) .text = t, .len = sizeof(t) - 1

#define P "2026-11-21T08:15:44.9Z stdout P "
#define F "2026-11-21T08:15:44.9Z stdout F "
#define E "2026-11-21T08:15:44.9Z stderr P "

static const struct stream streams[] = {
	STREAM(TEXT(P "ab\n" F "cd\n" F "ef\n"), { P "ab\n" F "cd", F "ef" }, { "abcd", "ef" }),
	STREAM(TEXT(F "x\n" P "a\n" P "b\n" P "c\n" F "d\n"), { F "x", P "a\n" P "b\n" P "c\n" F "d" }, { "x", "abcd" }),
	STREAM(TEXT(P "a\n" F "\n"), { P "a\n" F }, { "a" }),
	STREAM(TEXT(P "a\n" F "b"), { P "a\n" F "b" }, { "ab" }),
	/* not ended, or something between */
	STREAM(TEXT(P "a\n" P "b\n"), { P "a\n" P "b" }, { "ab" }),
	STREAM(TEXT(P "a\n" "x\n" F "b\n"), { P "a", "x", F "b" }, { "a", "x", "b" }),
	STREAM(TEXT(P "a\n" E "x\n" F "b\n"), { P "a", E "x", F "b" }, { "a", "x", "b" }),
	STREAM(TEXT(P "a\n" "\n" F "b\n"), { P "a", "", F "b" }, { "a", "", "b" }),
	/* journald */
	STREAM(TEXT("__CURSOR=1\nMESSAGE=a\n\n__CURSOR=2\nMESSAGE=b\n\n"),
	       { "__CURSOR=1\nMESSAGE=a\n", "__CURSOR=2\nMESSAGE=b\n" }, { "a", "b" }),
	STREAM(TEXT("__CURSOR=1\nMESSAGE=a\n\n\n\n__CURSOR=2\nMESSAGE=b"),
	       { "__CURSOR=1\nMESSAGE=a\n", "__CURSOR=2\nMESSAGE=b" },
	       { "a", "__CURSOR=2\nMESSAGE=b" }), /* cut within a field */
	STREAM(TEXT("__CURSOR=1\nMESSAGE=a\n\n__CURSOR=2\nMESSAGE=b\n"),
	       { "__CURSOR=1\nMESSAGE=a\n", "__CURSOR=2\nMESSAGE=b\n" }, { "a", "b" }),
	STREAM(TEXT("__CURSOR=1\nRAW\n\x03\0\0\0\0\0\0\0a\n\n\nMESSAGE\n\x02\0\0\0\0\0\0\0hi\n\n__CURSOR=2\nMESSAGE=b\n\n"),
	       { NULL, "__CURSOR=2\nMESSAGE=b\n" }, { "hi", "b" }),
	/* a length that cannot be: on with the next cursor */
	STREAM(TEXT("__CURSOR=1\nRAW\nno length at all\n\nMESSAGE=a\n\n__CURSOR=2\nMESSAGE=b\n\n"),
	       { "__CURSOR=1\nRAW\nno length at all\n\nMESSAGE=a\n", "__CURSOR=2\nMESSAGE=b\n" },
	       { "__CURSOR=1\nRAW\nno length at all\n\nMESSAGE=a", "b" }),
	STREAM(TEXT("__CURSOR=1\nRAW\n\x02\0\0\0\0\0\0\0abc\n\n__CURSOR=2\nMESSAGE=b\n\n"),
	       { NULL, "__CURSOR=2\nMESSAGE=b\n" }, { NULL, "b" }),
	/* a lie about the length, which may end in another record or behind all that was read */
	STREAM(TEXT("__CURSOR=1\nRAW\n\x30\0\0\0\0\0\0\0ab\n\n__CURSOR=2\nMESSAGE=b\n\n__CURSOR=3\nMESSAGE=c\n\n__CURSOR=4\nMESSAGE=d\n\n"),
	       { NULL, "__CURSOR=2\nMESSAGE=b\n", "__CURSOR=3\nMESSAGE=c\n", "__CURSOR=4\nMESSAGE=d\n" },
	       { NULL, "b", "c", "d" }),
	STREAM(TEXT("__CURSOR=1\n_HOSTNAME=x\n\n__CURSOR=2\nMESSAGE=b\n\n"),
	       { "__CURSOR=1\n_HOSTNAME=x\n", "__CURSOR=2\nMESSAGE=b\n" }, { "__CURSOR=1\n_HOSTNAME=x", "b" }),
};

/* Read the stream as two blocks of which the first got `first` bytes, and compare. */
static void check_stream(const struct stream *t, size_t first, struct unwrapper *u)
{
	enum framing framing = FRAMING_UNKNOWN;
	struct frame f[8];
	size_t from = 0;
	uint32_t n = 0;
	char *base, *p = lines_padded(t->text, t->len, &base);

	for (int last = 0; last < 2; last++) {
		struct block b = { .p = p + from };
		size_t at = 0;

		b.len = frame_boundary(b.p, last ? t->len - from : first, last, &framing);
		b.framing = framing;
		n += frame_cut(&b, &at, f + n, 8 - n);
		assert_int_equal(at, b.len);
		from += b.len;
	}
	unwrapper_reset(u);
	for (uint32_t i = 0; i < n; i++) {
		record_peel(u, &f[i]);
		if (t->raw[i] && strcmp(lines_text(f[i].raw), t->raw[i]) != 0)
			fail_msg("%s at %zu: frame %u: %s", t->text, first, i, lines_text(f[i].raw));
		if (t->msg[i] && strcmp(lines_text(f[i].msg), t->msg[i]) != 0)
			fail_msg("%s at %zu: message %u: %s", t->text, first, i, lines_text(f[i].msg));
	}
	assert_true(n == 8 || (!t->raw[n] && !t->msg[n]));
	assert_true(n && (t->raw[n - 1] || t->msg[n - 1]));
	free(base);
}

static void where_a_block_ends_does_not_matter(void **state)
{
	struct unwrapper u;

	(void)state;
	unwrapper_init(&u);
	for (size_t i = 0; i < COUNT(streams); i++)
		for (size_t first = 0; first <= streams[i].len; first++)
			check_stream(&streams[i], first, &u);
	unwrapper_free(&u);
}

/* A piece of `len` bytes, the rest of its line, and another line. */
static size_t docker_lines(char *to, size_t len)
{
	size_t n = (size_t)sprintf(to, "{\"log\":\"");

	memset(to + n, 'x', len);
	n += len;
	return n + (size_t)sprintf(to + n, "\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.922102Z\"}\n"
					   "{\"log\":\"a\\tb!\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.922103Z\"}\n"
					   "{\"log\":\"c\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T08:15:44.922104Z\"}\n");
}

/* A field's own end of line belongs to the record: what lies behind the bytes of the stream is not looked at. */
static void a_field_ends_within_its_record(void **state)
{
	static const char text[] = "__CURSOR=1\nMESSAGE\n\x02\0\0\0\0\0\0\0hi\n\n\n\n\n";
	const size_t whole = sizeof(text) - 5; /* up to the end of the field */
	struct unwrapper u;

	(void)state;
	unwrapper_init(&u);
	for (size_t len = 12; len <= whole; len++) {
		struct frame f = { .flags = FRAME_EXPORT };
		char *base;

		f.raw = slice_of(lines_padded(text, sizeof(text) - 1, &base), len);
		record_peel(&u, &f);
		assert_int_equal(f.msg.len == 2, len == whole);
		assert_true(f.msg.p + f.msg.len <= f.raw.p + len);
		free(base);
	}
	unwrapper_free(&u);
}

/* Docker cuts at 16 KiB, so a shorter record without an end of line is whole. */
static void docker_cuts_long_lines(void **state)
{
	static char text[4 * DOCKER_PIECE];
	struct unwrapper u;

	(void)state;
	unwrapper_init(&u);
	for (size_t len = DOCKER_PIECE - 1; len <= DOCKER_PIECE; len++)
		for (size_t cut = 0; cut < 2; cut++) {
			struct block b = { .p = text + BLOCK_PAD };
			struct frame f[3];
			size_t at = 0;
			uint32_t n;

			b.len = docker_lines(b.p, len);
			assert_int_equal(frame_boundary(b.p, b.len, false, &b.framing), b.len);
			/* the first piece alone is held back */
			if (cut) {
				char *lf = memchr(b.p, '\n', b.len);
				size_t whole = frame_boundary(b.p, (size_t)(lf + 1 - b.p), false, &b.framing);

				assert_int_equal(whole, len < DOCKER_PIECE ? (size_t)(lf + 1 - b.p) : 0);
			}
			n = frame_cut(&b, &at, f, 3);
			assert_int_equal(n, len < DOCKER_PIECE ? 3 : 2);
			unwrapper_reset(&u);
			record_peel(&u, &f[0]);
			assert_int_equal(f[0].msg.len, len < DOCKER_PIECE ? len : len + 4);
			assert_int_equal(f[0].time_us, len < DOCKER_PIECE ? WHEN - 1 : WHEN);
		}
	unwrapper_free(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_of_containers_are_peeled),
		cmocka_unit_test(records_of_shippers_are_peeled),
		cmocka_unit_test(what_is_no_record_is_left_alone),
		cmocka_unit_test(text_without_escapes_is_lent),
		cmocka_unit_test(records_in_records_are_peeled_to_a_bound),
		cmocka_unit_test(the_room_is_large_enough_for_a_block),
		cmocka_unit_test(where_a_block_ends_does_not_matter),
		cmocka_unit_test(a_field_ends_within_its_record),
		cmocka_unit_test(docker_cuts_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
