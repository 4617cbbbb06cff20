/*
 * reconstruct/plan.h - which attributes a span of a given format can carry, worked out once at start.
 *
 * A row says: if the record has this slot, the span has this attribute. Encoders walk the rows; the keys come
 * pre-encoded for each of them.
 */
#ifndef RECONSTRUCT_PLAN_H
#define RECONSTRUCT_PLAN_H

#include "core/err.h"
#include "parse/record.h"

/* How a value leaves. */
enum attr_type {
	ATTR_TEXT,		/* string */
	ATTR_INT,		/* integer */
	ATTR_TIMER,		/* integer, milliseconds; negative means absent */
	ATTR_BOOL,		/* boolean; the slot's number is not 0 */
	ATTR_LIST,		/* array of one string: a captured header (semantic conventions) */
	ATTR_LISTS,		/* array of strings: a whole block of captures without names */
	ATTR_NUMBER_TEXT,	/* integer, from digits in text: %(name:sint)[…] */
	ATTR_BOOL_TEXT,		/* boolean, from "1" or "true" in text */
};

/* Where the value lies. */
enum attr_from { FROM_SLOT, FROM_EXTRA, FROM_REQUEST_CAPTURE, FROM_RESPONSE_CAPTURE, FROM_BLOCK,
		 FROM_ONE_BLOCK };

/* Bytes that are readable from `image` and from key_json.p on, whatever their length: copied as one piece. */
#define PLAN_IMAGE 48
#define PLAN_JSON_COPY 96

/* How the protobuf encoder may write a row from a slot. */
enum attr_quick {
	QUICK_NO,		/* by the long way */
	QUICK_TEXT,		/* a text of up to `short_text` bytes keeps every length in one byte */
	QUICK_INT,		/* so does a number below 2^14 */
};

struct attr {
	uint64_t bit;		/* FROM_SLOT: of record.have[word]; else 0 */
	uint8_t word;
	uint8_t type;		/* enum attr_type */
	uint8_t from;		/* enum attr_from */
	uint8_t index;		/* slot, extra, capture or side */
	uint8_t quick;		/* enum attr_quick */
	uint8_t short_text;
	uint8_t head;		/* bytes of `image` up to the value's own length (text) or first byte (number) */
	const char *image;	/* KeyValue as it begins in a span, its lengths still 0 */
	struct slice key;
	struct slice key_json;	/* {"key":"…","value":{"stringValue":" (or intValue, or nothing but the brace) */
};

/* The rows of one kind of span; those from slots come first. */
struct attrs {
	const struct attr *v;		/* `nslots` rows; variants of a format share them, so that they stay in the cache */
	const struct attr *own;		/* the rest of all `n`: captures, extra fields */
	uint32_t n, nslots;
};

static inline const struct attr *attrs_row(const struct attrs *a, uint32_t i)
{
	return i < a->nslots ? &a->v[i] : &a->own[i - a->nslots];
}

/* By role: only SERVER and CLIENT have rows; a phase carries its error.type alone. */
struct plan {
	struct attrs server;
	struct attrs server_alone;	/* SERVER without a CLIENT: what is known of the server goes here too */
	struct attrs client;
};

/* The attribute `a` from a slot: the common case, worth a test of its own. */
static inline bool attr_slot(const struct attr *a, const struct record *r)
{
	return (r->have[a->word] & a->bit) && (a->type != ATTR_TIMER || r->v[a->index].num >= 0);
}

/* Is the attribute `a` there? Then its text or number is in `*out`. */
static inline bool attr_value(const struct attr *a, const struct record *r, union value *out)
{
	const struct captures *c;

	out->text = (struct slice){ NULL, 0 };
	switch (a->from) {
	case FROM_SLOT:
		*out = r->v[a->index];
		return attr_slot(a, r);
	case FROM_EXTRA:
		out->text = r->extra[a->index];
		return r->have_extra >> a->index & 1;
	case FROM_BLOCK:
		return r->cap[a->index].n > 0 && !(r->flags & RECORD_ONE_BLOCK);
	case FROM_ONE_BLOCK:
		return r->cap[a->index].n > 0 && (r->flags & RECORD_ONE_BLOCK);
	default:
		c = &r->cap[a->from - FROM_REQUEST_CAPTURE];
		if (a->index >= c->n || c->v[a->index].len == 0)
			return false;
		out->text = c->v[a->index];
		return true;
	}
}

/* %(name:sint)[…] and %(name:bool)[…]: HAProxy writes them as text. false: it is no number after all. */
static inline bool attr_number(struct slice s, int64_t *out)
{
	bool minus = s.len && *s.p == '-';
	uint64_t n;

	if (!slice_uint(minus ? slice_skip(s, 1) : s, &n) || n > INT64_MAX)
		return false;
	*out = minus ? -(int64_t)n : (int64_t)n;
	return true;
}

static inline bool attr_truth(struct slice s)
{
	return s.len && (*s.p == '1' || *s.p == 't');
}

#endif
