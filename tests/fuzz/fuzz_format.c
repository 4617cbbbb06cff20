/*
 * Formats: any text compiles or is refused with a place in it, and what compiled reads any line. Input: a byte
 * that picks --map and --capture-request, the format up to a newline, then the line.
 */
#include "fuzz.h"
#include "parse/program.h"
#include "tree.h"

static const struct slice from[] = { SLICE("var(txn.tid)"), SLICE("var(txn.sid)"), SLICE("a") };
static const struct slice to[] = { SLICE("trace_id"), SLICE("span_id"), SLICE("app.b-c") };
static const struct slice names[] = { SLICE("traceparent"), SLICE("Host"), SLICE("x-a"), SLICE("x-a") };

static struct formats set;
static struct tree tree;

/* Built-in names and files are not for a fuzzer to find: it gives texts and patterns. */
static bool compile(struct slice text, const struct naming *naming, struct err *err)
{
	struct format *f;

	if (slice_starts(text, SLICE("re:")) || slice_find(text, '%') < text.len)
		return formats_add(&set, text, naming, err);
	f = set.v[0] = arena_alloc(set.arena, sizeof(*f));
	set.n = program_compile(f, arena_copy(set.arena, text), naming, set.arena, err) && format_complete(f, err);
	set.norder = set.n;
	return set.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t choice = fuzz_byte(&data, &size);
	struct naming naming = { from, to, choice & 3, names, names + 1, choice >> 2 & 3, choice >> 4 & 3 };
	struct slice line, text;
	struct arena arena = { 0 };
	struct err err = { 0 };
	char *base;

	line = fuzz_padded(data, size, &base);
	text = slice_cut(&line, '\n');
	set.arena = &arena;
	set.n = set.norder = 0;
	if (compile(text, &naming, &err)) {
		const struct format *f = set.v[0];

		CHECK(err.code == EXIT_DONE && set.n == 1 && slice_eq(f->text, text) == !f->regex);
		CHECK(f->regex || (f->nprog > 1 && f->nprog <= INSNS_MAX + 1 && f->prog[f->nprog - 1].op == OP_END));
		for (uint32_t i = 0; !f->regex && i < f->nprog - 1; i++)
			CHECK(f->prog[i].op < OP_END && f->prog[i].column < text.len + 1);
		tree_init(&tree, &set, choice >> 6);
		tree_line(&tree, line.p ? line : slice_of(base + BLOCK_PAD, 0));
		tree_free(&tree);
	} else {
		CHECK(err.code == EXIT_CONFIG && err.text[0] && err.column <= text.len + 1);
		CHECK(err.caret <= strlen(err.quoted));
	}
	arena_free(&arena);
	free(base);
	return 0;
}
