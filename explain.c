#include "explain.h"

#include "core/civil.h"
#include "core/log.h"
#include "core/term.h"
#include "ingest/ingest.h"
#include "reconstruct/steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Bytes of a message that are quoted at once, and columns of the picture of the timers. */
#define WINDOW 100
#define PICTURE 60
#define EXPLAIN_MAX ((size_t)4 * 1024 * 1024)

struct explainer {
	const struct config *c;
	struct unwrapper unwrapper;
	struct parser parser;
	struct rebuilder rebuilder;
	struct trace trace;
	struct frame frame;
	struct joined line;		/* a step of a request: this line alone */
	struct merge merge;
	struct buf out;
	bool understood;		/* all lines so far */
};

#define say(x, ...) buf_printf(&(x)->out, __VA_ARGS__)

/* `label` in its column, then text that a client may have written. */
static void say_text(struct explainer *x, const char *label, struct slice s)
{
	say(x, "%-10s", label);
	term_text(&x->out, s, 400);
	buf_char(&x->out, '\n');
}

/* ---- envelope ------------------------------------------------------------------------------------------- */

static void say_envelope(struct explainer *x)
{
	const struct frame *f = &x->frame;
	char date[32];

	if (f->line.p != f->raw.p)
		say_text(x, "record", f->raw);
	if (f->msg.p == f->line.p)
		say(x, "envelope  none: the line is the message\n");
	else
		say_text(x, "envelope", slice_to(f->line.p, f->msg.p));
	if (f->host.len)
		say_text(x, "  host", f->host);
	if (f->time_us) {
		civil_format((uint64_t)f->time_us * 1000, date);
		say(x, "  date    %s UTC", date);
		if (f->zone_min != ZONE_UNKNOWN)
			say(x, ", zone %+03d:%02d", f->zone_min / 60, abs(f->zone_min % 60));
		say(x, "\n");
	}
	say_text(x, "message", f->msg);
}

/* ---- format --------------------------------------------------------------------------------------------- */

/* A window of `s` around `at`, with a caret under it. */
static void say_caret(struct explainer *x, struct slice s, size_t at, const char *indent)
{
	size_t from = at > 60 ? at - 60 : 0, n = s.len - from > WINDOW ? WINDOW : s.len - from;

	say(x, "%s", indent);
	for (size_t i = from; i < from + n; i++)	/* a byte a column, so that the caret stands right */
		buf_char(&x->out, (unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f ? '?' : s.p[i]);
	say(x, "\n%*s^\n", (int)(strlen(indent) + at - from), "");
}

static void say_failure(struct explainer *x, const struct format *f, const struct attempt *a)
{
	say(x, "  %.*s: ", (int)f->name.len, f->name.p);
	if (f->regex) {
		say(x, "the pattern does not match\n");
		return;
	}
	if (!f->prog) {
		say(x, "%s at byte %zu, after %u members: expected %s\n",
		    a->result == ATTEMPT_ENDS ? "it ends" : "no,", a->at + 1, a->depth, a->expected);
		say_caret(x, x->frame.msg, a->at, "    message  ");
		return;
	}
	say(x, "no, at byte %zu, after %u fields: expected %s (column %zu of the format)%s\n", a->at + 1, a->depth,
	    a->expected, a->column + 1, a->result == ATTEMPT_ENDS ? "; the message ends without it" : "");
	say_caret(x, x->frame.msg, a->at, "    message  ");
	if (f->text.len >= a->column)
		say_caret(x, f->text, a->column, "    format   ");
}

/* Every format: which one fits, which others would, and why the rest does not. Those that got farthest say most. */
static void say_formats(struct explainer *x)
{
	const struct formats *set = &x->c->formats;
	const struct format *chosen = x->understood ? x->parser.rec.format : NULL;
	struct attempt *tried = calloc(set->n, sizeof(*tried));
	uint32_t shown = 0;

	for (uint32_t i = 0; tried && i < set->n; i++)
		parse_attempt(&x->parser, i, x->frame.msg, &tried[i]);
	for (uint32_t i = 0; tried && i < set->n; i++)
		if (tried[i].result == ATTEMPT_FITS && set->v[i] != chosen &&
		    !(chosen && chosen->pairs && set->v[i]->pairs))	/* its own variant */
			say(x, "  %.*s would fit too: the first one given is taken, or what the lines before were\n",
			    (int)set->v[i]->name.len, set->v[i]->name.p);
	for (; tried && shown < set->n; shown++) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < set->n; i++)
			if (tried[i].result != ATTEMPT_FITS && (tried[best].result == ATTEMPT_FITS || tried[i].at > tried[best].at))
				best = i;
		if (tried[best].result == ATTEMPT_FITS)
			break;
		if (shown == 3)
			say(x, "  and not:");
		if (shown < 3)
			say_failure(x, set->v[best], &tried[best]);
		else if (shown < 12)
			say(x, " %.*s", (int)set->v[best]->name.len, set->v[best]->name.p);
		tried[best].result = ATTEMPT_FITS;
	}
	if (shown > 3)
		say(x, "%s\n", shown > 12 ? " …" : "");
	free(tried);
}

/* ---- fields --------------------------------------------------------------------------------------------- */

static void say_fields(struct explainer *x)
{
	char scratch[8192], label[64];
	struct shown s;
	uint32_t at = 0;

	say(x, "fields\n");
	while (record_show(&x->parser.rec, &at, &s, scratch, sizeof(scratch))) {
		unsigned width = 0;

		snprintf(label, sizeof(label), "%s%.*s", s.alias ? "%" : "", s.name.len > 60 ? 60 : (int)s.name.len, s.name.p);
		say(x, "  %-14s ", label);
		width = term_text(&x->out, s.text, 120);
		if (*s.unit)
			say(x, " %s", s.unit);
		width += *s.unit ? (unsigned)strlen(s.unit) + 1 : 0;
		say(x, "%*s  ", width < 32 ? (int)(32 - width) : 0, "");
		term_text(&x->out, s.meaning, 120);
		buf_char(&x->out, '\n');
	}
}

/* ---- timers --------------------------------------------------------------------------------------------- */

/* The phases to scale on one line, as the spans have them. */
static void say_timers(struct explainer *x)
{
	static const struct { enum span_role role; const char *timer; } phases[] = {
		{ ROLE_REQUEST, "TR" }, { ROLE_QUEUE, "Tw" }, { ROLE_TARPIT, "tarpit" }, { ROLE_CONNECT, "Tc" },
		{ ROLE_RESPONSE, "Tr" }, { ROLE_DATA, "Td" },
	};
	const struct trace *t = &x->trace;
	uint64_t total = t->span[0].end_ns - t->span[0].start_ns;

	say(x, "timers    ");
	for (size_t k = 0; k < sizeof(phases) / sizeof(phases[0]); k++)
		for (uint32_t i = 0; i < t->n; i++) {
			const struct span *s = &t->span[i];
			char label[48];
			int n, room;

			if (s->role != phases[k].role)
				continue;
			n = snprintf(label, sizeof(label), "%s %.3g ms", phases[k].timer,
				     (double)(s->end_ns - s->start_ns) / 1e6);
			room = total ? (int)((s->end_ns - s->start_ns) * PICTURE / total) : 0;
			say(x, "|%s", label);
			for (; n < room; n++)
				say(x, "-");
		}
	say(x, "|  total %.3f ms\n", (double)total / 1e6);
}

/* ---- spans, ids, attributes ------------------------------------------------------------------------------- */

static const char *const made[] = {
	[ID_FROM_PARENT] = "the caller's trace context",
	[ID_FROM_LOG] = "logged by HAProxy",
	[ID_FROM_UNIQUE_ID] = "SHA-256 of the unique id",
	[ID_FROM_LINE] = "a hash of the message: log a unique id to have it from that",
};

static void say_spans(struct explainer *x)
{
	const struct trace *t = &x->trace;
	size_t mark = 0;

	encoder_tree.open(&x->out, &x->c->resource, slice_of("", 0), &mark);
	say(x, "spans     ");
	encoder_tree.trace(&x->out, &x->parser.rec, t);
	encoder_tree.close(&x->out, mark);
	say(x, "ids\n  trace   %016llx%016llx  %s\n", (unsigned long long)t->id_hi, (unsigned long long)t->id_lo,
	    made[t->trace_from]);
	for (uint32_t i = 0; i < t->n; i++) {
		const struct span *s = &t->span[i];

		say(x, "  span    %016llx  parent ", (unsigned long long)s->id);
		if (s->parent)
			say(x, "%016llx", (unsigned long long)s->parent);
		else
			say(x, "%-16s", "none");
		say(x, "  %.*s%s%s\n", (int)s->name.len, s->name.p, s->role == ROLE_CLIENT ? ": " : "",
		    s->role != ROLE_CLIENT ? "" : t->client_from == ID_FROM_UNIQUE_ID ? "SHA-256 of unique id, '|' and frontend" :
						      made[t->client_from]);
	}
}

static void say_value(struct explainer *x, const struct attr *a, union value v)
{
	const struct record *r = &x->parser.rec;

	switch ((enum attr_type)a->type) {
	case ATTR_INT:
	case ATTR_TIMER:
		say(x, "%lld", (long long)v.num);
		break;
	case ATTR_BOOL:
		say(x, "%s", v.num ? "true" : "false");
		break;
	case ATTR_LISTS:
		for (uint32_t k = 0; k < r->cap[a->index].n; k++) {
			say(x, k ? ", " : "[");
			term_text(&x->out, r->cap[a->index].v[k], 100);
		}
		say(x, "]");
		break;
	default:
		term_text(&x->out, v.text, 200);
	}
}

/* The row that stands for all members without a meaning. */
static void say_pairs(struct explainer *x)
{
	const struct record *r = &x->parser.rec;

	for (uint32_t k = 0; k < r->npairs; k++) {
		say(x, "  ");
		term_text(&x->out, r->pair[k].key, PAIR_KEY_MAX);
		say(x, " = ");
		term_text(&x->out, r->pair[k].value, 200);
		say(x, "\n");
	}
}

static void say_attributes(struct explainer *x)
{
	const struct record *r = &x->parser.rec;
	const struct plan *plan = r->format->plan;
	union value v;

	for (uint32_t i = 0; i < x->trace.n; i++) {
		const struct span *s = &x->trace.span[i];
		const struct attrs *rows = s->role == ROLE_CLIENT ? &plan->client :
					   x->trace.has_client ? &plan->server : &plan->server_alone;

		if (s->role != ROLE_CLIENT && s->role != ROLE_SERVER)
			continue;
		say(x, "attributes of %s %.*s\n", s->role == ROLE_CLIENT ? "CLIENT" : "SERVER", (int)s->name.len, s->name.p);
		for (uint32_t k = 0; k < rows->n; k++)
			if (attr_value(attrs_row(rows, k), r, &v) && attrs_row(rows, k)->type == ATTR_PAIRS) {
				say_pairs(x);
			} else if (attr_value(attrs_row(rows, k), r, &v)) {
				say(x, "  ");
				term_text(&x->out, attrs_row(rows, k)->key, 80);
				say(x, " = ");
				say_value(x, attrs_row(rows, k), v);
				say(x, "\n");
			}
	}
}

/* ---- a line --------------------------------------------------------------------------------------------- */

/* A step of a request, as if no other line of it had come. */
static enum verdict rebuild_step(struct explainer *x, const struct part *part)
{
	struct merge *m = &x->merge;
	enum verdict verdict;

	x->line.n = 1;
	x->line.reason = part->flags & PART_FINAL ? REASON_NONE : REASON_END;
	x->line.part[0] = *part;
	x->line.part[0].host_len = 0;	/* it does not stand behind the message here */
	x->line.bytes[0] = x->parser.rec.msg.p;
	merge_begin(m, &x->line);
	merge_add(m, 0, &x->parser.rec);
	merge_finish(m);
	x->rebuilder.moments = &m->moments;
	verdict = rebuild(&x->rebuilder, &m->rec, &m->frame, &x->trace);
	x->rebuilder.moments = NULL;
	merge_events(m, &x->trace);
	x->parser.rec = m->rec;
	return verdict;
}

/* What the line is: all of a request, or a step of one. false: it makes no tree. */
static bool rebuild_line(struct explainer *x, enum verdict *verdict)
{
	struct part part;

	switch (steps_possible(x->parser.rec.format) ? step_line(&x->parser.rec, &x->frame, &part) : STEP_LINE_NONE) {
	case STEP_LINE_NONE:
		*verdict = rebuild(&x->rebuilder, &x->parser.rec, &x->frame, &x->trace);
		return true;
	case STEP_LINE_PART:
		say(x, "step      one of several lines of a request; what it makes without the others:\n");
		*verdict = rebuild_step(x, &part);
		return true;
	case STEP_LINE_OTHER:
		break;
	}
	say(x, "step      of a request that it does not name (%%ID, or %%rt and %%pid); it counts as `other`\n");
	return false;
}

static void say_request(struct explainer *x)
{
	const struct format *f = x->parser.rec.format;
	enum verdict verdict;

	say(x, "format    %.*s%s\n", (int)f->name.len, f->name.p,
	    x->parser.rec.flags & RECORD_TRUNCATED ? ", cut by HAProxy at its length limit" : "");
	if (f->text.len)
		say_text(x, "", f->text);
	say_fields(x);
	if (!rebuild_line(x, &verdict))
		return;
	say_timers(x);
	say_spans(x);
	say_attributes(x);
	x->parser.rec.format = f;
	if (verdict == VERDICT_FILTERED)
		say(x, "sampling  this request would not be sent: a --drop says so\n");
	else if (verdict == VERDICT_UNSAMPLED)
		say(x, "sampling  this request would not be sent: its caller or --sampler said so\n");
}

/* `text` has BLOCK_PAD bytes on both sides. */
static void explain_line(struct explainer *x, struct slice text)
{
	struct recent recent;

	memset(&recent, 0xff, sizeof(recent));
	x->frame = (struct frame){ .raw = text };
	if (text.len > LINE_MAX_BYTES)
		x->frame.flags |= FRAME_TORN;
	unwrapper_reset(&x->unwrapper);
	record_peel(&x->unwrapper, &x->frame);
	say_envelope(x);
	switch (parse_frame(&x->parser, &x->frame, &recent)) {
	case PARSED_REQUEST:
		say_request(x);
		x->understood = true;
		if (x->c->formats.n > 1)
			say(x, "other formats\n");
		say_formats(x);
		return;
	case PARSED_OTHER:
		x->understood = true;
		say(x, "no traffic: a notice of HAProxy's own, or an empty line; it counts as `other`\n");
		return;
	case PARSED_REJECTED:
		say(x, "not understood. The formats that came nearest:\n");
		x->understood = false;
		say_formats(x);
		say(x, "next      give the log-format of its frontend: --format '%%ci:%%cp …'\n");
	}
}

/* A copy with its pads, explained, printed. */
static bool explain_copy(struct explainer *x, const char *p, size_t n)
{
	char *base = calloc(1, n + 2 * BLOCK_PAD);

	if (!base)
		return false;
	memcpy(base + BLOCK_PAD, p, n);
	explain_line(x, slice_of(base + BLOCK_PAD, n));
	fwrite(x->out.p, 1, x->out.len, stdout);
	x->out.len = 0;
	free(base);
	return true;
}

static bool explain_input(struct explainer *x, bool *all)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	bool ok = true, first = true;

	while (ok && (n = getline(&line, &cap, stdin)) >= 0) {
		n -= n && line[n - 1] == '\n';
		if (!first)
			putchar('\n');
		ok = explain_copy(x, line, (size_t)n);
		*all &= x->understood;
		first = false;
	}
	free(line);
	if (ferror(stdin)) {
		log_error("standard input: cannot read: %m");
		return false;
	}
	return ok;
}

/* false: one is a path, where a line is expected. */
static bool are_lines(char **lines, int n)
{
	for (int i = 0; i < n; i++)
		if (access(lines[i], F_OK) == 0) {
			log_error("%s: this is a file: tail -1 %s | haspan explain", lines[i], lines[i]);
			return false;
		}
	if (n == 0 && isatty(STDIN_FILENO))
		log_info("reads log lines from the terminal: paste one, and end with Ctrl-D");
	return true;
}

static int explain_lines(const struct config *c, char **lines, int n)
{
	struct explainer *x = calloc(1, sizeof(*x));
	struct err err = { 0 };
	bool all = true, ok = x != NULL;

	if (!ok || !rebuilder_init(&x->rebuilder, &c->rules, c->timezone, &err)) {
		err_set(&err, EXIT_CONFIG, "out of memory");
		err_print(&err);
		free(x);
		return (int)err.code;
	}
	x->c = c;
	x->out.max = EXPLAIN_MAX;
	unwrapper_init(&x->unwrapper);
	parser_init(&x->parser, &c->formats);
	merge_init(&x->merge);
	for (int i = 0; ok && i < n; i++) {
		if (i)
			putchar('\n');
		ok = explain_copy(x, lines[i], strlen(lines[i]));
		all &= x->understood;
	}
	if (n == 0)
		ok = explain_input(x, &all);
	unwrapper_free(&x->unwrapper);
	parser_free(&x->parser);
	merge_free(&x->merge);
	rebuilder_free(&x->rebuilder);
	parser_thread_free();
	buf_free(&x->out);
	free(x);
	return ferror(stdin) ? EXIT_INPUT : !ok ? EXIT_CONFIG : all ? EXIT_DONE : EXIT_CHECK;
}

int explain(const struct config *c, char **lines, int n)
{
	return are_lines(lines, n) ? explain_lines(c, lines, n) : EXIT_USAGE;
}
