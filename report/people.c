/*
 * report/people.c - what a check found, for a person: what does not hold first, with why and its worst requests, then the
 * rest, then one line that says it all.
 */
#include "report/result.h"

#include "core/limits.h"
#include "core/term.h"

#include <inttypes.h>
#include <unistd.h>

/* Rules that are shown with their requests, that are shown at all, and those that hold; the other outputs have all. */
#define DETAILED_MAX 50
#define BROKEN_MAX 1000
#define HOLDING_MAX 200

#define VALUE_COLUMNS 18

struct people {
	FILE *out;
	const struct results *r;
	struct buf text;
	bool colour;
	unsigned name_columns;		/* at most a third of the width */
};

enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_YELLOW };

static void style(struct people *p, enum style s)
{
	static const char *const codes[] = { "\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m" };

	if (p->colour)
		buf_slice(&p->text, slice_str(codes[s]));
}

static void flush(struct people *p)
{
	fwrite(p->text.p, 1, p->text.len, p->out);
	p->text.len = 0;
}

/* Characters of UTF-8: columns, as far as term_text counts them. */
static unsigned columns(struct slice s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static void pad(struct people *p, unsigned used, unsigned to)
{
	for (; used < to; used++)
		buf_char(&p->text, ' ');
}

/* ---- one line ------------------------------------------------------------------------------------------- */

static void put_mark(struct people *p, const struct result *v)
{
	bool error = v->severity == SEVERITY_ERROR;

	style(p, v->verdict == RESULT_PASSED ? STYLE_GREEN : error ? STYLE_RED : STYLE_YELLOW);
	buf_printf(&p->text, "%-9s", v->verdict == RESULT_PASSED ? "ok" : error ? "FAILED" : severity_name(v->severity));
	style(p, STYLE_NONE);
}

/* Columns that it took. */
static unsigned put_name(struct people *p, const struct result *v)
{
	struct buf name = { .max = 4096 };
	unsigned used;

	result_name(&name, v);
	style(p, STYLE_BOLD);
	used = term_text(&p->text, slice_of(name.p, name.len), p->name_columns);
	style(p, STYLE_NONE);
	pad(p, used, p->name_columns + 2);
	buf_free(&name);
	return p->name_columns + 2;
}

static void put_value(struct people *p, const struct result *v)
{
	size_t from = p->text.len;

	if (v->measured) {
		result_measured(&p->text, v);
	} else if (v->verdict == RESULT_EMPTY || v->verdict == RESULT_ERROR) {
		buf_slice(&p->text, slice_str(verdict_name(v->verdict)));
	} else {
		if (v->violating)
			buf_printf(&p->text, "%" PRIu64 " of ", v->violating);
		result_value(&p->text, v->unit, (double)v->seen);
	}
	pad(p, columns(slice_of(p->text.p + from, p->text.len - from)), VALUE_COLUMNS);
	buf_lit(&p->text, "  ");
}

static void put_line(struct people *p, const struct result *v)
{
	unsigned used, room;

	put_mark(p, v);
	used = 9 + put_name(p, v);
	put_value(p, v);
	used += VALUE_COLUMNS + 2;
	room = p->r->width > used + 20 ? p->r->width - used : 20;
	term_text(&p->text, v->text, room);
	buf_char(&p->text, '\n');
}

/* ---- what does not hold --------------------------------------------------------------------------------- */

static void put_tree(struct people *p, struct slice tree)
{
	struct buf plain = { .max = 2 * WORST_TREE_MAX };
	struct slice rest = tree;

	if (!p->colour) {
		result_plain(&plain, tree);
		rest = slice_of(plain.p, plain.len);
	}
	while (rest.len) {
		struct slice line = slice_cut(&rest, '\n');

		if (line.len == 0)
			continue;
		buf_lit(&p->text, "    ");
		buf_slice(&p->text, line);
		buf_char(&p->text, '\n');
	}
	buf_free(&plain);
}

/* A name for which the table has no room. */
static void put_long_name(struct people *p, const struct result *v)
{
	struct buf name = { .max = 4096 };

	result_name(&name, v);
	if (columns(slice_of(name.p, name.len)) > p->name_columns) {
		buf_lit(&p->text, "    ");
		buf_add(&p->text, name.p, name.len);
		buf_char(&p->text, '\n');
	}
	buf_free(&name);
}

static void put_why(struct people *p, const struct result *v)
{
	put_long_name(p, v);
	buf_lit(&p->text, "    ");
	style(p, STYLE_DIM);
	if (v->file.len) {
		buf_slice(&p->text, v->file);
		buf_printf(&p->text, ":%u: ", v->line);
	}
	style(p, STYLE_NONE);
	buf_slice(&p->text, v->why);
	buf_char(&p->text, '\n');
	for (uint32_t i = 0; i < v->nworst; i++)
		put_tree(p, v->worst[i].tree);
	buf_char(&p->text, '\n');
}

static void put_broken(struct people *p)
{
	uint32_t shown = 0, all = 0;

	for (int s = SEVERITY_MAX; s-- > 0;)
		for (uint32_t i = 0; i < p->r->n; i++) {
			const struct result *v = &p->r->v[i];

			if (v->verdict == RESULT_PASSED || (int)v->severity != s)
				continue;
			all++;
			if (shown == BROKEN_MAX)
				continue;
			put_line(p, v);
			if (shown++ < DETAILED_MAX)
				put_why(p, v);
			flush(p);
		}
	if (all > shown)
		buf_printf(&p->text, "… and %u more; --output json has all\n", all - shown);
}

/* ---- what holds ----------------------------------------------------------------------------------------- */

/* Groups of one rule that hold, from `i` on, are one line. Returns how many results they are. */
static uint32_t put_groups(struct people *p, uint32_t i)
{
	const struct result *v = &p->r->v[i];
	uint32_t n = 0, held = 0;
	struct result line = *v;
	uint64_t folded = 0;
	size_t from;

	for (; i + n < p->r->n && p->r->v[i + n].by.len && slice_eq(p->r->v[i + n].name, v->name); n++) {
		held += p->r->v[i + n].verdict == RESULT_PASSED;
		folded += p->r->v[i + n].folded;
	}
	if (held == 0)
		return n;
	line.verdict = RESULT_PASSED;
	put_mark(p, &line);
	line.by.len = 0;
	line.rest = false;
	put_name(p, &line);
	from = p->text.len;
	buf_printf(&p->text, "%u of %u groups", held, n);
	pad(p, (unsigned)(p->text.len - from), VALUE_COLUMNS + 2);
	term_text(&p->text, v->text, p->r->width > p->name_columns + 51 ? p->r->width - p->name_columns - 31 : 20);
	buf_char(&p->text, '\n');
	if (folded) {
		buf_lit(&p->text, "    about ");
		result_value(&p->text, UNIT_NUMBER, (double)folded);
		buf_lit(&p->text, " more groups were judged as one\n");
	}
	return n;
}

static void put_holding(struct people *p)
{
	uint32_t shown = 0, more = 0;

	for (uint32_t i = 0; i < p->r->n;) {
		const struct result *v = &p->r->v[i];

		if (shown == HOLDING_MAX) {
			more += v->verdict == RESULT_PASSED;
			i++;
		} else if (v->by.len) {
			size_t before = p->text.len;

			i += put_groups(p, i);
			shown += p->text.len > before;
		} else {
			if (v->verdict == RESULT_PASSED) {
				put_line(p, v);
				shown++;
			}
			i++;
		}
	}
	if (more)
		buf_printf(&p->text, "… and %u more that hold\n", more);
	flush(p);
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static void put_total(struct people *p)
{
	const struct results *r = p->r;
	uint32_t said[SEVERITY_MAX] = { 0 };

	for (uint32_t i = 0; i < r->n; i++)
		said[r->v[i].severity] += r->v[i].verdict != RESULT_PASSED;

	buf_char(&p->text, '\n');
	style(p, r->passed ? STYLE_GREEN : STYLE_RED);
	buf_slice(&p->text, r->passed ? SLICE("PASSED") : SLICE("FAILED"));
	style(p, STYLE_NONE);
	if (result_incomplete(r))
		buf_printf(&p->text, "  %s", result_incomplete(r));
	buf_lit(&p->text, "  ");
	result_value(&p->text, UNIT_REQUESTS, (double)r->requests);
	buf_lit(&p->text, " of ");
	result_value(&p->text, UNIT_LINES, (double)r->lines);
	if (r->rejected)
		buf_printf(&p->text, ", %" PRIu64 " not understood", r->rejected);
	if (r->lost)
		buf_printf(&p->text, ", %" PRIu64 " lost", r->lost);
	buf_printf(&p->text, "; %u passed, %u failed", r->count[RESULT_PASSED], r->broken);
	if (said[SEVERITY_WARNING])
		buf_printf(&p->text, ", %u warned", said[SEVERITY_WARNING]);
	if (said[SEVERITY_NOTE])
		buf_printf(&p->text, ", %u noted", said[SEVERITY_NOTE]);
	buf_printf(&p->text, "  (%.2f s)\n", r->elapsed_s);
	flush(p);
}

static void size_names(struct people *p)
{
	struct buf name = { .max = 4096 };

	for (uint32_t i = 0; i < p->r->n; i++) {
		unsigned n;

		name.len = 0;
		result_name(&name, &p->r->v[i]);
		n = columns(slice_of(name.p, name.len));
		p->name_columns = n > p->name_columns ? n : p->name_columns;
	}
	if (p->name_columns > p->r->width / 3)
		p->name_columns = p->r->width / 3;
	buf_free(&name);
}

void report_people(FILE *out, const struct results *r)
{
	struct people p = { .out = out, .r = r, .text = { .max = 4 * 1024 * 1024 } };

	p.colour = r->colour && isatty(fileno(out));
	size_names(&p);
	put_broken(&p);
	put_holding(&p);
	put_total(&p);
	buf_free(&p.text);
}
