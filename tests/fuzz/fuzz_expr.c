/*
 * Expressions: any text, and when it is one, its truth about a line. A byte picks the formats; then the expression, a
 * newline, the line. A refusal has a place within the text. The same request gets the same verdict twice, and `not (…)` the
 * other one.
 */
#include "fuzz.h"
#include "tree.h"

#include "core/pattern.h"
#include "reconstruct/expr.h"

static const char *const texts[] = { "auto", "%ci %tr %TR/%Tw/%Tc/%Tr/%Ta %ST %[var(txn.team)] %(shard:sint)[var(txn.shard)]" };
static const struct slice from[] = { SLICE("var(txn.team)") }, to[] = { SLICE("team.name") };
static const struct slice request[] = { SLICE("host"), SLICE("x-note") }, response[] = { SLICE("content-type") };
static const char usual[] = "10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe~ api/s1 5/3/2/250/300 503 1234 - - SH-- 9/8/7/6/+2 4/3 "
			    "{www.example.com|it's} {text/html} \"GET /api/orders?id=7&sig=x HTTP/1.1\"";

enum { RUNS = 2 };
static struct arena arena;
static struct formats formats[RUNS];
static struct tree trees[RUNS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct naming naming = { from, to, 1, request, response, 2, 1, 0 };
	struct err err = { 0 };

	for (int i = 0; i < RUNS; i++) {
		formats[i].arena = &arena;
		CHECK(i == 0 || formats_add(&formats[i], slice_str(texts[1]), &naming, &err));
		CHECK(formats_add(&formats[i], slice_str(texts[0]), &naming, &err));
		tree_init(&trees[i], &formats[i], 0);
	}
	return argc == NULL || argv == NULL;
}

/* NULL: refused, at a place. */
static const struct expr *compile(struct slice text, const struct formats *f, uint32_t *nmemos, struct arena *to_arena)
{
	struct expr_names names = { .format = f->v, .nformats = f->n };
	struct err err = { 0 };
	const struct expr *e = expr_compile(text, &names, nmemos, to_arena, &err);

	CHECK(!e == (err.code != EXIT_DONE));
	CHECK(e || (err.text[0] && err.column <= text.len + 1));
	CHECK(*nmemos <= 2 * EXPR_TESTS_MAX);
	return e;
}

/* The opposite of `text`; NULL: there is no room for that. */
static const struct expr *opposite(struct slice text, const struct formats *f, uint32_t *nmemos, struct arena *to_arena)
{
	struct expr_names names = { .format = f->v, .nformats = f->n };
	struct buf b = { .max = 8192 };
	struct err err = { 0 };
	const struct expr *e;

	buf_lit(&b, "not (");
	buf_slice(&b, text);
	buf_lit(&b, ")");
	e = expr_compile(arena_copy(to_arena, slice_of(b.p, b.len)), &names, nmemos, to_arena, &err);
	CHECK(e || strstr(err.text, "too many"));
	buf_free(&b);
	return e;
}

static void verdicts(const struct tree *x, const struct expr *e, const struct expr *other)
{
	struct expr_memo memo[4 * EXPR_TESTS_MAX] = { 0 };
	uint64_t stopped = pattern_stopped();
	bool once = expr_true(e, &x->parser.rec, &x->trace, memo), not_so;

	CHECK(expr_true(e, &x->parser.rec, &x->trace, memo) == once);
	not_so = !other || expr_true(other, &x->parser.rec, &x->trace, memo) != once;
	CHECK(not_so || pattern_stopped() != stopped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int run = fuzz_byte(&data, &size) % RUNS;
	struct slice line = slice_of((const char *)data, size), text = slice_cut(&line, '\n');
	struct arena scratch = { 0 };
	struct tree *x = &trees[run];
	const struct expr *e, *other;
	uint32_t nmemos = 0;
	struct recent recent;
	char *base;

	memset(&recent, 0xff, sizeof(recent));
	e = compile(text, &formats[run], &nmemos, &scratch);
	if (!line.p)
		line = slice_str(usual);
	line = fuzz_padded((const uint8_t *)line.p, line.len, &base);
	x->frame = (struct frame){ .raw = line };
	envelope_peel(&x->frame);
	if (e && parse_frame(&x->parser, &x->frame, &recent) == PARSED_REQUEST) {
		rebuild(&x->rebuilder, &x->parser.rec, &x->frame, &x->trace);
		other = opposite(text, &formats[run], &nmemos, &scratch);
		verdicts(x, e, other);
	}
	free(base);
	arena_free(&scratch);
	return 0;
}
