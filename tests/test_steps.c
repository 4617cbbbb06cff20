/*
 * Steps whose formats say which they are, as those of a haproxy.cfg's log-profile: no %OG in the lines. And what a
 * line is: a step, a request of its own, neither.
 */
#include "lines.h"

#include "reconstruct/steps.h"

static struct lines l;
static struct merge m;
static struct joined r;
static char bytes[PARTS_MAX][1024];

/* The formats of `texts` become the steps of one profile. */
static void profile(const char *const *texts, const enum step *steps, size_t n)
{
	struct format *whole;

	lines_init(&l);
	whole = arena_alloc(&l.arena, sizeof(*whole));
	whole->mode = MODE_HTTP;
	whole->every[0] = whole->every[1] = UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		struct format *f;

		lines_format(&l, texts[i]);
		f = l.formats.v[i];
		f->step = (uint8_t)steps[i];
		f->whole = whole;
		for (int k = 0; k < 2; k++) {
			whole->slots[k] |= f->slots[k];
			whole->every[k] &= f->slots[k];
		}
	}
	plan_make(whole, &l.arena);
	lines_start(&l, "UTC");
	merge_init(&m);
	r.n = r.dropped = 0;
	r.reason = REASON_NONE;
}

/* A line of the request in `r`. */
static const struct part *add(const char *line)
{
	struct part *p = &r.part[r.n];

	assert_int_equal(lines_parse(&l, line), PARSED_REQUEST);
	assert_true(steps_possible(l.parser.rec.format));
	assert_int_equal(step_line(&l.parser.rec, &l.frame, p), STEP_LINE_PART);
	memset(bytes[r.n], 0, sizeof(bytes[r.n]));
	memcpy(bytes[r.n] + BLOCK_PAD, l.parser.rec.msg.p, p->len);
	if (p->host_len)
		memcpy(bytes[r.n] + BLOCK_PAD + p->len, l.frame.host.p, p->host_len);
	r.bytes[r.n] = bytes[r.n] + BLOCK_PAD;
	return &r.part[r.n++];
}

static void rebuild_all(void)
{
	merge_begin(&m, &r);
	for (uint32_t k = 0; k < m.n; k++) {
		struct frame f = { .zone_min = ZONE_UNKNOWN };
		struct recent recent;

		memset(&recent, 0xff, sizeof(recent));
		f.msg = f.raw = f.line = slice_of(r.bytes[m.order[k]], r.part[m.order[k]].len);
		assert_int_equal(parse_frame(&l.parser, &f, &recent), PARSED_REQUEST);
		merge_add(&m, m.order[k], &l.parser.rec);
	}
	merge_finish(&m);
	l.rebuilder.moments = &m.moments;
	rebuild(&l.rebuilder, &m.rec, &m.frame, &l.trace);
	l.rebuilder.moments = NULL;
	merge_events(&m, &l.trace);
	l.parser.rec = m.rec;
}

static void end(void)
{
	merge_free(&m);
	lines_free(&l);
}

static void steps_of_a_profile_need_no_origin(void **state)
{
	static const char *const texts[] = {
		"A %ID %f %ci:%cp [%tr] %[date(0,us)]",
		"R %ID %f %HM %HU [%tr] %[date(0,us)]",
		"C %ID %f %Ta %b/%s %TR/%Tw/%Tc %ST %ts %[date(0,us)] [%tr]",
	};
	static const enum step steps[] = { STEP_ACCEPT, STEP_REQUEST, STEP_CLOSE };
	static const char *const lines[] = {
		"<134>1 2026-11-21T08:15:48.6+00:00 lb1 haproxy 1 - - A X1 web 192.0.2.1:80 [21/Nov/2026:08:15:48.500] 1795248948500200",
		"<134>1 2026-11-21T08:15:48.6+00:00 lb1 haproxy 1 - - R X1 web GET /a?b [21/Nov/2026:08:15:48.500] 1795248948500700",
		"<134>1 2026-11-21T08:15:48.6+00:00 lb1 haproxy 1 - - C X1 web 30 be/s1 0/0/1 200 -- 1795248948530400 [21/Nov/2026:08:15:48.500]",
	};
	static const int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 2, 0 }, { 2, 0, 1 } };
	uint64_t id = 0;

	(void)state;
	for (size_t k = 0; k < COUNT(orders); k++) {
		profile(texts, steps, COUNT(texts));
		for (int i = 0; i < 3; i++)
			assert_int_equal(add(lines[orders[k][i]])->step, steps[orders[k][i]]);
		rebuild_all();
		assert_int_equal(l.trace.span[0].start_ns, INT64_C(1795248948500000000));
		assert_int_equal(l.trace.span[0].end_ns, INT64_C(1795248948530400000));
		assert_int_equal(lines_span(&l, ROLE_REQUEST)->end_ns, INT64_C(1795248948500700000));
		assert_int_equal(l.trace.nevents, 3);
		assert_text(l.trace.event[0].name, "haproxy.accept");
		assert_text(l.trace.event[2].name, "haproxy.close");
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "url.path"), "/a");
		assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.frontend.name"), "web");
		assert_null(lines_attr(&l, ROLE_SERVER, "haspan.incomplete"));
		/* SHA-256("X1|web"), as each of the formats has both. */
		assert_int_equal(l.trace.span[0].id, UINT64_C(0xea917be400c47be9));
		assert_true(!id || id == lines_span(&l, ROLE_CLIENT)->id);
		id = lines_span(&l, ROLE_CLIENT)->id;
		assert_text(m.frame.host, "lb1");
		end();
	}
	/* Without its end: it says why, also where no format has %OG. */
	profile(texts, steps, COUNT(texts));
	add(lines[0]);
	r.reason = REASON_MAX_AGE;
	rebuild_all();
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haspan.incomplete"), "max_age");
	assert_int_equal(l.trace.span[0].id, UINT64_C(0xea917be400c47be9));
	end();
}

static void two_tiers_with_one_unique_id_are_two_requests(void **state)
{
	static const char *const texts[] = { "A %ID %f [%tr] %[date(0,us)]", "C %ID %f %Ta [%tr] %ST" };
	static const char *const other[] = { "A %ID %f [%tr] %[date(0,us)]", "C %ID %Ta [%tr] %ST" };
	static const enum step steps[] = { STEP_ACCEPT, STEP_CLOSE };
	struct part outer;

	(void)state;
	profile(texts, steps, COUNT(texts));
	outer = *add("A X1 web [21/Nov/2026:08:15:48.500] 1795248948500200");
	assert_memory_not_equal(outer.key, add("A X1 inner [21/Nov/2026:08:15:48.500] 1795248948500200")->key, 16);
	assert_memory_equal(outer.key, add("C X1 web 30 [21/Nov/2026:08:15:48.500] 200")->key, 16);
	end();
	/* Where not every line names the frontend it can't tell them apart, but joins what belongs together. */
	profile(other, steps, COUNT(other));
	outer = *add("A X1 web [21/Nov/2026:08:15:48.500] 1795248948500200");
	assert_memory_equal(outer.key, add("C X1 30 [21/Nov/2026:08:15:48.500] 200")->key, 16);
	end();
}

static enum step_line kind(const char *format, const char *line)
{
	struct part p;
	enum step_line is;

	lines_simple(&l, format);
	assert_int_equal(lines_parse(&l, line), PARSED_REQUEST);
	is = steps_possible(l.parser.rec.format) ? step_line(&l.parser.rec, &l.frame, &p) : STEP_LINE_NONE;
	lines_free(&l);
	return is;
}

static void what_a_line_is(void **state)
{
	static const char f[] = "%OG id=%ID n=%rt/%pid [%tr] %Ta %ST";

	(void)state;
	assert_int_equal(kind("%ID [%tr] %Ta %ST", "X [21/Nov/2026:08:15:48.500] 3 200"), STEP_LINE_NONE);
	assert_int_equal(kind(f, "txn_accept id=X n=1/2 [21/Nov/2026:08:15:48.500] 0 -1"), STEP_LINE_PART);
	assert_int_equal(kind(f, "txn_accept id=- n=1/2 [21/Nov/2026:08:15:48.500] 0 -1"), STEP_LINE_PART);
	assert_int_equal(kind(f, "txn_accept id=- n=1/- [21/Nov/2026:08:15:48.500] 0 -1"), STEP_LINE_OTHER);
	assert_int_equal(kind(f, "tcp-req-conn id=- n=1/2 [21/Nov/2026:08:15:48.500] 0 -1"), STEP_LINE_OTHER);
	assert_int_equal(kind(f, "http-req id=- n=1/2 [21/Nov/2026:08:15:48.500] 0 -1"), STEP_LINE_PART);
	assert_int_equal(kind(f, "sess_error id=- n=1/2 [21/Nov/2026:08:15:48.500] 0 400"), STEP_LINE_PART);
	/* The end alone, of nobody: a request as any other. */
	assert_int_equal(kind(f, "txn_close id=- n=-/- [21/Nov/2026:08:15:48.500] 9 200"), STEP_LINE_NONE);
	/* A word that is no step is none. */
	assert_int_equal(kind(f, "unspec id=X n=1/2 [21/Nov/2026:08:15:48.500] 9 200"), STEP_LINE_NONE);
	/* logasap: the one line there will be. */
	assert_int_equal(kind(f, "txn_response id=- n=-/- [21/Nov/2026:08:15:48.500] +9 200"), STEP_LINE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_of_a_profile_need_no_origin),
		cmocka_unit_test(two_tiers_with_one_unique_id_are_two_requests),
		cmocka_unit_test(what_a_line_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
