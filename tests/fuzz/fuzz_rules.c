/*
 * Rules files: any text, and when it is one, its verdicts about a line, by two workers. A byte picks how many lines there are.
 * A refusal has a place within its line. All outputs are made of what was found: valid UTF-8 without control characters.
 */
#include "fuzz.h"
#include "tree.h"

#include "core/term.h"
#include "export/tree.h"
#include "report/rules.h"

static const char usual[] = "10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe~ api/s1 5/3/2/250/300 503 1234 - - SH-- 9/8/7/6/+2 4/3 "
			    "{www.example.com|it's} {text/html} \"GET /api/orders?id=7&sig=x HTTP/1.1\"";
static struct arena arena;
static struct formats formats;
static struct tree tree;
static char *base;
static FILE *nowhere;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct slice request[] = { SLICE("host"), SLICE("x-note") }, response[] = { SLICE("content-type") };
	struct naming naming = { NULL, NULL, 0, request, response, 2, 1, 0 };
	struct err err = { 0 };
	struct recent recent;

	formats.arena = &arena;
	CHECK(formats_add(&formats, SLICE("auto"), &naming, &err));
	tree_init(&tree, &formats, 0);
	memset(&recent, 0xff, sizeof(recent));
	tree.frame = (struct frame){ .raw = fuzz_padded((const uint8_t *)usual, sizeof(usual) - 1, &base) };
	envelope_peel(&tree.frame);
	CHECK(parse_frame(&tree.parser, &tree.frame, &recent) == PARSED_REQUEST);
	rebuild(&tree.rebuilder, &tree.parser.rec, &tree.frame, &tree.trace);
	tree_setup(false, 80);
	nowhere = fopen("/dev/null", "w");
	return argc == NULL || argv == NULL || !nowhere;
}

/* What outputs rely on. */
static void is_inert(struct slice s)
{
	char *copy = s.len ? malloc(s.len) : NULL;

	if (!copy)
		return;
	memcpy(copy, s.p, s.len);
	term_mask(copy, s.len, "");
	CHECK(memcmp(copy, s.p, s.len) == 0);
	free(copy);
}

static void judge(struct ruleset *s, unsigned lines)
{
	struct run_counts run = { .lines = lines, .requests = lines };
	struct results r = { .version = "", .width = 80 };
	struct watcher *w = ruleset_watcher(s);
	void *part[2] = { w->ops->part(w), w->ops->part(w) };

	for (unsigned i = 0; i < lines; i++)
		w->ops->see(part[i % 2], &tree.parser.rec, &tree.trace);
	w->ops->join(w, part[1]);
	w->ops->join(w, part[0]);
	ruleset_judge(s, &run, &r);
	CHECK(r.n >= r.rules && r.passed == (r.broken == 0));
	for (uint32_t i = 0; i < r.n; i++) {
		const struct result *v = &r.v[i];

		CHECK(v->why.len && v->violating <= v->seen + 1);
		CHECK(lines || v->verdict != RESULT_FAILED || v->measured);
		is_inert(v->name);
		is_inert(v->text);
		is_inert(v->group);
		is_inert(v->why);
	}
	report_people(nowhere, &r);
	report_json(nowhere, &r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned lines = fuzz_byte(&data, &size) % 4;
	struct expr_names names = { .format = formats.v, .nformats = formats.n };
	struct arena scratch = { 0 };
	struct ruleset *s = ruleset_new(&names, &scratch);
	struct slice text = arena_copy(&scratch, slice_of((const char *)data, size));
	struct err err = { 0 };

	if (ruleset_add(s, text, "rules", &err) && ruleset_close(s, 0, false, &err))
		judge(s, lines);
	else
		CHECK(err.code == EXIT_CONFIG && err.text[0] && err.caret <= strlen(err.quoted) && err.column <= size + 1);
	ruleset_free(s);
	arena_free(&scratch);
	return 0;
}
