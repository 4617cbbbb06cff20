/*
 * parse/object.c - members of JSON, CBOR and key=value lines become the fields of a record.
 */
#include "parse/object.h"

#include "core/scan.h"

#include <stdio.h>
#include <stdlib.h>

#define PATH_LOST UINT16_MAX

char *object_scratch(struct reading *x, size_t n)
{
	struct parser *p = x->p;
	char *out = p->scratch + p->scratch_used;

	/* What is left must do for cleaning all of it (parse.c): 3 bytes for each. */
	if (SCRATCH_SIZE - p->scratch_used < n + BLOCK_PAD)
		return NULL;
	p->scratch_used += n;
	return out;
}

/* ---- the table --------------------------------------------------------------------------------------- */

static uint32_t hash_of(struct slice name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)name.p[i]) * 16777619u;
	return h ^ h >> 15;
}

bool object_add(struct object_maker *m, struct member member)
{
	if (m->n == OBJECT_MEMBERS_MAX)
		return false;
	if (m->n == m->cap) {
		struct member *v = realloc(m->v, (m->cap + 64) * sizeof(*v));

		if (!v)
			abort();
		m->v = v;
		m->cap += 64;
	}
	member.name = arena_copy(m->arena, member.name);
	m->v[m->n++] = member;
	return true;
}

struct object *object_make(struct object_maker *m, enum object_kind kind, bool generic)
{
	struct object *o = arena_alloc(m->arena, sizeof(*o));
	struct member *v = arena_alloc(m->arena, m->n * sizeof(*v) + 1);
	uint32_t size = 16;
	uint16_t *hash;

	while (size < 3 * m->n)
		size *= 2;
	hash = arena_alloc(m->arena, size * sizeof(*hash));
	if (m->n)
		memcpy(v, m->v, m->n * sizeof(*v));
	for (uint32_t i = 0; i < m->n; i++) {
		uint32_t at = hash_of(v[i].name) & (size - 1);

		while (hash[at])
			at = (at + 1) & (size - 1);
		hash[at] = (uint16_t)(i + 1);
	}
	*o = (struct object){ .kind = (uint8_t)kind, .generic = generic, .n = m->n, .v = v, .mask = size - 1,
			      .hash = hash };
	free(m->v);
	*m = (struct object_maker){ .arena = m->arena };
	return o;
}

const struct member *object_lookup(const struct object *o, struct slice name, struct slice exact)
{
	for (uint32_t at = hash_of(name) & o->mask; o->hash[at]; at = (at + 1) & o->mask) {
		const struct member *m = &o->v[o->hash[at] - 1];

		if (m->exact ? slice_eq(m->spelling, exact) : slice_eq(m->name, name))
			return m;
	}
	return NULL;
}

static inline const struct member *find(struct reading *x, struct slice name)
{
	const struct object *o = x->o;
	const struct member *m;

	if (o->generic)
		return words_find(o, name);
	if (x->expect < o->n && slice_eq(o->v[x->expect].name, name))
		return &o->v[x->expect++];
	m = x->strict ? NULL : object_lookup(o, name, name);
	if (m)
		x->expect = (uint32_t)(m - o->v) + 1;
	return m;
}

/* ---- values ------------------------------------------------------------------------------------------ */

static inline bool absent(struct slice s)
{
	return s.len == 0 || (s.len == 1 && *s.p == '-');
}

static struct slice unescaped(struct reading *x, struct slice raw)
{
	char *out = object_scratch(x, raw.len);
	size_t n;

	if (!out)
		return slice_of("", 0);
	n = json_unescape(raw, out);
	x->p->scratch_used -= raw.len - n;
	x->r->flags |= RECORD_DECODED;
	return slice_of(out, n);
}

static struct slice printed(struct reading *x, int64_t num)
{
	char *out = object_scratch(x, 24);
	int n;

	if (!out)
		return slice_of("", 0);
	n = snprintf(out, 24, "%lld", (long long)num);
	x->p->scratch_used -= 24 - (size_t)n;
	return slice_of(out, (size_t)n);
}

/* The value as text. */
static inline struct slice text_of(struct reading *x, const struct scalar *s)
{
	switch ((enum scalar_kind)s->kind) {
	case SCALAR_TEXT:
		return s->escaped ? unescaped(x, s->text) : s->text;
	case SCALAR_NUMBER:
		return s->text;
	case SCALAR_INT:
		return printed(x, s->num);
	case SCALAR_BOOL:
		return s->num ? SLICE("true") : SLICE("false");
	case SCALAR_NULL:
		break;
	}
	return slice_of("", 0);
}

/* Relays that know only floating point write 20 as 20.0. */
static struct slice without_fraction(struct slice s)
{
	size_t n = s.len;

	while (n > 0 && s.p[n - 1] == '0')
		n--;
	return n > 1 && n < s.len && s.p[n - 1] == '.' ? slice_of(s.p, n - 1) : s;
}

static bool store_number(struct reading *x, enum slot slot, enum field_type t, const struct scalar *s)
{
	struct slice text = s->text;
	unsigned digits;
	uint64_t n;

	if (s->kind == SCALAR_INT) {
		record_set_num(x->r, slot, s->num);
		return true;
	}
	if (s->kind == SCALAR_BOOL)
		return false;
	if (s->escaped)
		text = unescaped(x, text);
	if (text.len && text.len < 8) {
		n = scan_number(text.p, &digits);
		if (digits == text.len) {
			record_set_num(x->r, slot, (int64_t)n);
			return true;
		}
	}
	return value_parse(t, without_fraction(text), slot, x->r, &x->p->day);
}

static inline bool is_number(enum field_type t)
{
	return t == TYPE_INT || t == TYPE_MS || t == TYPE_PORT || t == TYPE_MSEC || t == TYPE_SEC || t == TYPE_US;
}

static bool store_addr(struct reading *x, const struct member *m, struct slice text)
{
	size_t at = text.len;

	while (at > 0 && text.p[at - 1] != ':')
		at--;
	if (at == 0)
		return value_parse(TYPE_IP, text, (enum slot)m->slot, x->r, &x->p->day);
	return value_parse(TYPE_IP, slice_of(text.p, at - 1), (enum slot)m->slot, x->r, &x->p->day) &&
	       value_parse(TYPE_PORT, slice_skip(text, at), (enum slot)m->slot2, x->r, &x->p->day);
}

static void store_capture(struct captures *c, uint32_t index, struct slice text)
{
	if (index >= CAPTURES_MAX)
		return;
	while (c->n <= index)
		c->v[c->n++] = (struct slice){ NULL, 0 };
	c->v[index] = absent(text) ? (struct slice){ NULL, 0 } : text;
}

/* false: the value has not the form of the field. */
static bool store(struct reading *x, const struct member *m, const struct scalar *s)
{
	struct record *r = x->r;
	enum field_type t = slot_info[m->slot].type;
	struct slice text;

	if (s->kind == SCALAR_NULL)
		return true;
	if (m->what == MEMBER_SLOT && is_number(t))
		return store_number(x, (enum slot)m->slot, t, s);
	text = text_of(x, s);
	switch ((enum member_what)m->what) {
	case MEMBER_EXTRA:
		r->extra[m->slot] = text;
		if (!absent(text))
			r->have_extra |= UINT64_C(1) << m->slot;
		return true;
	case MEMBER_CAPTURE:
		store_capture(&r->cap[m->side], m->slot, text);
		return true;
	default:
		break;
	}
	if (absent(text))
		return true;
	if (m->what == MEMBER_ADDR)
		return store_addr(x, m, text);
	if (m->what == MEMBER_BLOCK)
		return value_parse(TYPE_BLOCK, text, m->side ? SLOT_hs : SLOT_hr, r, &x->p->day);
	return value_parse(t, text, (enum slot)m->slot, r, &x->p->day);
}

/* ---- members without a meaning --------------------------------------------------------------------------- */

/* haproxy.log. and the name, of bytes that suit a key (as binding.c makes keys of expressions); the length. */
static size_t key_of(struct slice name, char *out)
{
	static const char prefix[] = "haproxy.log.";
	size_t n = sizeof(prefix) - 1;

	memcpy(out, prefix, n);
	for (size_t i = 0; i < name.len && n < PAIR_KEY_MAX - 1; i++) {
		char c = name.p[i];
		bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    c == '.' || c == '-' || c == '_';

		if (fits)
			out[n++] = c;
		else if (out[n - 1] != '_' && out[n - 1] != '.')
			out[n++] = '_';
	}
	while (n > sizeof(prefix) && out[n - 1] == '_')
		n--;
	if (n == sizeof(prefix) - 1)
		out[n++] = '_';
	/* Two keys of this space belong to fields (formats/attrs.def). */
	if (slice_eq(slice_of(out, n), SLICE("haproxy.log.origin")) ||
	    slice_eq(slice_of(out, n), SLICE("haproxy.log.counter")))
		out[n++] = '_';
	return n;
}

/* Keys are unique within a span: what --map named wins. */
static bool is_extra(const struct format *f, struct slice key)
{
	for (uint32_t k = 0; k < f->nextra; k++)
		if (slice_eq(f->extra[k].key, key))
			return true;
	return false;
}

static void keep_pair(struct reading *x, struct slice name, const struct scalar *s)
{
	struct record *r = x->r;
	char *key;
	struct pair *pair = r->pair;
	size_t n;

	if (!(r->flags & RECORD_PAIRS))
		r->npairs = 0;
	if (!(key = object_scratch(x, PAIR_KEY_MAX)))
		return;
	n = key_of(name, key);
	while (pair < r->pair + r->npairs && !slice_eq(pair->key, slice_of(key, n)))
		pair++;
	x->p->scratch_used -= PAIR_KEY_MAX - n;
	if (is_extra(x->f, slice_of(key, n)))
		return;
	if (pair == r->pair + PAIRS_MAX - 1) {		/* the last one says so (count_dropped) */
		x->dropped++;
		return;
	}
	*pair = (struct pair){ slice_of(key, n), text_of(x, s), s->kind == SCALAR_BOOL ? PAIR_BOOL :
			       s->kind == SCALAR_TEXT ? PAIR_TEXT : PAIR_NUMBER };
	r->npairs += pair == r->pair + r->npairs;
	r->flags |= RECORD_PAIRS;
}

static void count_dropped(struct reading *x)
{
	struct record *r = x->r;

	if (x->dropped)
		r->pair[r->npairs++] = (struct pair){ SLICE("haspan.dropped_members"), printed(x, x->dropped),
						      PAIR_NUMBER };
}

/* ---- what readers hand over ------------------------------------------------------------------------------ */

/* A generic object takes what fits and keeps the rest under its own name. */
static void take_generic(struct reading *x, struct slice name, const struct scalar *s)
{
	const struct member *m = words_find(x->o, name);
	struct scalar plain;

	if (s->kind == SCALAR_NULL)
		return;
	plain = *s;
	if (s->kind == SCALAR_TEXT || s->kind == SCALAR_INT) {
		plain.text = text_of(x, s);
		plain.escaped = false;
		if (s->kind == SCALAR_INT)
			plain.kind = SCALAR_NUMBER;
		if (absent(plain.text))
			return;
	}
	if (m && m->what == MEMBER_EXTRA)
		store(x, m, &plain);
	else if (m && s->kind != SCALAR_BOOL && words_store(x, m, plain.text))
		x->found++;
	else
		keep_pair(x, name, &plain);
}

static bool take(struct reading *x, struct slice name, const struct scalar *s, bool cut)
{
	const struct member *m;

	if (x->o->generic) {
		if (!cut)
			take_generic(x, name, s);
		return true;
	}
	m = find(x, name);
	if (!m)
		return !x->strict;
	if (cut && !m->partial)
		return true;
	x->found++;
	return store(x, m, s);
}

/* The dotted name of `key` in the container that is open; empty when it is too long. */
static struct slice path_of(struct reading *x, struct slice key)
{
	struct level *l = &x->level[x->depth - 1];
	char digits[8];

	if (l->array)
		key = slice_of(digits, (size_t)snprintf(digits, sizeof(digits), "%u", l->index));
	else if (l->len == 0)
		return key;
	if (l->len == PATH_LOST || key.len + 1 > sizeof(x->path) - l->len)
		return slice_of("", 0);
	memcpy(x->path + l->len, key.p, key.len);
	return slice_of(x->path, l->len + key.len);
}

static void next_element(struct level *l)
{
	if (l->array && l->index < 9999)
		l->index++;
}

/* The level of a container of this name. */
static struct level level_of(struct reading *x, struct slice name, bool array)
{
	struct level l = { .len = PATH_LOST, .array = array, .side = -1 };
	const struct member *m;

	if (name.len == 0 || name.len + 1 >= sizeof(x->path))
		return l;
	if (name.p != x->path)
		memcpy(x->path, name.p, name.len);
	x->path[name.len] = '.';
	l.len = (uint16_t)(name.len + 1);
	if (array && (m = find(x, slice_of(x->path, name.len))) && m->what == MEMBER_BLOCK) {
		l.side = (int8_t)m->side;
		x->r->cap[m->side].n = 0;
		x->found++;
	}
	return l;
}

bool object_open(struct reading *x, struct slice key, bool array)
{
	struct level l = { .array = array, .side = -1 };

	if (x->depth == JSON_DEPTH_MAX)
		return false;
	if (x->depth) {
		l = level_of(x, path_of(x, key), array);
		next_element(&x->level[x->depth - 1]);
	}
	x->level[x->depth++] = l;
	return true;
}

void object_close(struct reading *x)
{
	x->depth--;
}

bool object_value(struct reading *x, struct slice key, const struct scalar *s, bool cut)
{
	struct level *l = &x->level[x->depth - 1];
	struct slice name;

	if (x->depth == 1 && !l->array)
		return take(x, key, s, cut);
	if (l->side >= 0) {
		store_capture(&x->r->cap[l->side], l->index, text_of(x, s));
		next_element(l);
		return true;
	}
	name = path_of(x, key);
	next_element(l);
	return name.len ? take(x, name, s, cut) : !x->strict;
}

/* ---- a line ------------------------------------------------------------------------------------------ */

bool object_likely(struct slice msg)
{
	unsigned char first;

	msg = slice_trim(msg);
	if (msg.len < 2)
		return false;
	first = (unsigned char)*msg.p;
	return first == '{' || first == '@' || (first & 0xe0) == 0xa0 || (first | 0x20) == 'a' ||
	       (first | 0x20) == 'b' || memchr(msg.p, '=', msg.len);
}

static void reset(struct reading *x)
{
	struct record *r = x->r;

	r->format = x->f;
	r->have[0] = r->have[1] = 0;
	r->plus[0] = r->plus[1] = 0;
	r->have_extra = 0;
	r->flags = RECORD_OBJECT;
	r->reached = 0;
	r->cap[0].n = r->cap[1].n = 0;
	x->p->scratch_used = 0;
}

enum run object_run(struct parser *p, const struct format *f, bool strict, uint32_t *known)
{
	static enum run (*const readers[])(struct reading *, struct slice) = {
		[OBJECT_JSON] = json_members, [OBJECT_CBOR] = cbor_members, [OBJECT_KEYVALUE] = keyvalue_members,
	};
	struct reading x;
	enum run run;

	x.p = p;
	x.r = &p->rec;
	x.f = f;
	x.o = f->object;
	x.strict = strict;
	x.expect = x.found = x.dropped = x.depth = 0;
	reset(&x);
	run = readers[x.o->kind](&x, p->rec.msg);
	if (known)
		*known = x.found < x.o->n ? x.found : x.o->n;
	if (run == RUN_NO || (strict && run == RUN_YES && x.expect != x.o->n))
		return RUN_NO;
	count_dropped(&x);
	return x.o->generic && !words_settle(&x) ? RUN_NO : run;
}
