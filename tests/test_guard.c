/*
 * Nothing is read beyond the pads of a block, and nothing beyond the end of a string where no pad is promised:
 * real lines, every beginning of them, and broken ones, against a dead page. What lies in the pads does not matter.
 */
#include "core/copy.h"
#include "core/json.h"
#include "core/scan.h"
#include "export/export.h"
#include "guard.h"
#include "lines.h"
#include "reconstruct/context.h"

#define TEXT_MAX ((size_t)8192)

static struct guard guard;
static struct lines plain, named;

/* ---- inputs -------------------------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252;

/* xorshift64: the same numbers in every run. */
static size_t random_below(size_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % n);
}

/* Break `n` bytes of text in place: a byte changed, bytes taken out, a piece doubled. Returns the new length. */
static size_t mutate(char *p, size_t n)
{
	static const char liked[] = " \"{}|-+:/[]<>=,;%#\\\t\r\0\x7f\xff\xe2\x80\xa8 09afAF";
	size_t at = random_below(n), k = 1 + random_below(n - at);

	switch (random_below(4)) {
	case 0:
		p[at] = liked[random_below(sizeof(liked) - 1)];
		return n;
	case 1:
		p[at] = (char)random_below(256);
		return n;
	case 2:
		memmove(p + at, p + at + k, n - at - k);
		return n > k ? n - k : n;
	default:
		k = k < 40 ? k : 40;
		memmove(p + at + k, p + at, n - at);
		return n + k;
	}
}

typedef void (*attempt)(const char *p, size_t n);

/* Each line of the file whole, cut everywhere, and `times` times broken. */
static void with_seeds(const char *path, attempt try, int times)
{
	char line[TEXT_MAX], broken[TEXT_MAX];
	FILE *file = fopen(path, "r");

	if (!file)
		fail_msg("%s: run this from the top of the source", path);
	while (fgets(line, TEXT_MAX / 2, file)) {
		size_t n = strcspn(line, "\n"), len = n;

		for (size_t cut = 0; cut <= n; cut++)
			try(line, cut);
		memcpy(broken, line, n);
		for (int i = 0; i < times && n; i++) {
			if (i % 8 == 0 || len == 0 || len > TEXT_MAX / 2)
				memcpy(broken, line, len = n);
			try(broken, len = mutate(broken, len));
		}
	}
	fclose(file);
}

/* ---- lines --------------------------------------------------------------------------------------------- */

/* From envelope to wires; appends what came out. */
static void run_line(struct lines *l, const char *p, size_t n, struct buf *out)
{
	static const struct resource resource = { .version = { "0", 1 } };
	const struct encoder *encoders[] = { &encoder_protobuf, &encoder_json };
	struct recent recent;
	size_t mark;

	memset(&recent, 0xff, sizeof(recent));
	l->frame = (struct frame){ .raw = slice_of(p, n) };
	envelope_peel(&l->frame);
	buf_char(out, (char)parse_frame(&l->parser, &l->frame, &recent));
	if (out->p[out->len - 1] != PARSED_REQUEST)
		return;
	rebuild(&l->rebuilder, &l->parser.rec, &l->frame, &l->trace);
	for (size_t i = 0; i < COUNT(encoders); i++) {
		encoders[i]->open(out, &resource, l->frame.host, &mark);
		encoders[i]->trace(out, &l->parser.rec, &l->trace);
		encoders[i]->close(out, mark);
	}
}

static void try_line(const char *p, size_t n)
{
	static struct buf out[3] = { { .max = 1 << 24 }, { .max = 1 << 24 }, { .max = 1 << 24 } };

	for (int k = 0; k < 3; k++) {
		const char *at = k == 0 ? guard_end(&guard, p, n, BLOCK_PAD, '0') :
				 k == 1 ? guard_end(&guard, p, n, BLOCK_PAD, ' ') :
					  guard_start(&guard, p, n, BLOCK_PAD, '"');

		out[k].len = 0;
		run_line(&plain, at, n, &out[k]);
		run_line(&named, at, n, &out[k]);
	}
	for (int k = 1; k < 3; k++)
		if (!slice_eq(slice_of(out[0].p, out[0].len), slice_of(out[k].p, out[k].len)))
			fail_msg("the pads matter: %.*s", (int)n, p);
}

static void lines_stay_within_the_pads(void **state)
{
	(void)state;
	with_seeds("tests/fuzz/seeds/lines.log", try_line, 400);
	with_seeds("tests/fuzz/seeds/envelopes.log", try_line, 400);
	with_seeds("tests/fuzz/seeds/objects.log", try_line, 400);
	with_seeds("tests/fuzz/seeds/cbor.log", try_line, 400);
}

/* ---- frames -------------------------------------------------------------------------------------------- */

static void try_frames(const char *p, size_t n)
{
	for (int framing = FRAMING_UNKNOWN; framing <= FRAMING_COUNTED; framing++)
		for (int last = 0; last < 2; last++) {
			struct block b = { .p = guard_end(&guard, p, n, 0, '0'), .framing = (enum framing)framing };
			struct frame frames[4];
			size_t at = 0;

			b.len = frame_boundary(b.p, n, last, &b.framing);
			assert_true(b.len <= n);
			while (frame_cut(&b, &at, frames, 4))
				;
			assert_int_equal(at, b.len);
		}
}

static void frames_need_no_pad(void **state)
{
	static char text[TEXT_MAX / 2];
	FILE *file = fopen("tests/fuzz/seeds/counted.log", "r");
	size_t n;

	(void)state;
	assert_non_null(file);
	n = fread(text, 1, sizeof(text), file);
	fclose(file);
	for (size_t cut = 0; cut <= n; cut++)
		try_frames(text, cut);
	with_seeds("tests/fuzz/seeds/lines.log", try_frames, 20);
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static void try_context(const char *p, size_t n)
{
	struct slice s = slice_of(guard_end(&guard, p, n, 0, '0'), n), whole = s, state = { NULL, 0 };
	struct slice trace = slice_cut(&whole, '-'), span = slice_cut(&whole, '-');
	char *scratch = malloc(n + 1);
	struct context c;

	(void)context_traceparent(s, &c);
	(void)context_b3(s, &c);
	(void)context_jaeger(s, &c);
	(void)context_xray(s, &c);
	(void)context_b3_multi(trace, span, s, s, &c);
	if (context_tracestate(s, scratch, &state))
		assert_true(state.len <= n);
	free(scratch);
}

static void trace_headers_need_no_pad(void **state)
{
	(void)state;
	with_seeds("tests/fuzz/seeds/traceparent.txt", try_context, 400);
	with_seeds("tests/fuzz/seeds/tracestate.txt", try_context, 400);
}

/* ---- strings ------------------------------------------------------------------------------------------- */

static void try_text(const char *p, size_t n)
{
	static struct buf out = { .max = 1 << 20 }, from_start = { .max = 1 << 20 };
	static char clean[3 * TEXT_MAX];
	struct slice s = slice_of(guard_end(&guard, p, n, 0, '"'), n);
	size_t len;

	out.len = from_start.len = 0;
	(void)text_valid(s);
	(void)scan_dirt(s.p, s.p + s.len);
	assert_true(json_plain(s) <= n);
	json_escape(&out, s);
	len = text_clean(s, true, true, clean);
	assert_true(text_valid(slice_of(clean, len)));
	json_escape(&from_start, slice_of(guard_start(&guard, p, n, 0, 'x'), n));
	assert_true(slice_eq(slice_of(out.p, out.len), slice_of(from_start.p, from_start.len)));
}

static void strings_need_no_pad(void **state)
{
	(void)state;
	with_seeds("tests/fuzz/seeds/text.txt", try_text, 400);
	with_seeds("tests/fuzz/seeds/lines.log", try_text, 40);
}

/* copy_short reads behind a string only within its page, and writes at most 32 bytes behind the copy. */
static void short_copies_do_not_cross_into_a_dead_page(void **state)
{
	struct guard to = guard_new(4096);
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i + 1);
	for (size_t n = 0; n <= sizeof(text); n++)
		for (size_t pad = 0; pad < 70; pad++) {
			const char *p = guard_end(&guard, text, n, pad, '~');
			char *out = to.p + to.size - n - 32;

			assert_ptr_equal(copy_short(out, p, n), out + n);
			assert_true(n == 0 || memcmp(out, text, n) == 0);
		}
	assert_ptr_equal(copy_short(to.p, NULL, 0), to.p);
	guard_free(&to);
}

/* ---- scans --------------------------------------------------------------------------------------------- */

/* The wide scans read at most 15 bytes behind the end, and see nothing there. */
static void wide_scans_stay_within_fifteen_bytes(void **state)
{
	char text[100];

	(void)state;
	for (size_t n = 0; n <= 80; n++)
		for (size_t hit = 0; hit <= n; hit++) {
			const char *p, *end;

			memset(text, '.', sizeof(text));
			text[hit] = '|';
			p = guard_end(&guard, text, n, 15, '|');
			end = p + n;
			assert_ptr_equal(scan_byte(p, end, '|'), p + hit);
			assert_ptr_equal(scan_either(p, end, '#', '|'), p + hit);
			assert_int_equal(scan_dirt(p, end), 0);
		}
}

/* A number of up to 7 digits in 8 readable bytes. */
static void numbers_need_eight_bytes(void **state)
{
	char text[16];
	unsigned digits;

	(void)state;
	for (unsigned long n = 1; n < 100000000; n = n * 3 + 1) {
		size_t len = (size_t)snprintf(text, sizeof(text), "%lu", n);
		uint64_t got = scan_number(guard_end(&guard, text, len, 8 - len, ' '), &digits);

		assert_int_equal(digits, len < 8 ? len : 0);
		assert_int_equal(got, len < 8 ? n : 0);
	}
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

#define PATTERN "re:(?<ci>\\S+) (?<tr>\\S+) (?<TR>\\S+)/(?<Tw>\\S+)/(?<Tc>\\S+)/(?<Tr>\\S+)/(?<Ta>\\S+) (?<ST>\\d+) " \
		"(?<rest>.*)"
#define KV "id=%{+Q}ID tid=%[var(txn.tid)] sid=%[var(txn.sid)] in=%{+Q}[var(txn.tpin)] c=%ci:%cp t=[%tr] " \
	   "at=%[accept_date(us)] fe=%f be=%b srv=%s addr=%si:%sp Th=%Th Ti=%Ti TR=%TR Tw=%Tw Tc=%Tc Tr=%Tr Td=%Td " \
	   "Ta=%Ta Tt=%Tt st=%ST up=%U down=%B ts=%tsc rc=%rc sq=%sq bq=%bq m=%HM p=%{+Q}HP q=%{+Q}HQ v=%HV"
#define HEX "%{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid %{-X}Ta"

#define JSON "%{+json}o %(step)OG %(ci)ci %(cp)cp %(at:sint)[accept_date(us)] %(Ta)Ta %(hrl)hrl %(path)HP %(x)[var(txn.x)]"
#define CBOR "%{+cbor}o %(t)tr %(Ta)Ta %(Tr)Tr %(f)f %(HU)HU %(hrl)hrl %(ST)ST %(ID)ID %(ok:bool)[ssl_fc] %(bin)[rand]"

static int setup(void **state)
{
	(void)state;
	guard = guard_new(2 * TEXT_MAX);
	lines_init(&plain);
	lines_init(&named);
	lines_captures(&named, CAPTURE_REQUEST, "traceparent,tracestate,host");
	lines_captures(&named, CAPTURE_RESPONSE, "content-length");
	lines_map(&named, "var(txn.tid)", "trace_id");
	for (int k = 0; k < 2; k++) {
		struct lines *l = k ? &named : &plain;

		lines_format(l, "auto");
		lines_format(l, KV);
		lines_format(l, HEX);
		lines_format(l, PATTERN);
		lines_format(l, JSON);
		lines_format(l, CBOR);
		lines_start(l, "UTC");
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lines_free(&plain);
	lines_free(&named);
	guard_free(&guard);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_stay_within_the_pads),
		cmocka_unit_test(frames_need_no_pad),
		cmocka_unit_test(trace_headers_need_no_pad),
		cmocka_unit_test(strings_need_no_pad),
		cmocka_unit_test(short_copies_do_not_cross_into_a_dead_page),
		cmocka_unit_test(wide_scans_stay_within_fifteen_bytes),
		cmocka_unit_test(numbers_need_eight_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
