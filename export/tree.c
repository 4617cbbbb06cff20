/*
 * export/tree.c - a picture of each request: nesting, bars to scale, phases, failures in words.
 */
#include "export/tree.h"

#include "core/civil.h"
#include "core/term.h"
#include "export/export.h"
#include "parse/format.h"

#include <stdarg.h>
#include <stdio.h>

static bool colour;
static unsigned width = 100;
static bool fits;			/* no line is longer than that */

void tree_setup(bool with_colour, unsigned columns)
{
	colour = with_colour;
	width = columns < 60 ? 60 : columns > 160 ? 160 : columns;
}

void tree_fit(bool on)
{
	fits = on;
}

/* The fewest columns in which a bar says something. */
#define BAR_LEAST 8

enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_BLUE, STYLE_YELLOW };

static void style(struct buf *out, enum style s)
{
	static const struct slice codes[] = { { "\033[0m", 4 }, { "\033[1m", 4 }, { "\033[2m", 4 }, { "\033[31m", 5 },
					      { "\033[32m", 5 }, { "\033[34m", 5 }, { "\033[33m", 5 } };

	if (colour)
		buf_slice(out, codes[s]);
}

/* ---- the width of a terminal --------------------------------------------------------------------------------- */

/* Behind the byte at `at`: the next character; a colour is a part of the one before it. */
static size_t next_character(const struct buf *b, size_t at)
{
	for (at++; at < b->len && (b->p[at] & 0xc0) == 0x80; at++)
		;
	while (at < b->len && b->p[at] == '\033')
		at = at + slice_find(slice_of(b->p + at, b->len - at), 'm') + 1;
	return at;
}

static unsigned columns(const struct buf *b, size_t from)
{
	unsigned n = 0;

	while (from < b->len && b->p[from] == '\033')
		from = from + slice_find(slice_of(b->p + from, b->len - from), 'm') + 1;
	for (; from < b->len; from = next_character(b, from))
		n++;
	return n;
}

/* The line that begins at `from` ends here; what does not fit is cut. */
static void end_line(struct buf *out, size_t from)
{
	if (fits && columns(out, from) > width) {
		for (unsigned n = 1; n < width; n++)
			from = next_character(out, from);
		out->len = from;
		style(out, STYLE_NONE);
		buf_lit(out, "…");
	}
	buf_char(out, '\n');
}

/* Does what was written from `at` on go beyond the line's end? Then it begins the next one, behind some blanks. */
static void break_line(struct buf *out, size_t *line, size_t at, unsigned indent)
{
	static const char blanks[] = "\n                                ";
	size_t n = 1 + (indent < sizeof(blanks) - 2 ? indent : sizeof(blanks) - 2);

	size_t end = at;

	if (!fits || columns(out, *line) <= width)
		return;
	while (end > *line && out->p[end - 1] == ' ')
		end--;
	buf_room(out, n);
	memmove(out->p + end + n, out->p + at, out->len - at);
	memcpy(out->p + end, blanks, n);
	out->len += n - (at - end);
	*line = end + 1;
}

/* ---- the head of a request --------------------------------------------------------------------------------- */

static void duration(struct buf *out, uint64_t ns)
{
	uint64_t us = ns / 1000;

	if (us % 1000)
		buf_printf(out, "%llu.%03llu ms", (unsigned long long)(us / 1000), (unsigned long long)(us % 1000));
	else
		buf_printf(out, "%llu ms", (unsigned long long)(us / 1000));
}

static void head(struct buf *out, const struct record *r, const struct trace *t)
{
	const struct span *root = &t->span[0];
	struct slice method = record_text(r, SLOT_x_method), path = record_text(r, SLOT_x_path);
	int64_t status = record_num(r, SLOT_x_status, 0);
	size_t line = out->len;

	if (record_has(r, SLOT_x_method_original))
		method = record_text(r, SLOT_x_method_original);
	style(out, root->status ? STYLE_RED : STYLE_GREEN);
	buf_slice(out, root->status ? SLICE("✗ ") : SLICE("● "));
	style(out, STYLE_NONE);
	style(out, STYLE_BOLD);
	term_text(out, method.len ? method : root->name, 24);
	if (path.len) {
		buf_char(out, ' ');
		term_text(out, path, width / 2);
	}
	style(out, STYLE_NONE);
	if (status)
		buf_printf(out, "  %lld", (long long)status);
	buf_lit(out, "  ");
	duration(out, root->end_ns - root->start_ns);
	if (record_has(r, SLOT_x_frontend))
		buf_lit(out, "  ");
	term_text(out, record_text(r, SLOT_x_frontend), 40);
	if (record_has(r, SLOT_b) && !slice_eq(record_text(r, SLOT_b), record_text(r, SLOT_x_frontend))) {
		buf_lit(out, " → ");
		term_text(out, record_text(r, SLOT_b), 40);
	}
	if (record_has(r, SLOT_x_server)) {
		buf_char(out, '/');
		term_text(out, record_text(r, SLOT_x_server), 40);
	}
	end_line(out, line);
}

static void ids(struct buf *out, const struct record *r, const struct trace *t)
{
	char date[32];
	size_t line = out->len, at;

	civil_format(t->span[0].start_ns, date);
	style(out, STYLE_DIM);
	buf_printf(out, "  %s UTC  ", date);
	at = out->len;
	buf_printf(out, "trace %016llx%016llx", (unsigned long long)t->id_hi, (unsigned long long)t->id_lo);
	break_line(out, &line, at, 2);
	if (t->span[0].parent) {
		buf_lit(out, "  ");
		at = out->len;
		buf_printf(out, "parent %016llx", (unsigned long long)t->span[0].parent);
		break_line(out, &line, at, 2);
	}
	if (record_has(r, SLOT_ci)) {
		buf_lit(out, "  ");
		at = out->len;
		buf_lit(out, "from ");
		term_text(out, record_text(r, SLOT_ci), 45);
		break_line(out, &line, at, 2);
	}
	style(out, STYLE_NONE);
	end_line(out, line);
}

/* ---- spans ----------------------------------------------------------------------------------------------- */

static unsigned depth_of(const struct trace *t, const struct span *s)
{
	return s->role == ROLE_SERVER ? 0 : s->role > ROLE_CLIENT && t->has_client ? 2 : 1;
}

/* Does another span of this depth, or of a lesser one above `depth`, follow below the same parent? */
static bool has_later(const struct trace *t, uint32_t i, unsigned depth)
{
	for (uint32_t k = i + 1; k < t->n; k++) {
		unsigned d = depth_of(t, &t->span[k]);

		if (d == depth)
			return true;
		if (d < depth)
			return false;
	}
	return false;
}

static void label(struct buf *out, const struct trace *t, uint32_t i)
{
	const struct span *s = &t->span[i];
	unsigned depth = depth_of(t, s), used = 2 + 3 * depth;

	buf_lit(out, "  ");
	for (unsigned d = 1; d < depth; d++)
		buf_slice(out, has_later(t, i, d) ? SLICE("│  ") : SLICE("   "));
	if (depth)
		buf_slice(out, has_later(t, i, depth) ? SLICE("├─ ") : SLICE("└─ "));
	if (s->kind != KIND_INTERNAL) {
		style(out, STYLE_BOLD);
		buf_slice(out, s->kind == KIND_SERVER ? SLICE("SERVER ") : SLICE("CLIENT "));
		style(out, STYLE_NONE);
		used += 7;
	}
	used += term_text(out, s->name, 30);
	for (; used < 30; used++)
		buf_char(out, ' ');
}

/* Columns of the bars: what the longest reason of a failure leaves of them. */
static unsigned bar_columns(const struct trace *t)
{
	size_t longest = 0;

	for (uint32_t i = 0; fits && i < t->n; i++)
		if (t->span[i].error_type.len > longest)
			longest = t->span[i].error_type.len + sizeof("  x ") - 1;
	return longest + BAR_LEAST > width - 48 ? BAR_LEAST : width - 48 - (unsigned)longest;
}

static void bar(struct buf *out, const struct span *s, const struct span *root, unsigned columns)
{
	uint64_t total = root->end_ns - root->start_ns;
	unsigned from = 0, to = 1;		/* a moment is a tick */

	if (total) {
		from = (unsigned)((double)(s->start_ns - root->start_ns) / (double)total * columns + 0.5);
		to = (unsigned)((double)(s->end_ns - root->start_ns) / (double)total * columns + 0.5);
		from = from >= columns ? columns - 1 : from;
		to = to <= from ? from + 1 : to;
	}
	buf_lit(out, "▕");
	style(out, s->status ? STYLE_RED : s->kind == KIND_INTERNAL ? STYLE_YELLOW : STYLE_BLUE);
	for (unsigned c = 0; c < columns; c++)
		buf_slice(out, c < from || c >= to ? SLICE(" ") : s->end_ns > s->start_ns ? SLICE("█") : SLICE("╵"));
	style(out, STYLE_NONE);
	buf_lit(out, "▏ ");
	duration(out, s->end_ns - s->start_ns);
}

/* The lines of a request that has several, and how long after its begin each was written. */
static void events(struct buf *out, const struct trace *t)
{
	size_t line = out->len, at;

	if (t->nevents == 0)
		return;
	style(out, STYLE_DIM);
	buf_lit(out, "  steps");
	for (const struct event *e = t->event; e < t->event + t->nevents; e++) {
		struct slice name = e->origin.len ? e->origin : slice_skip(e->name, sizeof("haproxy.") - 1);

		buf_slice(out, e == t->event ? SLICE("  ") : SLICE(" "));
		at = out->len;
		term_text(out, name, 24);
		for (uint32_t k = 0; k < e->nattrs; k++) {
			buf_char(out, ' ');
			term_text(out, e->attr[k].key, 40);
			buf_char(out, '=');
			term_text(out, e->attr[k].value, 40);
		}
		buf_lit(out, " +");
		duration(out, e->ns - t->span[0].start_ns);
		buf_slice(out, e + 1 < t->event + t->nevents ? SLICE(",") : SLICE(""));
		break_line(out, &line, at, 9);
	}
	style(out, STYLE_NONE);
	end_line(out, line);
}

/* Why the span failed, behind its bar; in words where it did. */
static void reason(struct buf *out, const struct trace *t, const struct span *s, size_t line)
{
	size_t at;

	if (!s->error_type.len)
		return;
	style(out, STYLE_RED);
	buf_lit(out, "  ");
	at = out->len;
	buf_lit(out, "✗ ");
	buf_slice(out, s->error_type);
	break_line(out, &line, at, 2 + 3 * depth_of(t, s));
	if (s->kind == KIND_INTERNAL && t->words.len) {
		buf_lit(out, ": ");
		at = out->len;
		buf_slice(out, t->words);
		break_line(out, &line, at, 2 + 3 * depth_of(t, s));
	}
	style(out, STYLE_NONE);
}

void tree_draw(struct buf *out, const struct record *r, const struct trace *t)
{
	unsigned bars = bar_columns(t);

	head(out, r, t);
	ids(out, r, t);
	for (uint32_t i = 0; i < t->n; i++) {
		size_t line = out->len;

		label(out, t, i);
		bar(out, &t->span[i], &t->span[0], bars);
		reason(out, t, &t->span[i], line);
		buf_char(out, '\n');
	}
	events(out, t);
	if (record_has(r, SLOT_error)) {
		buf_lit(out, "  ");
		term_text(out, record_text(r, SLOT_error), width - 4);
		buf_char(out, '\n');
	}
	if (record_has(r, SLOT_x_truncated))
		buf_lit(out, "  (HAProxy cut this line at its length limit: raise `len`)\n");
	else if (record_has(r, SLOT_x_incomplete))
		buf_printf(out, "  (its final line did not come: %.*s)\n", (int)record_text(r, SLOT_x_incomplete).len,
			record_text(r, SLOT_x_incomplete).p);
	else if (record_has(r, SLOT_x_open_end))
		buf_lit(out, "  (written before the end: logasap)\n");
	buf_char(out, '\n');
}

static void tree_open(struct buf *out, const struct resource *res, struct slice host, size_t *mark)
{
	(void)out;
	(void)res;
	(void)host;
	*mark = 0;
}

static void tree_close(struct buf *out, size_t mark)
{
	(void)out;
	(void)mark;
}

const struct encoder encoder_tree = { "tree", tree_open, tree_draw, tree_close, NULL, false };

/* ---- pieces ------------------------------------------------------------------------------------------------ */

static _Atomic uint64_t least_ns;

void tree_least(uint64_t ns)
{
	least_ns = ns;
}

static void piece_trace(struct buf *out, const struct record *r, const struct trace *t)
{
	struct tree_piece piece = { t->span[0].end_ns - t->span[0].start_ns, t->id_hi, t->id_lo, t->n, 0 };
	size_t at = out->len;

	if (piece.ns < least_ns)
		return;
	buf_add(out, (const char *)&piece, sizeof(piece));
	tree_draw(out, r, t);
	piece.len = (uint32_t)(out->len - at - sizeof(piece));
	memcpy(out->p + at, &piece, sizeof(piece));
}

const struct encoder encoder_tree_pieces = { "tree", tree_open, piece_trace, tree_close, NULL, false };
