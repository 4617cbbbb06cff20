/*
 * parse/cfg_formats.c - what the frontends of a haproxy.cfg write becomes the format set.
 *
 * A text that means the same to several frontends is compiled once. What they call their captures may differ: then
 * the one program has variants, and the frontend's name in the line says which one it is.
 */
#include "core/buf.h"
#include "core/log.h"
#include "parse/cfg_private.h"
#include "parse/names.h"
#include "parse/program.h"

#include <stdio.h>

#define GROUP_BUCKETS 4096
#define GROUP_MEMBERS 24		/* HAProxy 3.4 has 14 steps and do-log contexts */
#define KEY_MAX ((size_t)1024 * 1024)

/* One text: the only one of its group, or a step of a log-profile. */
struct member {
	struct slice text, word;		/* word: of the step; empty: none */
	const struct cfg_directive *by;
	enum step step;
	struct format *format;			/* NULL: not compiled */
};

/* A frontend that writes the lines of a group. */
struct use {
	const struct cfg_proxy *px;
	const struct naming *naming;
	struct use *next;
};

/* Texts that are compiled together: all that has the same key. */
struct group {
	struct slice key;
	uint32_t hash;
	struct member *member;
	uint32_t n;
	bool error;				/* error-log-format */
	bool profile;
	struct format *whole;
	struct use *use, *last;
	uint32_t nuses;
	struct group *next, *same_hash;
};

/* What users of a group call their captures: one of several namings. */
struct distinct {
	const struct naming *naming;
	uint32_t hash;
	struct format *whole, *format;
	struct distinct *same_hash;
};

#define DISTINCT_BUCKETS 1024
#define LIKES 16

struct work {
	struct formats *set;
	const struct cfg *cfg;
	const struct naming *user;
	struct arena *arena;
	struct buf key;
	bool unique;				/* it would be too long: this one shares nothing */
	struct group *first, **end;
	struct group *bucket[GROUP_BUCKETS];
	struct distinct *distinct[DISTINCT_BUCKETS];	/* of the group at hand */
	uint32_t ndistinct;
	const struct format *like[LIKES];	/* formats with fields like no other's before, the last ones */
	uint32_t nlikes;
	struct err *err;
};

/* ---- names ----------------------------------------------------------------------------------------------- */

/* What --map would have to say for the expressions of a text; the user's own words come first. */
struct maps {
	struct slice *from, *to;
	uint32_t n, cap;
};

static void map_add(struct work *w, struct maps *m, struct slice from, struct slice to)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (slice_eq(m->from[i], from))
			return;
	if (m->n == m->cap) {
		struct slice *old_from = m->from, *old_to = m->to;

		m->cap = m->cap ? 2 * m->cap : 8;
		m->from = arena_alloc(w->arena, m->cap * sizeof(*m->from));
		m->to = arena_alloc(w->arena, m->cap * sizeof(*m->to));
		if (m->n) {
			memcpy(m->from, old_from, m->n * sizeof(*m->from));
			memcpy(m->to, old_to, m->n * sizeof(*m->to));
		}
	}
	m->from[m->n] = from;
	m->to[m->n++] = to;
}

static void map_text(struct work *w, struct maps *m, const struct cfg_proxy *px, struct slice text)
{
	struct slice expr;

	for (size_t at = 0; cfg_next_expr(text, &at, &expr);) {
		struct slice means = cfg_meaning(w->cfg, px, expr);

		if (means.len)
			map_add(w, m, expr, means);
	}
}

/* A slot is called by its header, or by the expression that fills it; it keeps its place without a name too. */
static const struct slice *slot_names(struct work *w, struct maps *m, const struct cfg_proxy *px, int side)
{
	uint32_t n = px->ncaptures[side];
	struct slice *names = arena_alloc(w->arena, n * sizeof(*names) + 1);

	for (uint32_t i = 0; i < n; i++) {
		const struct cfg_capture *c = &px->capture[side][i];
		char *p;

		names[i] = c->name;
		if (c->name.len || !c->expr.len)
			continue;
		map_text(w, m, px, c->expr);
		p = arena_alloc(w->arena, c->expr.len + 4);
		memcpy(p, "%[", 2);
		memcpy(p + 2, c->expr.p, c->expr.len);
		p[c->expr.len + 2] = ']';
		names[i] = slice_of(p, c->expr.len + 3);
		map_text(w, m, px, names[i]);
	}
	return names;
}

/* ---- groups ---------------------------------------------------------------------------------------------- */

static uint32_t hash_of(struct slice s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

static void key_add(struct work *w, struct slice s)
{
	/* Texts have no such byte: HAProxy's lines end at it. */
	w->unique |= w->key.len + s.len + 1 > KEY_MAX;
	if (w->unique)
		return;
	buf_slice(&w->key, s);
	buf_char(&w->key, '\0');
}

static void key_number(struct work *w, unsigned long long n)
{
	char text[24];

	key_add(w, slice_of(text, (size_t)snprintf(text, sizeof(text), "%llu", n)));
}

static bool has_list(struct slice text)
{
	return text.len && (memmem(text.p, text.len, "hrl", 3) || memmem(text.p, text.len, "hsl", 3));
}

/* How many captures there are belongs to the program only where they are not in a block. */
static struct slice make_key(struct work *w, const struct cfg_proxy *px, const struct member *m, uint32_t n,
			     const struct maps *maps, struct slice profile, bool error)
{
	bool list = false;

	w->key.len = 0;
	w->unique = false;
	key_add(w, profile);
	key_number(w, error);
	for (uint32_t i = 0; i < n; i++) {
		key_add(w, m[i].text);
		key_number(w, m[i].step);
		list |= has_list(m[i].text);
	}
	for (uint32_t i = 0; i < maps->n; i++) {
		key_add(w, maps->from[i]);
		key_add(w, maps->to[i]);
	}
	if (list)
		key_number(w, px->ncaptures[0] * 64 + px->ncaptures[1]);
	return slice_of(w->key.p, w->key.len);
}

static struct group *group_of(struct work *w, struct slice key, const struct member *m, uint32_t n)
{
	uint32_t hash = hash_of(key);
	struct group *g = w->bucket[hash % GROUP_BUCKETS];

	while (g && (g->hash != hash || !slice_eq(g->key, key)))
		g = g->same_hash;
	if (g && !w->unique)
		return g;
	g = arena_alloc(w->arena, sizeof(*g));
	*g = (struct group){ .key = arena_copy(w->arena, key), .hash = hash, .n = n,
			     .same_hash = w->bucket[hash % GROUP_BUCKETS] };
	g->member = arena_alloc(w->arena, n * sizeof(*m));
	memcpy(g->member, m, n * sizeof(*m));
	w->bucket[hash % GROUP_BUCKETS] = g;
	*w->end = g;
	w->end = &g->next;
	return g;
}

/* `px` writes what the `n` members say. */
static void add_use(struct work *w, const struct cfg_proxy *px, const struct member *m, uint32_t n,
		    struct slice profile, bool error)
{
	struct naming *naming = arena_alloc(w->arena, sizeof(*naming));
	struct use *u = arena_alloc(w->arena, sizeof(*u));
	struct maps maps = { 0 };
	struct group *g;

	for (uint32_t i = 0; i < w->user->nmap; i++)
		map_add(w, &maps, w->user->map_from[i], w->user->map_to[i]);
	for (uint32_t i = 0; i < n; i++)
		map_text(w, &maps, px, m[i].text);
	g = group_of(w, make_key(w, px, m, n, &maps, profile, error), m, n);
	g->error = error;
	g->profile = profile.len > 0;
	if (g->last && g->last->px == px)	/* two log lines with the same profile */
		return;
	naming->request = slot_names(w, &maps, px, CAPTURE_REQUEST);
	naming->nrequest = px->ncaptures[CAPTURE_REQUEST];
	naming->response = slot_names(w, &maps, px, CAPTURE_RESPONSE);
	naming->nresponse = px->ncaptures[CAPTURE_RESPONSE];
	naming->map_from = maps.from;
	naming->map_to = maps.to;
	naming->nmap = maps.n;
	naming->chosen_id = cfg_ids_unique(px) ? ID_OWN :
			    cfg_header_find(px, SLICE("traceparent")) ? ID_CHOSEN_SENT : ID_CHOSEN;
	*u = (struct use){ px, naming, NULL };
	if (g->last)
		g->last->next = u;
	else
		g->use = u;
	g->last = u;
	g->nuses++;
}

/* The steps of the profile that `px` logs by; a step without a format writes the proxy's. */
static void add_profile(struct work *w, const struct cfg_proxy *px, const struct cfg_profile *profile)
{
	struct member m[GROUP_MEMBERS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < profile->nsteps && n < GROUP_MEMBERS; i++) {
		const struct cfg_step *s = &profile->step[i];
		const struct cfg_setting *format = s->format.by ? &s->format : &px->log_format;

		if (!s->drop && format->by && format->text.len)
			m[n++] = (struct member){ format->text, s->word, format->by, s->step, NULL };
	}
	if (n)
		add_use(w, px, m, n, profile->name, false);
}

static void add_proxy(struct work *w, const struct cfg_proxy *px)
{
	const struct member normal = { .text = px->log_format.text, .by = px->log_format.by };
	const struct member error = { .text = px->error_log_format.text, .by = px->error_log_format.by };

	if (normal.by && normal.text.len)
		add_use(w, px, &normal, 1, SLICE(""), false);
	/* The same text for both: then only what it says tells a failed connection. */
	if (error.by && error.text.len && !(normal.by && slice_eq(error.text, normal.text)))
		add_use(w, px, &error, 1, SLICE(""), true);
	for (uint32_t i = 0; i < px->nlogs; i++)
		if (px->log[i].profile)
			add_profile(w, px, px->log[i].profile);
}

/* ---- warnings -------------------------------------------------------------------------------------------- */

/* Where `text` stands in its line of the file, as it is written there; 0: it is written with escapes. */
static unsigned column_of(const struct cfg_directive *by, struct slice text)
{
	struct slice rest = by->place.file->text, line = rest;
	const char *at;

	for (unsigned n = 0; n < by->place.line && rest.p; n++)
		line = slice_cut(&rest, '\n');
	at = line.len && text.len ? memmem(line.p, line.len, text.p, text.len) : NULL;
	return at ? (unsigned)(at - line.p) + 1 : 0;
}

/* `why` is what the compiler said about the text of `m`. */
static void refuse(const struct group *g, const struct member *m, const struct err *why)
{
	unsigned column = column_of(m->by, m->text);
	const struct cfg_place *place = &m->by->place;
	char others[48] = "", where[32] = "", what[64] = "log-format";

	if (g->nuses > 1)
		snprintf(others, sizeof(others), " and %u others", g->nuses - 1);
	if (column && why->column)
		snprintf(where, sizeof(where), ":%u", column + why->column - 1);
	if (g->profile)
		snprintf(what, sizeof(what), "step %.32s", m->word.p);
	log_warn("%.256s:%u%s: the %s%s of %s %.64s%s is not used: %.400s", place->file->path.p, place->line, where,
		 g->error ? "error-" : "", g->error ? "log-format" : what, g->use->px->section->keyword.p,
		 g->use->px->name.p, others, why->text);
	if (why->quoted[0]) {
		log_warn("    %s", why->quoted);
		log_warn("    %*s^", (int)why->caret, "");
	}
}

/* ---- compiling ------------------------------------------------------------------------------------------- */

/* Names on which all users agree, for lines that don't say whose they are. */
static void agree(struct work *w, const struct group *g, struct naming *out)
{
	const struct naming *first = g->use->naming;
	struct slice *names[CAPTURE_SIDES];

	*out = *first;
	names[0] = arena_alloc(w->arena, first->nrequest * sizeof(**names) + 1);
	names[1] = arena_alloc(w->arena, first->nresponse * sizeof(**names) + 1);
	memcpy(names[0], first->request, first->nrequest * sizeof(**names));
	memcpy(names[1], first->response, first->nresponse * sizeof(**names));
	out->request = names[0];
	out->response = names[1];
	for (const struct use *u = g->use->next; u; u = u->next)
		if (u->naming->chosen_id > out->chosen_id)
			out->chosen_id = u->naming->chosen_id;
	for (const struct use *u = g->use->next; u; u = u->next) {
		const struct naming *n = u->naming;

		if (n->nrequest != out->nrequest || n->nresponse != out->nresponse) {
			out->nrequest = out->nresponse = 0;
			return;
		}
		for (uint32_t i = 0; i < n->nrequest; i++)
			if (!slice_eq(n->request[i], names[0][i]))
				names[0][i] = slice_of("", 0);
		for (uint32_t i = 0; i < n->nresponse; i++)
			if (!slice_eq(n->response[i], names[1][i]))
				names[1][i] = slice_of("", 0);
	}
}

/* A format of an error-log-format tells of a connection that failed: it needs a date, but no duration. */
static bool complete(const struct group *g, struct format *f, struct err *err)
{
	if (!g->error)
		return format_complete(f, err);
	f->slots[SLOT_error >> 6] |= UINT64_C(1) << (SLOT_error & 63);
	return format_complete(f, err);
}

static void merge(struct format *whole, const struct format *step)
{
	for (int k = 0; k < 2; k++) {
		whole->slots[k] |= step->slots[k];
		whole->every[k] &= step->slots[k];
	}
	whole->extra = step->extra;	/* those before it are in it */
	whole->nextra = step->nextra;
}

static void compile_members(struct work *w, struct group *g, const struct naming *naming)
{
	for (uint32_t i = 0; i < g->n; i++) {
		struct member *m = &g->member[i];
		struct err err = { 0 };
		char name[256];

		snprintf(name, sizeof(name), "%.160s:%u%s%.32s", m->by->place.file->path.p, m->by->place.line,
			 m->word.len ? " " : "", m->word.len ? m->word.p : "");
		m->format = format_make(w->set, slice_str(name), m->text, naming, g->whole, &err);
		if (!m->format)
			refuse(g, m, &err);
		else
			merge(g->whole, m->format);
	}
}

/* All or nothing: steps that even together do not say when a request began or how long it took are of no use. */
static bool compile_group(struct work *w, struct group *g, const struct naming *naming)
{
	struct err err = { 0 };
	bool any = false;

	g->whole = arena_alloc(w->arena, sizeof(*g->whole));
	g->whole->every[0] = g->whole->every[1] = UINT64_MAX;
	compile_members(w, g, naming);
	for (uint32_t i = 0; i < g->n; i++)
		any |= g->member[i].format != NULL;
	if (!any)
		return false;
	g->whole->name = g->n == 1 ? g->member[0].format->name : SLICE("log-profile");
	g->whole->text = g->member[0].text;
	if (!complete(g, g->whole, &err)) {
		refuse(g, &g->member[0], &err);
		return false;
	}
	for (uint32_t i = 0; i < g->n; i++) {
		struct format *f = g->member[i].format;

		if (!f)
			continue;
		f->extra = g->whole->extra;
		f->nextra = g->whole->nextra;
		f->step = (uint8_t)g->member[i].step;
		f->mode = f->step == STEP_ERROR ? MODE_ERROR : g->whole->mode;
		if (g->error)
			f->slots[SLOT_error >> 6] |= UINT64_C(1) << (SLOT_error & 63);
		if (g->n > 1)
			f->whole = g->whole;
	}
	return true;
}

/* ---- variants -------------------------------------------------------------------------------------------- */

static bool same_names(const struct naming *a, const struct naming *b)
{
	if (a->nrequest != b->nrequest || a->nresponse != b->nresponse || a->chosen_id != b->chosen_id)
		return false;
	for (uint32_t i = 0; i < a->nrequest; i++)
		if (!slice_eq(a->request[i], b->request[i]))
			return false;
	for (uint32_t i = 0; i < a->nresponse; i++)
		if (!slice_eq(a->response[i], b->response[i]))
			return false;
	return true;
}

static struct format *named_copy(struct work *w, const struct format *f, const struct naming *naming)
{
	struct format *copy = arena_alloc(w->arena, sizeof(*copy));

	*copy = *f;
	copy->like = f;
	format_captures(copy, naming, w->arena);
	formats_plan(w->set, copy);
	return copy;
}

static uint32_t hash_names(const struct naming *n)
{
	uint32_t h = n->nrequest * 64 + n->nresponse + n->chosen_id;

	for (uint32_t i = 0; i < n->nrequest; i++)
		h = h * 31 + hash_of(n->request[i]);
	for (uint32_t i = 0; i < n->nresponse; i++)
		h = h * 37 + hash_of(n->response[i]);
	return h;
}

static struct distinct *distinct_of(struct work *w, const struct naming *naming)
{
	uint32_t hash = hash_names(naming);
	struct distinct **bucket = w->distinct, *d = bucket[hash % DISTINCT_BUCKETS];

	while (d && (d->hash != hash || !same_names(d->naming, naming)))
		d = d->same_hash;
	if (!d) {
		d = arena_alloc(w->arena, sizeof(*d));
		*d = (struct distinct){ naming, hash, NULL, NULL, bucket[hash % DISTINCT_BUCKETS] };
		bucket[hash % DISTINCT_BUCKETS] = d;
		w->ndistinct++;
	}
	return d;
}

/* The formats of one naming; where all users have the same one, the program's own. */
static const struct format *variant_of(struct work *w, const struct group *g, struct member *m,
				       const struct naming *naming)
{
	struct distinct *d = distinct_of(w, naming);

	if (w->ndistinct == 1)
		return m->format;
	if (g->n > 1 && !d->whole)
		d->whole = named_copy(w, g->whole, naming);
	if (!d->format) {
		d->format = named_copy(w, m->format, naming);
		d->format->whole = d->whole;
	}
	return d->format;
}

static void add_variants(struct work *w, const struct group *g, struct member *m)
{
	struct names *v = names_new(w->arena, g->nuses);

	for (uint32_t i = 0; i < DISTINCT_BUCKETS; i++)
		for (struct distinct *d = w->distinct[i]; d; d = d->same_hash)
			d->format = NULL;
	for (const struct use *u = g->use; u; u = u->next)
		names_add(v, w->arena, u->px->name, variant_of(w, g, m, u->naming));
	m->format->by_frontend = v;
}

/* Lines with the same fields, however they are written, have the same attributes but for captures and extra fields. */
static void share_plan(struct work *w, struct format *f)
{
	uint32_t known = w->nlikes < LIKES ? w->nlikes : LIKES;

	for (uint32_t i = 0; i < known && !f->like; i++)
		if (w->like[i]->slots[0] == f->slots[0] && w->like[i]->slots[1] == f->slots[1] &&
		    w->like[i]->mode == f->mode)
			f->like = w->like[i];
	if (!f->like)
		w->like[w->nlikes++ % LIKES] = f;
}

static bool names_frontend(const struct format *f)
{
	return format_has(f, SLOT_f) || format_has(f, SLOT_ft);
}

static bool add_group(struct work *w, struct group *g)
{
	struct naming common;
	bool list = false;

	agree(w, g, &common);
	memset(w->distinct, 0, sizeof(w->distinct));
	w->ndistinct = 0;
	for (const struct use *u = g->use; u; u = u->next)
		distinct_of(w, u->naming);
	for (uint32_t i = 0; i < g->n; i++)
		list |= has_list(g->member[i].text);
	if (!compile_group(w, g, &common))
		return true;
	if (g->n > 1) {
		format_captures(g->whole, &common, w->arena);
		formats_plan(w->set, g->whole);
	}
	for (uint32_t i = 0; i < g->n; i++) {
		struct member *m = &g->member[i];

		if (!m->format)
			continue;
		if (names_frontend(m->format)) {
			/* How many captures there are, the frontend's name tells: a block of them is of either side. */
			if (!list && w->ndistinct > 1)
				m->format->ncap[0] = m->format->ncap[1] = 0;
			add_variants(w, g, m);
		}
		share_plan(w, m->format);
		if (!formats_append(w->set, m->format, w->err))
			return false;
		formats_own(w->set);
		for (const struct use *u = g->use; u && m->format->by_frontend; u = u->next)
			frontends_add(w->set, u->px->name, w->set->n - 1);
	}
	return true;
}

bool formats_add_cfg(struct formats *set, const struct cfg *cfg, const struct naming *naming, struct err *err)
{
	struct work *w = arena_alloc(set->arena, sizeof(*w));
	bool ok = true;

	*w = (struct work){ .set = set, .cfg = cfg, .user = naming, .arena = set->arena, .err = err,
			    .key = { .max = 2 * KEY_MAX } };
	w->end = &w->first;
	set->frontends = names_new(set->arena, cfg->nproxies);
	for (const struct cfg_proxy *px = cfg->proxy; px; px = px->next)
		if (px->front && px->name.len)
			add_proxy(w, px);
	for (struct group *g = w->first; g && ok; g = g->next)
		ok = add_group(w, g);
	buf_free(&w->key);
	if (ok)
		frontends_settle(set);
	return ok;
}
