/*
 * export/tree_sink.c - `tree` with --slowest or --limit: the pictures of some requests alone, on standard output.
 *
 * What is chosen does not depend on threads: pictures come in the order of the lines, and equal durations are told apart by
 * the trace id, then by that order. What is not chosen is counted (`left_out`).
 */
#include "core/log.h"
#include "export/export.h"
#include "export/tree.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

/* A picture that is kept for the end. */
struct kept {
	struct tree_piece piece;
	char *text;			/* owned */
};

struct tree_sink {
	struct sink sink;
	struct sink *out;		/* writes; owned */
	uint32_t slowest, limit;	/* one of them; the other is 0 */
	uint32_t drawn;			/* of --limit */
	struct kept *kept;		/* the slowest, slowest first; owned; by submit and finish alone */
	uint32_t nkept;
	struct wire wire;		/* on its way to `out` */
	pthread_mutex_t lock;
	uint64_t left_out;
};

static void leave_out(struct tree_sink *s, uint64_t spans)
{
	pthread_mutex_lock(&s->lock);
	s->left_out += spans;
	pthread_mutex_unlock(&s->lock);
}

/* ---- --slowest --------------------------------------------------------------------------------------------- */

/* Does `a`, which came earlier, stand before `b`? */
static bool stands_before(const struct tree_piece *a, const struct tree_piece *b)
{
	if (a->ns != b->ns)
		return a->ns > b->ns;
	if (a->id_hi != b->id_hi)
		return a->id_hi < b->id_hi;
	return a->id_lo <= b->id_lo;
}

/* A copy, cut at a line's end where it is longer than anybody reads. */
static char *copy_text(struct tree_piece *piece, const char *text)
{
	static const char cut[] = "\033[0m  …\n\n";
	size_t n = piece->len;
	bool coloured = memchr(text, '\033', n) != NULL;
	struct slice end = slice_of(coloured ? cut : cut + 4, sizeof(cut) - 1 - (coloured ? 0 : 4));
	char *copy;

	if (n > TREE_TEXT_MAX) {
		for (n = TREE_TEXT_MAX - end.len; n && text[n - 1] != '\n'; n--)
			;
		piece->len = (uint32_t)(n + end.len);
	}
	copy = malloc(piece->len + 1);
	if (!copy)
		return NULL;
	memcpy(copy, text, n);
	memcpy(copy + n, end.p, piece->len - n);
	return copy;
}

/* Returns the spans that are left out for it: its own, or those of the one whose place it takes. */
static uint64_t keep(struct tree_sink *s, struct tree_piece piece, const char *text)
{
	uint64_t left_out = 0;
	uint32_t at = s->nkept;
	char *copy;

	while (at > 0 && !stands_before(&s->kept[at - 1].piece, &piece))
		at--;
	copy = at < s->slowest ? copy_text(&piece, text) : NULL;
	if (!copy)
		return piece.spans;
	if (s->nkept == s->slowest) {
		left_out = s->kept[--s->nkept].piece.spans;
		free(s->kept[s->nkept].text);
	}
	memmove(&s->kept[at + 1], &s->kept[at], (s->nkept - at) * sizeof(*s->kept));
	s->kept[at] = (struct kept){ piece, copy };
	s->nkept++;
	if (s->nkept == s->slowest)
		tree_least(s->kept[s->nkept - 1].piece.ns);
	return left_out;
}

/* ---- the sink ---------------------------------------------------------------------------------------------- */

static void draw(struct tree_sink *s, const struct tree_piece *piece, const char *text)
{
	buf_add(&s->wire.bytes, text, piece->len);
	s->wire.spans += piece->spans;
}

static void send(struct tree_sink *s)
{
	if (s->wire.spans)
		s->out->ops->submit(s->out, &s->wire);
	s->sink.failed = s->out->failed;
}

static void tree_submit(struct sink *sink, struct wire *w)
{
	struct tree_sink *s = (struct tree_sink *)sink;
	uint64_t spans = w->spans, left_out = 0;
	struct tree_piece piece;

	for (size_t at = 0; at < w->bytes.len; at += sizeof(piece) + piece.len) {
		const char *text = w->bytes.p + at + sizeof(piece);

		memcpy(&piece, w->bytes.p + at, sizeof(piece));
		spans -= piece.spans;
		if (s->slowest)
			left_out += keep(s, piece, text);
		else if (s->drawn < s->limit && ++s->drawn)
			draw(s, &piece, text);
		else
			left_out += piece.spans;
	}
	leave_out(s, left_out + spans);		/* and those that nobody drew */
	send(s);
	if (s->limit && s->drawn == s->limit && !sink->done) {
		log_info("--limit: %" PRIu32 " request%s drawn", s->limit, s->limit == 1 ? " is" : "s are");
		sink->done = true;
	}
	w->bytes.len = 0;
	w->spans = 0;
}

static void tree_finish(struct sink *sink)
{
	struct tree_sink *s = (struct tree_sink *)sink;

	for (uint32_t i = 0; i < s->nkept; i++)
		draw(s, &s->kept[i].piece, s->kept[i].text);
	send(s);
	s->out->ops->finish(s->out);
	sink->failed = s->out->failed;
}

static void tree_tally(struct sink *sink, struct sink_tally *out)
{
	struct tree_sink *s = (struct tree_sink *)sink;

	s->out->ops->tally(s->out, out);
	pthread_mutex_lock(&s->lock);
	out->left_out = s->left_out;
	pthread_mutex_unlock(&s->lock);
}

/* What a person looks at is no delivery: it does not hold a position back until the end. */
static uint64_t tree_unsettled(struct sink *sink)
{
	(void)sink;
	return UINT64_MAX;
}

static void tree_free(struct sink *sink)
{
	struct tree_sink *s = (struct tree_sink *)sink;

	for (uint32_t i = 0; i < s->nkept; i++)
		free(s->kept[i].text);
	if (s->out)
		s->out->ops->free(s->out);
	pthread_mutex_destroy(&s->lock);
	buf_free(&s->wire.bytes);
	free(s->kept);
	free(sink->uri);
	free(s);
}

static const struct sink_ops tree_ops = {
	.submit = tree_submit,
	.finish = tree_finish,
	.tally = tree_tally,
	.unsettled = tree_unsettled,
	.free = tree_free,
};

struct sink *tree_sink_open(const struct export_config *cfg, struct err *err)
{
	struct sink *out = file_sink_open(SLICE("-"), &encoder_tree, err);
	struct tree_sink *s;

	tree_setup(cfg->colour, cfg->width);
	tree_fit(cfg->terminal);
	if (!out || (!cfg->slowest && !cfg->limit))
		return out;
	s = calloc(1, sizeof(*s));
	if (!s || !(s->kept = calloc(cfg->slowest + 1, sizeof(*s->kept))) || !(out->uri = strdup("tree"))) {
		if (s)
			free(s->kept);
		free(s);
		out->ops->free(out);
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	s->sink.ops = &tree_ops;
	s->sink.encoder = &encoder_tree_pieces;
	s->out = out;
	s->slowest = cfg->slowest;
	s->limit = cfg->slowest ? 0 : cfg->limit;
	s->wire.bytes.max = WIRE_MAX > SLOWEST_MAX * TREE_TEXT_MAX ? WIRE_MAX : SLOWEST_MAX * TREE_TEXT_MAX;
	pthread_mutex_init(&s->lock, NULL);
	return &s->sink;
}
