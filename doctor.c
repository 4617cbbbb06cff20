/*
 * doctor.c - `haspan doctor`: each frontend's tree as its log can give it, what is missing, what to do about it.
 */
#include "doctor.h"

#include "core/json.h"
#include "core/log.h"
#include "core/term.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define OUT_MAX ((size_t)1024 * 1024 * 1024)

static const char *const severity_name[SEVERITY_MAX] = { "essential", "useful", "hint" };
static const char *const severity_sign[SEVERITY_MAX] = { "✗", "!", "·" };

/* What was found in all files. */
struct total {
	unsigned frontends, found[SEVERITY_MAX];
};

/* Lines of a configuration, which may end in CR LF. */
static void shown(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] != '\r')
			buf_char(out, s.p[i]);
}

/* ---- the tree -------------------------------------------------------------------------------------------- */

#define BAR 24

/* A span as it would be drawn: where it lies in the bar, and what says so. */
static void branch(struct buf *out, const char *lead, const char *label, unsigned from, unsigned to, const char *by)
{
	unsigned used = 0;

	buf_printf(out, "  %s%s", lead, label);
	for (const char *p = lead; *p; p++)
		used += ((unsigned char)*p & 0xc0) != 0x80;
	used += (unsigned)strlen(label);
	buf_printf(out, "%*s▕", used < 28 ? (int)(28 - used) : 1, "");
	for (unsigned c = 0; c < BAR; c++)
		buf_slice(out, c < from || c >= to ? SLICE(" ") : SLICE("█"));
	buf_printf(out, "▏ %s\n", by);
}

/* The phases between SERVER and the server, left to right. */
struct phase {
	const char *label, *by;
	bool there, upstream;
	unsigned from, to;
};

static void draw_phases(struct buf *out, struct phase *v, unsigned n, bool client, bool http)
{
	unsigned last = n;

	for (unsigned i = 0; i < n; i++)
		if (v[i].there && (!v[i].upstream || !client))
			last = i;
	for (unsigned i = 0; i < n; i++)
		if (v[i].there && (!v[i].upstream || !client))
			branch(out, i == last && !client ? "└─ " : "├─ ", v[i].label, v[i].from, v[i].to, v[i].by);
	if (!client)
		return;
	branch(out, "└─ ", http ? "CLIENT GET" : "CLIENT tcp", 6, BAR, "%s");
	for (unsigned i = 0; i < n; i++)
		if (v[i].there && v[i].upstream)
			last = i;
	for (unsigned i = 0; i < n; i++)
		if (v[i].there && v[i].upstream)
			branch(out, i == last ? "   └─ " : "   ├─ ", v[i].label, v[i].from, v[i].to, v[i].by);
}

static void tree(struct buf *out, const struct look *l)
{
	bool http = l->p->http, old = look_found(l, ADVICE_old_timers), end = look_has(l, SLOT_Ta) || look_has(l, SLOT_Tt);
	struct phase v[] = {
		{ "haproxy.request", old ? "%Tq" : "%TR", http && (old || look_has(l, SLOT_TR)), false, 0, 2 },
		{ "haproxy.queue", "%Tw", look_has(l, SLOT_Tw), false, 2, 6 },
		{ "haproxy.connect", "%Tc", look_has(l, SLOT_Tc), true, 6, 8 },
		{ "haproxy.response", "%Tr", http && look_has(l, SLOT_Tr), true, 8, 18 },
		{ "haproxy.data", "to the end", end && !l->p->logasap, true, http ? 18 : 8, BAR },
	};
	const char *us = look_has(l, SLOT_accept_us) || look_has(l, SLOT_request_us) ? "to the microsecond" :
			 look_found(l, ADVICE_clf) ? "to the second" : "to the millisecond";

	branch(out, "", http ? look_found(l, ADVICE_no_request) ? "SERVER HTTP" : "SERVER GET /path" : "SERVER tcp", 0, BAR, us);
	draw_phases(out, v, sizeof(v) / sizeof(v[0]), look_has(l, SLOT_s), http);
}

static const char *ids_from(const struct look *l)
{
	return l->p->unique_id_format.by && look_has(l, SLOT_ID) ? "the unique-id" : "a hash of the line";
}

static bool knows_parent(const struct look *l)
{
	return l->p->http && !look_found(l, ADVICE_no_parent) && !look_found(l, ADVICE_own_traces) &&
	       !look_found(l, ADVICE_short_capture);
}

static void trace_words(struct buf *out, const struct look *l)
{
	bool parent = knows_parent(l);

	buf_printf(out, "  trace    %s%s\n", parent ? "the caller's, else from " : "from ", ids_from(l));
	if (l->p->http)
		buf_printf(out, "  servers  %s\n", l->downstream ? "hang below CLIENT: HAProxy sends them its id" :
						"not below HAProxy's spans");
}

/* ---- text -------------------------------------------------------------------------------------------------- */

static void place(struct buf *out, const struct cfg_place *at)
{
	shown(out, at->file->path);
	buf_printf(out, ":%u", at->line);
}

static void head(struct buf *out, const struct look *l)
{
	const struct cfg_proxy *p = l->p;

	buf_printf(out, "%s %.*s %.*s  ", !l->traffic || !l->understood ? "✗" : "●", (int)p->section->keyword.len,
		p->section->keyword.p, (int)p->name.len, p->name.p);
	place(out, &p->section->place);
	buf_printf(out, "\n  mode %s, ", p->http ? "http" : "tcp");
	if (l->profile) {
		buf_printf(out, "log-profile %.*s (", (int)l->profile->name.len, l->profile->name.p);
		place(out, &l->profile->section->place);
	} else if (p->log_format.by) {
		buf_printf(out, "%s (", cfg_log_kind_name(p->log_kind));
		place(out, &p->log_format.by->place);
	} else {
		buf_lit(out, "no format\n");
		return;
	}
	buf_lit(out, ")\n");
}

/* Words of `text` in lines of at most 100 columns. */
static void wrapped(struct buf *out, const char *text, unsigned indent)
{
	unsigned column = indent;

	buf_printf(out, "%*s", (int)indent, "");
	while (*text) {
		unsigned n = (unsigned)strcspn(text, " ");

		if (column > indent && column + 1 + n > 100) {
			buf_printf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			buf_char(out, ' ');
			column++;
		}
		buf_add(out, text, n);
		column += n;
		text += n;
		text += strspn(text, " ");
	}
	buf_char(out, '\n');
}

/* PROFILE_LOG for a frontend that logs somewhere already: to the same place. */
static void profile_log(struct buf *out, const struct cfg_log *log)
{
	bool ring = slice_starts(log->address, SLICE("ring@"));		/* it has a format of its own */

	buf_lit(out, "    log ");
	buf_slice(out, log->address);
	buf_printf(out, " len %" PRIu64, log->len < PROFILE_LEN ? (uint64_t)PROFILE_LEN : log->len);
	if (log->format.len || !ring) {
		buf_lit(out, " format ");
		buf_slice(out, log->format.len ? log->format : SLICE("rfc5424"));
	}
	buf_lit(out, " profile haspan ");
	buf_slice(out, log->facility.len ? log->facility : SLICE("local0"));
}

/* The lines of an advice as they would stand for this proxy. */
static void advice_lines(struct buf *out, const struct look *l, const struct advice *a)
{
	const struct cfg_log *log = NULL;

	for (uint32_t i = 0; i < l->p->nlogs && !log; i++)
		if (log_takes_traffic(&l->p->log[i]))
			log = &l->p->log[i];
	for (struct slice rest = slice_str(a->lines ? a->lines : ""); rest.len;) {
		struct slice line = slice_cut(&rest, '\n');

		if (log && slice_eq(line, SLICE(PROFILE_LOG)))
			profile_log(out, log);
		else
			buf_slice(out, line);
		buf_char(out, '\n');
	}
}

/* `again`: the lines were shown already. */
static void finding(struct buf *out, const struct look *l, enum advice_id id, bool again)
{
	const struct advice *a = &advice_table[id];
	const struct finding *f = &l->finding[id];
	struct buf lines = { .max = OUT_MAX };

	buf_printf(out, "  %s %-10s %s", severity_sign[a->severity], severity_name[a->severity], a->what);
	if (f->detail.len) {
		buf_lit(out, ": ");
		shown(out, f->detail);
	}
	if (f->by) {
		buf_lit(out, "  (");
		place(out, &f->by->place);
		buf_char(out, ')');
	}
	buf_char(out, '\n');
	wrapped(out, a->why, 15);
	if (a->lines && again) {
		buf_lit(out, "                   (as above)\n");
		return;
	}
	advice_lines(&lines, l, a);
	for (struct slice rest = slice_of(lines.p, lines.len); rest.len;) {
		buf_lit(out, "                   ");
		shown(out, slice_cut(&rest, '\n'));
		buf_char(out, '\n');
	}
	buf_free(&lines);
}

static void findings(struct buf *out, const struct look *l, uint64_t *told)
{
	for (int severity = 0; severity < SEVERITY_MAX; severity++)
		for (int id = 0; id < ADVICE_MAX; id++)
			if (look_found(l, (enum advice_id)id) && (int)advice_table[id].severity == severity) {
				finding(out, l, (enum advice_id)id, *told >> id & 1);
				*told |= UINT64_C(1) << id;
			}
}

static void edit_words(struct buf *out, const struct edit *e)
{
	buf_lit(out, "  ");
	shown(out, e->file->path);
	buf_printf(out, ":%u\n", e->at);
	for (unsigned i = 0; i < e->remove; i++) {
		buf_lit(out, "    - ");
		shown(out, slice_trim(file_line(e->file, e->at + i)));
		buf_char(out, '\n');
	}
	for (struct slice rest = e->add; rest.len;) {
		buf_lit(out, "    + ");
		shown(out, slice_trim(slice_cut(&rest, '\n')));
		buf_char(out, '\n');
	}
}

static void as_text(struct buf *out, const struct look *l, const struct edits *edits, uint64_t *told)
{
	head(out, l);
	if (l->traffic && l->understood) {
		tree(out, l);
		trace_words(out, l);
	}
	buf_char(out, '\n');
	findings(out, l, told);
	if (edits->first)
		buf_lit(out, "\n  lines that mend it (--fix makes a patch of them):\n");
	for (const struct edit *e = edits->first; e; e = e->next)
		edit_words(out, e);
	buf_char(out, '\n');
}

/* ---- JSON -------------------------------------------------------------------------------------------------- */

/* A string: what is no UTF-8 is replaced. */
static void json_text(struct buf *out, struct slice s)
{
	struct buf clean = { .max = OUT_MAX };

	buf_char(out, '"');
	if (text_valid(s)) {
		json_escape(out, s);
	} else {
		clean.len = text_clean(s, false, false, buf_room(&clean, 3 * s.len));
		json_escape(out, slice_of(clean.p, clean.len));
	}
	buf_char(out, '"');
	buf_free(&clean);
}

static void json_member(struct buf *out, const char *name, struct slice value)
{
	buf_printf(out, "\"%s\":", name);
	json_text(out, value);
	buf_char(out, ',');
}

static void json_place(struct buf *out, const struct cfg_place *at)
{
	json_member(out, "file", at->file->path);
	buf_printf(out, "\"line\":%u", at->line);
}

static void json_lines(struct buf *out, struct slice lines)
{
	buf_char(out, '[');
	for (bool first = true; lines.len; first = false) {
		if (!first)
			buf_char(out, ',');
		json_text(out, slice_cut(&lines, '\n'));
	}
	buf_char(out, ']');
}

static void json_advice(struct buf *out, const struct look *l, enum advice_id id)
{
	const struct advice *a = &advice_table[id];
	const struct finding *f = &l->finding[id];
	struct buf lines = { .max = OUT_MAX };

	buf_printf(out, "{\"id\":\"%s\",\"severity\":\"%s\",", a->id, severity_name[a->severity]);
	json_member(out, "what", slice_str(a->what));
	json_member(out, "why", slice_str(a->why));
	if (f->detail.len)
		json_member(out, "detail", f->detail);
	if (f->by) {
		json_place(out, &f->by->place);
		buf_char(out, ',');
	}
	buf_lit(out, "\"lines\":");
	advice_lines(&lines, l, a);
	json_lines(out, slice_of(lines.p, lines.len));
	buf_free(&lines);
	buf_char(out, '}');
}

static void json_edit(struct buf *out, const struct edit *e)
{
	buf_char(out, '{');
	json_place(out, &(struct cfg_place){ e->file, e->at });
	buf_lit(out, ",\"remove\":[");
	for (unsigned i = 0; i < e->remove; i++) {
		if (i)
			buf_char(out, ',');
		json_text(out, file_line(e->file, e->at + i));
	}
	buf_lit(out, "],\"add\":");
	json_lines(out, e->add);
	buf_char(out, '}');
}

static void json_spans(struct buf *out, const struct look *l)
{
	static const struct { const char *name; enum slot slot; bool http; } phases[] = {
		{ "haproxy.request", SLOT_TR, true }, { "haproxy.queue", SLOT_Tw, false },
		{ "haproxy.connect", SLOT_Tc, false }, { "haproxy.response", SLOT_Tr, true },
	};

	buf_lit(out, "\"spans\":[");
	if (l->traffic && l->understood) {
		buf_lit(out, "\"SERVER\"");
		if (look_has(l, SLOT_s))
			buf_lit(out, ",\"CLIENT\"");
		for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
			if (look_has(l, phases[i].slot) && (l->p->http || !phases[i].http))
				buf_printf(out, ",\"%s\"", phases[i].name);
		if (!l->p->logasap)
			buf_lit(out, ",\"haproxy.data\"");
	}
	buf_printf(out, "],\"parent\":%s,\"downstream\":%s,\"ids\":\"%s\"",
		l->understood && knows_parent(l) ? "true" : "false",
		l->downstream ? "true" : "false", ids_from(l));
}

static void as_json(struct buf *out, const struct look *l, const struct edits *edits)
{
	bool first = true;

	buf_char(out, '{');
	json_member(out, "section", l->p->section->keyword);
	json_member(out, "name", l->p->name);
	json_place(out, &l->p->section->place);
	buf_printf(out, ",\"mode\":\"%s\",\"log\":\"%s\",", l->p->http ? "http" : "tcp",
		l->profile ? "log-profile" : cfg_log_kind_name(l->p->log_kind));
	json_spans(out, l);
	buf_lit(out, ",\"advice\":[");
	for (int id = 0; id < ADVICE_MAX; id++)
		if (look_found(l, (enum advice_id)id)) {
			if (!first)
				buf_char(out, ',');
			json_advice(out, l, (enum advice_id)id);
			first = false;
		}
	buf_lit(out, "],\"edits\":[");
	for (const struct edit *e = edits->first; e; e = e->next) {
		json_edit(out, e);
		if (e->next)
			buf_char(out, ',');
	}
	buf_lit(out, "]}");
}

/* ---- the command -------------------------------------------------------------------------------------------- */

/* Nothing leads on to a server, and HAProxy's own pages are served. */
static bool is_for_pages(const struct cfg_proxy *p)
{
	bool pages = false;

	for (const struct cfg_directive *d = p->section->first; d; d = d->next) {
		if (slice_eq(d->word[0], SLICE("server")) || slice_starts(d->word[0], SLICE("server-template")) ||
		    slice_eq(d->word[0], SLICE("use_backend")))
			return false;
		pages |= slice_eq(d->word[0], SLICE("stats")) || (d->n > 1 && slice_eq(d->word[1], SLICE("use-service")));
	}
	return pages && !p->default_backend.by;
}

/* Traffic goes through it to servers, and what is logged of it is a request or a connection. */
static bool is_for_us(const struct cfg_proxy *p)
{
	return p->front && !is_for_pages(p) && (p->http || !p->mode.by || slice_eq(p->mode.text, SLICE("tcp")));
}

static void count(struct total *t, const struct look *l)
{
	t->frontends++;
	for (int id = 0; id < ADVICE_MAX; id++)
		t->found[advice_table[id].severity] += look_found(l, (enum advice_id)id);
}

static void notes(struct buf *out, const struct cfg *cfg, bool json)
{
	for (const struct cfg_note *n = cfg->note; n; n = n->next) {
		if (json) {
			buf_char(out, '{');
			json_place(out, &n->place);
			buf_lit(out, ",\"text\":");
			json_text(out, n->text);
			buf_slice(out, n->next ? SLICE("},") : SLICE("}"));
		} else {
			log_warn("%s:%u: %.*s", n->place.file->path.p, n->place.line, (int)n->text.len, n->text.p);
		}
	}
}

enum how { AS_TEXT, AS_JSON, AS_PATCH };

/* Every frontend; the edits of all of them are gathered for the patch. */
static void frontends(struct buf *out, const struct cfg *cfg, enum how how, struct total *t)
{
	struct edits all = { .arena = cfg->arena };
	uint64_t told = 0;

	for (const struct cfg_proxy *p = cfg->proxy; p; p = p->next) {
		struct look *l = arena_alloc(cfg->arena, sizeof(*l));
		struct edits own = { .arena = cfg->arena };

		if (!is_for_us(p))
			continue;
		doctor_look(l, cfg, p);
		doctor_fix(l, how == AS_PATCH ? &all : &own);
		if (how == AS_JSON && t->frontends)
			buf_char(out, ',');
		count(t, l);
		if (how == AS_TEXT)
			as_text(out, l, &own, &told);
		else if (how == AS_JSON)
			as_json(out, l, &own);
	}
	if (how == AS_PATCH)
		doctor_patch(&all, out);
}

static void report(struct buf *out, const struct cfg *cfg, enum how how, struct total *t)
{
	if (how == AS_JSON)
		buf_lit(out, "{\"frontends\":[");
	frontends(out, cfg, how, t);
	if (how == AS_JSON) {
		buf_lit(out, "],\"notes\":[");
		notes(out, cfg, true);
		buf_printf(out, "],\"essential\":%u,\"useful\":%u,\"hints\":%u}\n", t->found[ESSENTIAL], t->found[USEFUL],
			t->found[HINT]);
		return;
	}
	notes(out, cfg, false);
	if (how == AS_TEXT)
		buf_printf(out, "frontends=%u essential=%u useful=%u hints=%u\n", t->frontends, t->found[ESSENTIAL],
			t->found[USEFUL], t->found[HINT]);
}

int doctor_main(const struct options *o)
{
	enum how how = options_text(o, OPTION_FIX) ? AS_PATCH : options_text(o, OPTION_JSON) ? AS_JSON : AS_TEXT;
	struct slice *paths = arena_alloc(o->arena, ((size_t)o->noperands + 1) * sizeof(*paths));
	struct cfg *cfg = arena_alloc(o->arena, sizeof(*cfg));
	struct buf out = { .max = OUT_MAX };
	struct total total = { 0 };
	struct err err = { 0 };

	if (options_text(o, OPTION_FIX) && options_text(o, OPTION_JSON)) {
		log_error("--fix and --json are two outputs: doctor prints one of them (--json has the edits too)");
		return EXIT_USAGE;
	}
	if (o->noperands == 0) {
		log_error("doctor wants a haproxy.cfg: haspan doctor [--fix|--json] HAPROXY.CFG...");
		return EXIT_USAGE;
	}
	for (int i = 0; i < o->noperands; i++)
		paths[i] = slice_str(o->operands[i]);
	if (!cfg_read(cfg, paths, (uint32_t)o->noperands, o->arena, &err)) {
		err_print(&err);
		return (int)err.code;
	}
	report(&out, cfg, how, &total);
	if (how == AS_TEXT)		/* a patch has to be exact, and JSON escapes by itself */
		term_mask(out.p, out.len, "\n\t");
	fwrite(out.p, 1, out.len, stdout);
	buf_free(&out);
	if (total.frontends == 0)
		log_warn("there is no frontend in this configuration");
	return total.found[ESSENTIAL] ? EXIT_CHECK : EXIT_DONE;
}
