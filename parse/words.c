/*
 * parse/words.c - lines with names that nobody described: what the names mean, and only if the values have that form.
 */
#include "parse/object.h"

#include "core/civil.h"

#include <stdio.h>

static const struct { struct slice name; enum slot slot; bool moment; } words[] = {
#define WORD(name, slot) { { "" name, sizeof(name) - 1 }, SLOT_##slot, false },
#define MOMENT(name, slot) { { "" name, sizeof(name) - 1 }, SLOT_##slot, true },
#include "formats/words.def"
#undef WORD
#undef MOMENT
};

#define WORDS (sizeof(words) / sizeof(words[0]))

/* Aliases whose names people also give to dates. */
static const struct { enum slot alias, moment; } dates[] = {
	{ SLOT_t, SLOT_accept_us },  { SLOT_T, SLOT_accept_us },   { SLOT_Tl, SLOT_accept_us },
	{ SLOT_Ts, SLOT_accept_us }, { SLOT_tr, SLOT_request_us }, { SLOT_trg, SLOT_request_us },
	{ SLOT_trl, SLOT_request_us }, { SLOT_ts, SLOT_request_us }, { SLOT_rt, SLOT_request_us },
};

/* ---- names ------------------------------------------------------------------------------------------- */

#define WORD_MAX 64

/* Without what spellings differ in. Longer than any word: empty. */
static struct slice normal(struct slice name, char out[WORD_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = slice_lower(name.p[i]);

		if (c == '_' || c == '-')
			continue;
		if (n == WORD_MAX)
			return slice_of("", 0);
		out[n++] = c;
	}
	return slice_of(out, n);
}

const struct member *words_find(const struct object *o, struct slice name)
{
	struct slice plain = slice_of("", 0), last = name;
	char text[WORD_MAX];
	const struct member *m = object_lookup(o, normal(name, text), name);

	if (m)
		return m;
	if (name.len > 8 && slice_ieq(slice_of(name.p, 7), SLICE("haproxy")) && (name.p[7] == '.' || name.p[7] == '_'))
		name = slice_skip(name, 8);
	plain = normal(name, text);
	m = object_lookup(o, plain, name);
	if (!m && plain.len > 2 && slice_eq(slice_skip(plain, plain.len - 2), SLICE("ms")))
		m = object_lookup(o, slice_of(plain.p, plain.len - 2), slice_of("", 0));
	if (m || slice_find(name, '.') == name.len)
		return m;
	while (slice_find(last, '.') < last.len)
		slice_cut(&last, '.');
	return object_lookup(o, normal(last, text), slice_of("", 0));
}

/* ---- values ------------------------------------------------------------------------------------------ */

static bool all_digits(struct slice s)
{
	uint64_t n;

	return slice_uint(s, &n);
}

/* Digits of either case. */
static bool is_hex(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = slice_lower(s.p[i]);

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return s.len > 0;
}

static bool is_upper(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 'A' || s.p[i] > 'Z')
			return slice_eq(s, SLICE("<BADREQ>"));
	return s.len > 0;
}

/* A path, an absolute URI, `*`, CONNECT's host:port, or what HAProxy writes for none of them. */
static bool is_uri(struct slice s)
{
	return *s.p == '/' || *s.p == '*' || slice_eq(s, SLICE("<BADREQ>")) ||
	       (slice_find(s, ' ') == s.len && slice_find(s, ':') < s.len);
}

/* Has the text, which is not empty, the form of the field, beyond what its type asks? */
static bool has_form(enum slot slot, struct slice s)
{
	switch (slot) {
	case SLOT_ST:
		return s.len == 3 || slice_eq(s, SLICE("-1")) || slice_eq(s, SLICE("0"));
	case SLOT_HM:
		return is_upper(s);
	case SLOT_HU:
	case SLOT_HP:
	case SLOT_HPO:
		return is_uri(s);
	case SLOT_HV:
		return slice_starts(s, SLICE("HTTP/")) || (*s.p >= '0' && *s.p <= '9' && s.len <= 4);
	case SLOT_r:
		return is_upper(slice_of(s.p, slice_find(s, ' '))) && (slice_find(s, ' ') < s.len || *s.p == '<');
	case SLOT_trace_id:
		return (s.len == 32 || s.len == 16) && is_hex(s);
	case SLOT_span_id:
		return s.len == 16 && is_hex(s);
	case SLOT_traceparent:
		return s.len >= 55 && s.p[2] == '-' && s.p[35] == '-' && s.p[52] == '-';
	case SLOT_sslv:
		return slice_starts(s, SLICE("TLSv")) || slice_starts(s, SLICE("SSLv"));
	default:
		break;
	}
	switch (slot_info[slot].type) {
	case TYPE_IP:
		return slice_find(s, '.') < s.len || slice_find(s, ':') < s.len || slice_eq(s, SLICE("unix"));
	case TYPE_PORT:
		return all_digits(s) && s.len <= 5;
	case TYPE_SEC:
		return all_digits(s) && s.len == 10;
	case TYPE_US:
		return all_digits(s) && s.len == 16;
	case TYPE_NAME:
	case TYPE_FT:
		return slice_find(s, ' ') == s.len;
	default:
		return true;
	}
}

static bool store_field(struct reading *x, enum slot slot, struct slice text)
{
	/* Of both lengths in one slot: an attribute has one source in a plan. */
	if (slot == SLOT_ts)
		slot = SLOT_tsc;
	return !record_has(x->r, slot) && has_form(slot, text) &&
	       value_parse(slot_info[slot].type, text, slot, x->r, &x->p->day);
}

/* 192.0.2.1:4000 in one member. */
static bool store_address(struct reading *x, enum slot slot, enum slot port, struct slice text)
{
	size_t colon = slice_find(text, ':');

	if (slice_find(text, '.') < colon && colon < text.len)
		return store_field(x, port, slice_skip(text, colon + 1)) &&
		       store_field(x, slot, slice_of(text.p, colon));
	return store_field(x, slot, text);
}

/* Seconds since the epoch with a fraction. */
static bool fraction_us(struct slice s, int64_t *us)
{
	int64_t n = 0;

	if (s.len < 12 || s.len > 20 || s.p[10] != '.' || !all_digits(slice_of(s.p, 10)) ||
	    !all_digits(slice_skip(s, 11)))
		return false;
	for (size_t i = 0; i < 10; i++)
		n = n * 10 + (s.p[i] - '0');
	for (size_t i = 11; i < 17; i++)
		n = n * 10 + (i < s.len ? s.p[i] - '0' : 0);
	*us = n;
	return true;
}

/* A date of any form; `us`: whose microseconds it would be. */
static bool store_moment(struct reading *x, enum slot us, struct slice s)
{
	enum slot local = us == SLOT_accept_us ? SLOT_t : SLOT_tr, zoned = us == SLOT_accept_us ? SLOT_T : SLOT_trg;
	int64_t num;
	size_t len;
	bool known;
	int zone;

	if (record_has(x->r, us))
		return false;
	if (all_digits(s) && (s.len == 13 || s.len == 16)) {
		num = 0;
		for (size_t i = 0; i < 16; i++)
			num = num * 10 + (i < s.len ? s.p[i] - '0' : 0);
		record_set_num(x->r, us, num);
		return true;
	}
	if (us == SLOT_end_us)
		return false;
	if (s.len == DATE_LEN && s.p[2] == '/')
		return store_field(x, local, s);
	if (s.len == DATEZ_LEN && s.p[2] == '/')
		return store_field(x, zoned, s);
	if (s.len == 10 && all_digits(s))
		return store_field(x, SLOT_Ts, s);
	if ((civil_iso(s, &len, &num, &zone, &known) && len == s.len && known) || fraction_us(s, &num)) {
		record_set_num(x->r, us, num);
		return true;
	}
	return false;
}

/* Captured headers as an array, as "{a|b}" or "a|b": nothing else is a block. */
static bool store_block(struct reading *x, const struct member *m, struct slice text)
{
	return (*text.p == '{' || slice_find(text, '|') < text.len) &&
	       value_parse(TYPE_BLOCK, text, m->side ? SLOT_hs : SLOT_hr, x->r, &x->p->day);
}

bool words_store(struct reading *x, const struct member *m, struct slice text)
{
	enum slot slot = (enum slot)m->slot;

	switch ((enum member_what)m->what) {
	case MEMBER_DATE:
		/* A request counter of 13 digits would take a machine some years. */
		if (slot != SLOT_o && !(text.len >= 13 && all_digits(text)) && store_field(x, slot, text))
			return true;
		return store_moment(x, (enum slot)m->slot2, text);
	case MEMBER_ADDR:
		return store_address(x, slot, (enum slot)m->slot2, text);
	case MEMBER_BLOCK:
		return store_block(x, m, text);
	default:
		/* A frontend's name without '~' says nothing of TLS, unless it is known to be %ft. */
		if (slot == SLOT_ft && !m->exact && text.p[text.len - 1] != '~')
			slot = SLOT_f;
		return store_field(x, slot, text);
	}
}

/* ---- the line is read -------------------------------------------------------------------------------- */

static bool has_any(const struct record *r, const enum slot *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (record_has(r, slots[i]))
			return true;
	return false;
}

#define HAS_ANY(r, slots) has_any(r, slots, sizeof(slots) / sizeof((slots)[0]))

static const enum slot http_only[] = { SLOT_ST, SLOT_HM, SLOT_HU, SLOT_HP, SLOT_HPO, SLOT_HQ, SLOT_HV, SLOT_r, SLOT_TR,
				       SLOT_Tr, SLOT_Ta, SLOT_Tq, SLOT_Ti, SLOT_Tu, SLOT_CC, SLOT_CS, SLOT_host,
				       SLOT_user_agent };

/*
 * Of which fields it matters to reconstruct/ whether a line of the format can have them: a variant of the HTTP format
 * for each set of them. Bit k of its number says that those of row k are there.
 */
static const enum slot matters[][2] = {
	{ SLOT_TR, SLOT_TR }, { SLOT_Tq, SLOT_Tq }, { SLOT_Th, SLOT_Ti }, { SLOT_Tr, SLOT_Tr }, { SLOT_tr, SLOT_tr },
	{ SLOT_s, SLOT_s },
};

#define MATTERS (sizeof(matters) / sizeof(matters[0]))
enum { HTTP_VARIANTS = 1 << MATTERS, VARIANT_TCP = HTTP_VARIANTS, VARIANT_ERROR, VARIANTS };

/* The first variant has all fields: bit k says that those of row k are NOT there. */
static uint32_t http_variant(const struct record *r)
{
	uint32_t v = 0;

	for (size_t k = 0; k < MATTERS; k++)
		if (!record_has(r, matters[k][0]) && !record_has(r, matters[k][1]))
			v |= 1u << k;
	return v;
}

/* The dates of reconstruct/ for TCP are those of the accept. */
static void tcp_date(struct record *r)
{
	if (record_has(r, SLOT_request_us) && !record_has(r, SLOT_accept_us))
		record_set_num(r, SLOT_accept_us, r->v[SLOT_request_us].num);
	record_drop(r, SLOT_request_us);
}

/* One of several lines of a request: the others say the rest. */
static enum step step_of(struct slice origin)
{
	static const struct { struct slice word; enum step step; } steps[] = {
#define STEP(word, step, event) { { word, sizeof(word) - 1 }, STEP_##step },
#include "formats/steps.def"
#undef STEP
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (slice_eq(steps[i].word, origin))
			return steps[i].step;
	return STEP_UNKNOWN;
}

bool words_settle(struct reading *x)
{
	static const enum slot date[] = { SLOT_tr, SLOT_trg, SLOT_trl, SLOT_t, SLOT_T, SLOT_Tl, SLOT_Ts, SLOT_accept_us,
					  SLOT_request_us };
	static const enum slot duration[] = { SLOT_Ta, SLOT_Tt, SLOT_Td, SLOT_Tr, SLOT_end_us };
	struct record *r = x->r;
	enum step step = step_of(record_text(r, SLOT_OG));

	if (step == STEP_UNKNOWN && !(HAS_ANY(r, date) && HAS_ANY(r, duration)))
		return false;
	/* One attribute is for both, and a generic format can have both: the first of them counts (plan.c). */
	if (record_has(r, SLOT_ts) && !record_has(r, SLOT_tsc)) {
		record_set_text(r, SLOT_tsc, r->v[SLOT_ts].text);
		record_drop(r, SLOT_ts);
	}
	/* A name without '~' may have been %f: it does not say that there was no TLS. */
	if (record_num(r, SLOT_x_tls, 1) == 0)
		record_drop(r, SLOT_x_tls);
	/* Steps before the last do not show that there is nothing of HTTP. */
	if (step == STEP_ERROR) {
		r->format = x->f->variants[VARIANT_ERROR];
	} else if (HAS_ANY(r, http_only) || (step != STEP_UNKNOWN && step != STEP_CLOSE)) {
		r->format = x->f->variants[http_variant(r)];
	} else {
		tcp_date(r);
		r->format = x->f->variants[VARIANT_TCP];
	}
	return true;
}

/* ---- making the three formats -------------------------------------------------------------------------- */

static bool is_port(enum slot slot)
{
	return slot == SLOT_cp || slot == SLOT_fp || slot == SLOT_bp || slot == SLOT_sp;
}

static struct member member_of(enum slot slot)
{
	struct member m = { .what = MEMBER_SLOT, .slot = (uint8_t)slot };

	if (slot_info[slot].type == TYPE_IP && is_port((enum slot)(slot + 1))) {
		m.what = MEMBER_ADDR;
		m.slot2 = (uint8_t)(slot + 1);
	}
	if (slot_info[slot].type == TYPE_BLOCK || slot_info[slot].type == TYPE_LIST) {
		m.what = MEMBER_BLOCK;
		m.side = slot == SLOT_hs || slot == SLOT_hsl;
	}
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		if (dates[i].alias == slot) {
			m.what = MEMBER_DATE;
			m.slot2 = (uint8_t)dates[i].moment;
		}
	return m;
}

static void add_exact(struct object_maker *m, struct slice name, struct member member)
{
	char text[WORD_MAX];

	member.spelling = arena_copy(m->arena, name);
	member.name = normal(name, text);
	member.exact = true;
	if (member.name.len)
		object_add(m, member);
}

/* What the user named goes first. Extra fields are the same in all variants. */
static void add_mapped(struct object_maker *m, struct format *first, const struct naming *naming)
{
	for (uint32_t i = 0; i < naming->nmap; i++) {
		struct slice to = naming->map_to[i];
		int slot = slot_find(to), extra;

		if (slot >= 0) {
			add_exact(m, naming->map_from[i], member_of((enum slot)slot));
			continue;
		}
		extra = format_add_extra(first, naming->map_from[i], to, TYPE_RAW);
		if (extra >= 0)
			add_exact(m, naming->map_from[i],
				  (struct member){ .what = MEMBER_EXTRA, .slot = (uint8_t)extra });
	}
}

static struct object *make_object(struct arena *arena, enum object_kind kind, struct format *first,
				  const struct naming *naming)
{
	struct object_maker m = { .arena = arena };
	char text[WORD_MAX];

	first->nextra = 0;
	add_mapped(&m, first, naming);
	for (int s = 0; s < SLOT_MAX; s++)
		if (slot_info[s].name.len && s != SLOT_o)
			add_exact(&m, slot_info[s].name, member_of((enum slot)s));
	for (size_t i = 0; i < WORDS; i++) {
		struct member w = member_of(words[i].slot);

		if (words[i].moment)
			w = (struct member){ .what = MEMBER_DATE, .slot = SLOT_o, .slot2 = (uint8_t)words[i].slot };
		w.name = normal(words[i].name, text);
		object_add(&m, w);
	}
	return object_make(&m, kind, true);
}

static void fill_variant(struct format *f, const struct format *first, uint32_t n)
{
	*f = *first;
	f->mode = n == VARIANT_TCP ? MODE_TCP : n == VARIANT_ERROR ? MODE_ERROR : MODE_HTTP;
	for (size_t k = 0; k < MATTERS && n < HTTP_VARIANTS; k++)
		for (int i = 0; i < 2 && (n >> k & 1); i++)
			f->slots[matters[k][i] >> 6] &= ~(UINT64_C(1) << (matters[k][i] & 63));
}

static struct format *const *make_variants(struct arena *arena, const struct format *first)
{
	struct format **v = arena_alloc(arena, VARIANTS * sizeof(*v));

	for (uint32_t n = 0; n < VARIANTS; n++) {
		v[n] = arena_alloc(arena, sizeof(**v));
		fill_variant(v[n], first, n);
		v[n]->name = SLICE("json, cbor, keyvalue");
		v[n]->whole = v[v[n]->mode == MODE_HTTP ? 0 : n];
	}
	return v;
}

struct format *generic_format(struct formats *set, enum object_kind kind, const struct naming *naming)
{
	static const struct slice names[] = { { "json", 4 }, { "cbor", 4 }, { "keyvalue", 8 } };
	struct format *f = arena_alloc(set->arena, sizeof(*f));

	f->name = names[kind];
	f->text = SLICE("members by their names");
	f->slots[0] = f->slots[1] = UINT64_MAX;
	format_captures(f, naming, set->arena);
	f->pairs = true;
	f->object = make_object(set->arena, kind, f, naming);
	/* One set of variants does for all three kinds: nothing in them tells how the line was written. */
	for (uint32_t i = 0; i < set->n && !f->variants; i++)
		if (set->v[i]->nvariants)
			f->variants = set->v[i]->variants;
	if (!f->variants)
		f->variants = make_variants(set->arena, f);
	f->nvariants = VARIANTS;
	return f;
}

/* ---- haspan formats ------------------------------------------------------------------------------------ */

void words_print(void)
{
	printf("\nWords (members of JSON, CBOR and key=value lines without a format; aliases too)\n\n");
	for (size_t i = 0; i < WORDS; i++) {
		struct slice field = slot_info[words[i].slot].name;

		printf("  %-24s %s%s%s\n", words[i].name.p, words[i].slot < SLOT_accept_us ? "%" : "", field.p,
		       words[i].moment ? ", a date of any form" : "");
	}
}
