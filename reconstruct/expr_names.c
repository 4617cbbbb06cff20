/*
 * reconstruct/expr_names.c - what names in expressions mean, and which one was meant.
 */
#include "reconstruct/expr_private.h"

#define SLOT(name) FROM_A_SLOT, SLOT_##name
#define STATE FROM_STATE, SLOT_ts
#define DURATION FROM_DURATION, SLOT_Ta
#define FAILED FROM_FAILED, SLOT_ts
#define ERROR FROM_ERROR, SLOT_ts
static const struct term {
	struct slice name;
	enum from from;
	enum slot slot;
	enum expr_kind kind;
	const char *meaning;
} terms[] = {
#define TERM(name, from, kind, meaning) { { name, sizeof(name) - 1 }, from, EXPR_##kind, meaning },
#include "formats/terms.def"
#undef TERM
};
#undef SLOT
#undef STATE
#undef DURATION
#undef FAILED
#undef ERROR

static const struct { struct slice name; enum field_type type; } fields[] = {
#define FIELD(alias, type, since, meaning) [SLOT_##alias] = { { #alias, sizeof(#alias) - 1 }, TYPE_##type },
#define NAMED(name, type, meaning) [SLOT_##name] = { { #name, sizeof(#name) - 1 }, TYPE_##type },
#include "formats/fields.def"
#undef FIELD
#undef NAMED
};

/* What kinds of attributes are as values. */
enum { KIND_OF_TEXT = EXPR_TEXT, KIND_OF_INT = EXPR_NUMBER, KIND_OF_TIMER = EXPR_TIME, KIND_OF_BOOL = EXPR_BOOL };

static const struct { struct slice key; enum slot slot; enum expr_kind kind; } keys[] = {
#define S 1
#define C 2
#define L 4
#define ATTR(key, slot, type, spans) { { key, sizeof(key) - 1 }, SLOT_##slot, (enum expr_kind)KIND_OF_##type },
#include "formats/attrs.def"
#undef ATTR
#undef S
#undef C
#undef L
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool kind_of(enum field_type type, enum expr_kind *kind)
{
	switch (type) {
	case TYPE_INT:
	case TYPE_PORT:
	case TYPE_MSEC:
	case TYPE_SEC:
	case TYPE_US:
		*kind = EXPR_NUMBER;
		return true;
	case TYPE_MS:
		*kind = EXPR_TIME;
		return true;
	case TYPE_NAME:
	case TYPE_RAW:
	case TYPE_ESC:
	case TYPE_REQ:
	case TYPE_IP:
	case TYPE_STATE:
	case TYPE_FT:
		*kind = EXPR_TEXT;
		return true;
	default:
		return false;		/* dates, captures as a whole */
	}
}

static bool known_name(struct slice name, struct expr_value *v)
{
	for (size_t i = 0; i < COUNT(terms); i++)
		if (slice_eq(terms[i].name, name)) {
			*v = (struct expr_value){ .from = terms[i].from, .slot = terms[i].slot, .kind = terms[i].kind };
			return true;
		}
	for (size_t i = 0; i < COUNT(fields); i++)
		if (slice_eq(fields[i].name, name) && kind_of(fields[i].type, &v->kind)) {
			*v = (struct expr_value){ .from = FROM_A_SLOT, .slot = (enum slot)i, .kind = v->kind };
			return true;
		}
	for (size_t i = 0; i < COUNT(keys); i++)
		if (slice_eq(keys[i].key, name)) {
			*v = (struct expr_value){ .from = FROM_A_SLOT, .slot = keys[i].slot, .kind = keys[i].kind };
			return true;
		}
	return false;
}

static bool header_name(struct slice name, struct expr_value *v)
{
	static const struct slice prefix[CAPTURE_SIDES] = { { "http.request.header.", 20 }, { "http.response.header.", 21 } };

	for (int side = 0; side < CAPTURE_SIDES; side++)
		if (slice_starts(name, prefix[side]) && name.len > prefix[side].len) {
			*v = (struct expr_value){ .from = FROM_HEADER, .kind = EXPR_TEXT, .side = (enum capture_side)side,
						  .name = slice_skip(name, prefix[side].len) };
			return true;
		}
	return false;
}

/*
 * A field that some format names itself: --map, %(name)[…]. What members a line of JSON or key=value will have is not
 * known: in backquotes any name may be one of them, else a slip of the pen would be.
 */
static bool own_name(struct slice name, bool quoted, const struct expr_names *names, struct expr_value *v)
{
	bool found = false;

	for (uint32_t i = 0; i < names->nformats && !found; i++) {
		const struct format *f = names->format[i];

		found = quoted && f->pairs;
		for (uint32_t k = 0; k < f->nextra && !found; k++)
			found = slice_eq(f->extra[k].name, name) || slice_eq(f->extra[k].key, name);
	}
	*v = (struct expr_value){ .from = FROM_NAMED, .kind = EXPR_TEXT, .name = name };
	return found;
}

bool expr_name(struct slice name, bool quoted, const struct expr_names *names, struct expr_value *v)
{
	return known_name(name, v) || header_name(name, v) || own_name(name, quoted, names, v);
}

/* ---- names that are none ----------------------------------------------------------------------------- */

/* Edit distance, as far as `most`. */
static unsigned distance(struct slice a, struct slice b, unsigned most)
{
	unsigned row[64], diagonal, above;

	if (a.len >= 63 || b.len >= 63 || a.len > b.len + most || b.len > a.len + most)
		return most + 1;
	for (unsigned k = 0; k <= b.len; k++)
		row[k] = k;
	for (unsigned i = 0; i < a.len; i++) {
		diagonal = i;
		row[0] = i + 1;
		for (unsigned k = 0; k < b.len; k++) {
			unsigned same = slice_lower(a.p[i]) == slice_lower(b.p[k]) ? 0 : 1, best = diagonal + same;

			above = row[k + 1];
			best = best < above + 1 ? best : above + 1;
			row[k + 1] = best < row[k] + 1 ? best : row[k] + 1;
			diagonal = above;
		}
	}
	return row[b.len];
}

static void nearer(struct slice name, struct slice candidate, struct slice *nearest, unsigned *best)
{
	unsigned d = distance(name, candidate, *best);

	if (d < *best) {
		*best = d;
		*nearest = candidate;
	}
}

struct slice expr_nearest_name(struct slice name, const struct expr_names *names)
{
	unsigned best = name.len < 4 ? 2 : 4;
	struct slice nearest = { "", 0 };

	for (size_t i = 0; i < COUNT(terms); i++)
		nearer(name, terms[i].name, &nearest, &best);
	for (size_t i = 0; i < COUNT(fields); i++)
		nearer(name, fields[i].name, &nearest, &best);
	for (size_t i = 0; i < COUNT(keys); i++)
		nearer(name, keys[i].key, &nearest, &best);
	for (uint32_t i = 0; i < names->nformats; i++)
		for (uint32_t k = 0; k < names->format[i]->nextra; k++)
			nearer(name, names->format[i]->extra[k].name, &nearest, &best);
	return nearest;
}
