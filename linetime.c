#include "linetime.h"

#include "core/stop.h"
#include "reconstruct/steps.h"

#include <stdlib.h>

struct linetime {
	const struct config *c;
	struct formats formats;		/* the configuration's, in the order in which they were given */
	struct rules rules;
	struct parser parser;
	struct unwrapper unwrapper;
	struct rebuilder rebuilder;
	struct recent recent;
	struct trace trace;
	struct frame frames[FRAMES_MAX];
};

struct linetime *linetime_new(const struct config *c, struct err *err)
{
	struct linetime *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	t->c = c;
	t->formats = c->formats;
	t->rules.phases = PHASES_NONE;
	parser_init(&t->parser, &t->formats);
	unwrapper_init(&t->unwrapper);
	memset(&t->recent, 0xff, sizeof(t->recent));
	if (rebuilder_init(&t->rebuilder, &t->rules, c->timezone, err))
		return t;
	linetime_free(t);
	return NULL;
}

void linetime_free(struct linetime *t)
{
	if (!t)
		return;
	parser_free(&t->parser);
	unwrapper_free(&t->unwrapper);
	rebuilder_free(&t->rebuilder);
	free(t);
}

int64_t linetime_of(struct linetime *t, struct frame *f)
{
	struct part part;

	if (f->flags & FRAME_TORN)
		return 0;
	unwrapper_reset(&t->unwrapper);
	record_peel(&t->unwrapper, f);
	if (parse_frame(&t->parser, f, &t->recent) != PARSED_REQUEST)
		return 0;
	if (steps_possible(t->parser.rec.format))
		switch (step_line(&t->parser.rec, f, &part)) {
		case STEP_LINE_OTHER:
			return 0;
		case STEP_LINE_PART:
			if (part.moment_us)
				return part.moment_us;
			break;
		case STEP_LINE_NONE:
			break;
		}
	rebuild(&t->rebuilder, &t->parser.rec, f, &t->trace);
	/* Nothing but a duration: the line has no date. */
	return t->trace.span[0].start_ns ? (int64_t)(t->trace.span[0].end_ns / 1000) : 0;
}

int64_t linetime_first(struct linetime *t, const struct block *b)
{
	int64_t us;
	size_t at = 0;

	memset(&t->recent, 0xff, sizeof(t->recent));
	while (frame_cut(b, &at, t->frames, 1))
		if ((us = linetime_of(t, &t->frames[0])))
			return us;
	return 0;
}

int64_t linetime_last(struct linetime *t, const struct block *b)
{
	size_t at = 0, from = 0;
	int64_t us, last = 0;
	uint32_t n;

	memset(&t->recent, 0xff, sizeof(t->recent));
	/* From the end of each pass: only the last pass that has one matters, and a block has few. */
	while ((n = frame_cut(b, &at, t->frames, FRAMES_MAX)) != 0)
		for (from = n; from-- > 0;)
			if ((us = linetime_of(t, &t->frames[from]))) {
				last = us;
				break;
			}
	return last;
}

/* ---- the end of files -------------------------------------------------------------------------------- */

/* No file's last block tells: all of them, then. */
static int64_t whole_files(struct linetime *t, struct slice uri)
{
	struct err ignored = { 0 };	/* whoever reads it for good says so */
	struct source *s = source_open(uri, &ignored);
	int64_t us, last = 0;
	struct block b;

	if (!s)
		return 0;
	source_look(s);
	block_alloc(&b);
	while (source_fill(s, &b, &ignored) == FILL_BLOCK)
		if ((us = linetime_last(t, &b)))
			last = us;
	block_free(&b);
	source_close(s);
	return last;
}

/* Of one source: the latest end of its files. false: it has none that can be looked at. */
static bool end_of(struct linetime *t, struct slice uri, int64_t *us)
{
	struct err ignored = { 0 };
	struct source *s = source_open(uri, &ignored);
	int64_t end = 0, last;
	struct block b;

	if (!s || !source_look(s)) {
		source_close(s);
		return false;
	}
	block_alloc(&b);
	while (!stop_requested() && source_last(s, &b, &ignored))
		if ((last = b.len ? linetime_last(t, &b) : 0) > end)
			end = last;
	block_free(&b);
	source_close(s);
	*us = end ? end : whole_files(t, uri);
	return true;
}

bool linetime_end(struct linetime *t, const struct config *c, int64_t *us)
{
	int64_t end, latest = 0;

	for (uint32_t i = 0; i < c->nsources; i++) {
		if (live_names(c->sources[i]) || !end_of(t, c->sources[i], &end))
			return false;
		latest = end > latest ? end : latest;
	}
	*us = latest;
	return true;
}
