/*
 * tests/lines.h - one line of log through haspan, for tests: formats, parser and rebuilder in one
 * struct, and words to look at what came out.
 *
 *	static struct lines l;
 *
 *	lines_init(&l);
 *	lines_captures(&l, CAPTURE_REQUEST, "traceparent,host");
 *	lines_format(&l, "httplog");
 *	lines_start(&l, "UTC");
 *	lines_request(&l, "127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe be/app …");
 *	…
 *	lines_free(&l);
 */
#ifndef TESTS_LINES_H
#define TESTS_LINES_H

#include "ingest/ingest.h"
#include "parse/parse.h"
#include "parse/program.h"
#include "reconstruct/reconstruct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define LINES_NAMES 16

struct lines {
	struct arena arena;
	struct naming naming;
	struct slice map_from[LINES_NAMES], map_to[LINES_NAMES];
	struct slice captures[CAPTURE_SIDES][CAPTURES_MAX];
	struct formats formats;
	struct rules rules;
	struct parser parser;
	struct rebuilder rebuilder;
	struct unwrapper unwrapper;
	struct frame frame;
	struct trace trace;
	bool sampled;	  /* what rebuild said of the last request */
	char *text;	  /* the last line, with its pads */
	struct slice msg; /* its message, as the frame has it */
};

/* ---- before the first line ------------------------------------------------------------------- */

static inline void lines_init(struct lines *l)
{
	struct err err = { 0 };

	*l = (struct lines){ .naming = { .nmap = 0 } };
	l->formats.arena = &l->arena;
	l->formats.log_len = 1024; /* as --log-len, when nobody says */
	l->naming.map_from = l->map_from;
	l->naming.map_to = l->map_to;
	l->naming.request = l->captures[CAPTURE_REQUEST];
	l->naming.response = l->captures[CAPTURE_RESPONSE];
	assert_true(
		propagators_parse(SLICE("tracecontext,b3,b3multi,jaeger,xray"), &l->rules, &err));
	assert_true(sampler_parse(SLICE("parentbased_always_on"), slice_of("", 0),
				  &l->rules.sampler, &err));
}

/* --map FROM=TO; both live as long as `l`. */
static inline void lines_map(struct lines *l, const char *from, const char *to)
{
	assert_true(l->naming.nmap < LINES_NAMES);
	l->map_from[l->naming.nmap] = slice_str(from);
	l->map_to[l->naming.nmap++] = slice_str(to);
}

/* --capture-request and --capture-response: names separated by commas. */
static inline void lines_captures(struct lines *l, int side, const char *names)
{
	struct slice rest = slice_str(names);
	uint32_t n = 0;

	while (rest.p)
		l->captures[side][n++] = slice_cut(&rest, ',');
	*(side == CAPTURE_REQUEST ? &l->naming.nrequest : &l->naming.nresponse) = n;
}

/* --format; false with `err` filled. */
static inline bool lines_try_format(struct lines *l, const char *text, struct err *err)
{
	*err = (struct err){ .code = EXIT_DONE };
	return formats_add(&l->formats, slice_str(text), &l->naming, err);
}

static inline void lines_format(struct lines *l, const char *text)
{
	struct err err;

	if (!lines_try_format(l, text, &err))
		fail_msg("%s: column %u: %s", text, err.column, err.text);
}

/* No more formats; the zone is as of --timezone. */
static inline void lines_start(struct lines *l, const char *zone)
{
	struct err err = { 0 };

	for (uint32_t i = 0; i < l->formats.n; i++)
		plan_make(l->formats.v[i], &l->arena);
	for (uint32_t i = 0; i < l->formats.nplanned; i++)
		plan_make(l->formats.planned[i], &l->arena);
	assert_true(zone_prepare(slice_str(zone), &err));
	parser_init(&l->parser, &l->formats);
	assert_true(rebuilder_init(&l->rebuilder, &l->rules, slice_str(zone), &err));
}

/* One format, UTC, nothing else. */
static inline void lines_simple(struct lines *l, const char *format)
{
	lines_init(l);
	lines_format(l, format);
	lines_start(l, "UTC");
}

static inline void lines_free(struct lines *l)
{
	if (l->parser.scratch) {
		parser_free(&l->parser);
		rebuilder_free(&l->rebuilder);
		parser_thread_free();
	}
	free(l->text);
	unwrapper_free(&l->unwrapper);
	arena_free(&l->arena);
	*l = (struct lines){ .text = NULL };
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* `n` bytes with the pads that a block has; free() what `*base` gets. */
static inline char *lines_padded(const char *p, size_t n, char **base)
{
	*base = malloc(n + 2 * BLOCK_PAD);
	assert_non_null(*base);
	memset(*base, 'x', n + 2 * BLOCK_PAD);
	if (n)
		memcpy(*base + BLOCK_PAD, p, n);
	return *base + BLOCK_PAD;
}

static inline enum parsed lines_parse_frame(struct lines *l)
{
	struct recent recent;

	if (!l->unwrapper.p)
		unwrapper_init(&l->unwrapper);
	unwrapper_reset(&l->unwrapper);
	record_peel(&l->unwrapper, &l->frame);
	l->msg = l->frame.msg;
	memset(&recent, 0xff, sizeof(recent));
	return parse_frame(&l->parser, &l->frame, &recent);
}

/* Peel and parse one line; the record is in l->parser.rec. */
static inline enum parsed lines_parse_n(struct lines *l, const char *line, size_t n)
{
	char *base;

	l->frame = (struct frame){ .raw = slice_of(lines_padded(line, n, &base), n) };
	free(l->text);
	l->text = base;
	return lines_parse_frame(l);
}

/* The same for a stream of one frame, whatever its framing. */
static inline enum parsed lines_parse_stream(struct lines *l, const char *text, size_t n)
{
	struct block b = { .framing = FRAMING_UNKNOWN };
	struct frame two[2];
	size_t at = 0;
	char *base;

	b.p = lines_padded(text, n, &base);
	free(l->text);
	l->text = base;
	b.len = frame_boundary(b.p, n, true, &b.framing);
	assert_int_equal(frame_cut(&b, &at, two, 2), 1);
	l->frame = two[0];
	return lines_parse_frame(l);
}

static inline enum parsed lines_parse(struct lines *l, const char *line)
{
	return lines_parse_n(l, line, strlen(line));
}

/* A line that must be a whole request, as far as the record. */
static inline struct record *lines_record(struct lines *l, const char *line)
{
	if (lines_parse(l, line) != PARSED_REQUEST)
		fail_msg("no request: %s", line);
	if (l->parser.rec.flags & RECORD_TRUNCATED)
		fail_msg("only a cut request: %s", line);
	return &l->parser.rec;
}

/* The same, rebuilt: its spans are in l->trace, whether it is sampled in l->sampled. */
static inline struct record *lines_request(struct lines *l, const char *line)
{
	struct record *r = lines_record(l, line);

	l->sampled = rebuild(&l->rebuilder, r, &l->frame, &l->trace) == VERDICT_KEPT;
	return r;
}

/* ---- looking --------------------------------------------------------------------------------- */

static inline const struct span *lines_span(const struct lines *l, enum span_role role)
{
	for (uint32_t i = 0; i < l->trace.n; i++)
		if (l->trace.span[i].role == role)
			return &l->trace.span[i];
	return NULL;
}

/* A slice as a string, for messages and for assert_string_equal; lives until the fourth next call.
 */
static inline const char *lines_text(struct slice s)
{
	static char ring[4][8192];
	static unsigned next;
	char *out = ring[next++ % 4];

	snprintf(out, sizeof(ring[0]), "%.*s", (int)s.len, s.len ? s.p : "");
	return out;
}

#define assert_text(s, wanted) assert_string_equal(lines_text(s), wanted)

/*
 * The attribute `key` of the span with this role as text, or NULL when the span has none: numbers
 * in decimal, booleans as true and false, lists as [a|b].
 */
static inline const char *lines_attr(const struct lines *l, enum span_role role, const char *key)
{
	static char ring[4][8192];
	static unsigned next;
	const struct record *r = &l->parser.rec;
	const struct plan *plan = r->format->plan;
	const struct attrs *rows = role == ROLE_CLIENT ? &plan->client :
				   l->trace.has_client ? &plan->server :
							 &plan->server_alone;
	char *out = ring[next++ % 4];
	union value v = { .num = 0 };
	size_t n = 0;

	for (uint32_t i = 0; i < rows->n; i++) {
		const struct attr *a = attrs_row(rows, i);

		for (uint32_t k = 0; a->from == FROM_PAIRS && (r->flags & RECORD_PAIRS) && k < r->npairs; k++)
			if (slice_eq(r->pair[k].key, slice_str(key))) {
				snprintf(out, sizeof(ring[0]), "%.*s", (int)r->pair[k].value.len, r->pair[k].value.p);
				return out;
			}
		if (!slice_eq(a->key, slice_str(key)) || !attr_value(a, r, &v))
			continue;
		switch ((enum attr_type)a->type) {
		case ATTR_INT:
		case ATTR_TIMER:
			snprintf(out, sizeof(ring[0]), "%lld", (long long)v.num);
			break;
		case ATTR_BOOL:
			snprintf(out, sizeof(ring[0]), "%s", v.num ? "true" : "false");
			break;
		case ATTR_LISTS:
			for (uint32_t k = 0; k < r->cap[a->index].n; k++) {
				struct slice s = r->cap[a->index].v[k];

				n += (size_t)snprintf(out + n, sizeof(ring[0]) - n, "%c%.*s",
						      k ? '|' : '[', (int)s.len, s.len ? s.p : "");
			}
			snprintf(out + n, sizeof(ring[0]) - n, "]");
			break;
		case ATTR_LIST:
			snprintf(out, sizeof(ring[0]), "[%.*s]", (int)v.text.len, v.text.p);
			break;
		default:
			snprintf(out, sizeof(ring[0]), "%.*s", (int)v.text.len, v.text.p);
			break;
		}
		return out;
	}
	return NULL;
}

#endif
