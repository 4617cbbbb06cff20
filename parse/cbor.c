/*
 * parse/cbor.c - the members of a CBOR line (RFC 8949): `%{+cbor}o` writes a map without a length as hexadecimal text,
 * `%{+cbor,+bin}o` its bytes. Strings that HAProxy escapes come in chunks, often of one byte.
 */
#include "parse/object.h"

#include <stdio.h>

enum major { UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };

#define INDEFINITE 31		/* the additional information of what has no length */
#define BREAK 0xff

struct cbor {
	struct reading *x;
	const unsigned char *p, *end;
	uint64_t left[JSON_DEPTH_MAX + 1];	/* elements of what is open; UINT64_MAX: until a break */
	bool map[JSON_DEPTH_MAX + 1];
};

/* The first byte of an item and the number in it. */
struct head {
	enum major major;
	unsigned info;
	uint64_t num;		/* not set with INDEFINITE */
};

enum got { GOT, GOT_CUT, GOT_BAD };

/* ---- hexadecimal text -------------------------------------------------------------------------------- */

/* 16 and the digit; 0: none. */
static const unsigned char digits[256] = {
	['0'] = 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, ['A'] = 26, 27, 28, 29, 30, 31, ['a'] = 26, 27, 28, 29, 30, 31,
};

/* The bytes that `text` is the digits of, an odd one dropped; false when it holds anything else. */
static bool decode(struct slice text, unsigned char *out)
{
	const unsigned char *p = (const unsigned char *)text.p;
	unsigned good = 16;

	for (size_t i = 0; i + 1 < text.len; i += 2) {
		unsigned hi = digits[p[i]], lo = digits[p[i + 1]];

		good &= hi & lo;
		*out++ = (unsigned char)(hi << 4 | (lo & 15));
	}
	return good && (text.len % 2 == 0 || digits[p[text.len - 1]]);
}

/* ---- items ------------------------------------------------------------------------------------------- */

static enum got head_read(struct cbor *c, struct head *h)
{
	size_t bytes;

	if (c->p == c->end)
		return GOT_CUT;
	h->major = (enum major)(*c->p >> 5);
	h->info = *c->p & 31;
	h->num = h->info;
	if (h->info < 24 || h->info == INDEFINITE) {
		c->p++;
		return GOT;
	}
	if (h->info > 27)
		return GOT_BAD;		/* reserved */
	bytes = (size_t)1 << (h->info - 24);
	if ((size_t)(c->end - c->p) <= bytes)
		return GOT_CUT;
	h->num = 0;
	for (c->p++; bytes; bytes--)
		h->num = h->num << 8 | *c->p++;
	return GOT;
}

/* `n` bytes of a string, or those that are there. */
static enum got bytes_read(struct cbor *c, uint64_t n, struct slice *out)
{
	uint64_t there = (uint64_t)(c->end - c->p);

	*out = slice_of((const char *)c->p, n < there ? n : there);
	c->p += out->len;
	return n <= there ? GOT : GOT_CUT;
}

/* `chunk` behind what is in `*joined`, both in scratch then; nothing is copied while there is only one. */
static bool join(struct cbor *c, struct slice *joined, bool *copied, struct slice chunk)
{
	char *to;

	if (joined->len == 0) {
		*joined = chunk;
		return true;
	}
	if (!*copied) {
		if (!(to = object_scratch(c->x, joined->len)))
			return false;
		memcpy(to, joined->p, joined->len);
		joined->p = to;
		*copied = true;
	}
	/* Scratch grows upwards: what is taken now lies right behind what was taken before. */
	if (!(to = object_scratch(c->x, chunk.len)))
		return false;
	if (chunk.len)
		memcpy(to, chunk.p, chunk.len);
	joined->len += chunk.len;
	return true;
}

/* A string without a length: chunks up to a break. */
static enum got chunks_read(struct cbor *c, enum major major, struct slice *out)
{
	bool copied = false;
	struct slice chunk;
	struct head h;
	enum got got;

	*out = slice_of("", 0);
	for (;;) {
		if (c->p < c->end && *c->p == BREAK) {
			c->p++;
			return GOT;
		}
		if ((got = head_read(c, &h)) != GOT)
			return got;
		if (h.major != major || h.info == INDEFINITE)
			return GOT_BAD;
		got = bytes_read(c, h.num, &chunk);
		if (!join(c, out, &copied, chunk))
			return GOT_BAD;
		if (got != GOT)
			return got;
	}
}

static enum got string_read(struct cbor *c, const struct head *h, struct slice *out)
{
	return h->info == INDEFINITE ? chunks_read(c, h->major, out) : bytes_read(c, h->num, out);
}

/* Bytes as HAProxy writes them into text: digits. */
static struct slice hex_of(struct reading *x, struct slice bytes)
{
	static const char upper[] = "0123456789ABCDEF";
	char *out = object_scratch(x, 2 * bytes.len);

	if (!out)
		return slice_of("", 0);
	for (size_t i = 0; i < bytes.len; i++) {
		out[2 * i] = upper[(unsigned char)bytes.p[i] >> 4];
		out[2 * i + 1] = upper[(unsigned char)bytes.p[i] & 15];
	}
	return slice_of(out, 2 * bytes.len);
}

/* Half, single and double precision (RFC 8949 section 3.3), as text. */
static struct slice float_of(struct reading *x, const struct head *h)
{
	char *out = object_scratch(x, 32);
	double value;
	float single;
	uint32_t word = (uint32_t)h->num;

	if (!out)
		return slice_of("", 0);
	if (h->info == 25)	/* a half is a single with fewer digits; what is no number is none here either */
		word = (h->num & 0x7c00) == 0 ? 0 :
		       (uint32_t)((h->num & 0x8000) << 16 | (((h->num & 0x7fff) << 13) + 0x38000000));
	memcpy(&single, &word, 4);
	value = (double)single;
	if (h->info == 27)
		memcpy(&value, &h->num, 8);
	return slice_of(out, (size_t)snprintf(out, 32, "%.10g", value));
}

/* ---- values ------------------------------------------------------------------------------------------ */

static bool simple(struct cbor *c, const struct head *h, struct scalar *s)
{
	if (h->info == 20 || h->info == 21) {
		s->kind = SCALAR_BOOL;
		s->num = h->info == 21;
	} else if (h->info >= 25 && h->info <= 27) {
		s->kind = SCALAR_NUMBER;
		s->text = float_of(c->x, h);
	} else {
		s->kind = SCALAR_NULL;	/* null, undefined, and what has no meaning yet */
	}
	return h->info != INDEFINITE;
}

/* A number beyond 63 bits is none of HAProxy's. */
static void integer(const struct head *h, struct scalar *s)
{
	s->kind = h->num <= INT64_MAX ? SCALAR_INT : SCALAR_NULL;
	s->num = h->major == UINT ? (int64_t)h->num : -1 - (int64_t)(h->num & INT64_MAX);
}

static enum got container(struct cbor *c, const struct head *h, struct slice key)
{
	if (!object_open(c->x, key, h->major == ARRAY))
		return GOT_BAD;
	c->map[c->x->depth] = h->major == MAP;
	c->left[c->x->depth] = h->info == INDEFINITE ? UINT64_MAX : h->num;
	return GOT;
}

static enum got value(struct cbor *c, struct slice key)
{
	struct scalar s = { .kind = SCALAR_TEXT };
	enum got got;
	struct head h;

	do
		if ((got = head_read(c, &h)) != GOT)
			return got;
	while (h.major == TAG && h.info != INDEFINITE);
	switch (h.major) {
	case ARRAY:
	case MAP:
		return container(c, &h, key);
	case BYTES:
	case TEXT:
		got = string_read(c, &h, &s.text);
		if (got == GOT_BAD)
			return GOT_BAD;
		if (h.major == BYTES)
			s.text = hex_of(c->x, s.text);
		return object_value(c->x, key, &s, got == GOT_CUT) ? got : GOT_BAD;
	case UINT:
	case NEGATIVE:
		if (h.info == INDEFINITE)
			return GOT_BAD;
		integer(&h, &s);
		break;
	case SIMPLE:
		if (!simple(c, &h, &s))
			return GOT_BAD;
		break;
	case TAG:
		return GOT_BAD;
	}
	return object_value(c->x, key, &s, false) ? GOT : GOT_BAD;
}

static enum got key_read(struct cbor *c, struct slice *key)
{
	struct head h;
	enum got got = head_read(c, &h);

	if (got != GOT)
		return got;
	return h.major == TEXT ? string_read(c, &h, key) : GOT_BAD;
}

/* Containers that are complete; false when what stands at `p` is an element of the one that is open. */
static bool closes(struct cbor *c)
{
	uint64_t *left = &c->left[c->x->depth];

	if (*left == UINT64_MAX) {
		if (c->p == c->end || *c->p != BREAK)
			return false;
		c->p++;
	} else if (*left > 0) {
		--*left;
		return false;
	}
	object_close(c->x);
	return true;
}

static enum run walk(struct cbor *c)
{
	struct slice key = slice_of("", 0);
	struct head h;
	enum got got;

	if (head_read(c, &h) != GOT || h.major != MAP || container(c, &h, key) != GOT)
		return RUN_NO;
	while (c->x->depth) {
		if (closes(c))
			continue;
		got = c->map[c->x->depth] ? key_read(c, &key) : GOT;
		if (got == GOT)
			got = value(c, key);
		if (got != GOT)
			return got == GOT_CUT ? RUN_CUT : RUN_NO;
	}
	return c->p == c->end ? RUN_YES : RUN_NO;
}

enum run cbor_members(struct reading *x, struct slice text)
{
	struct cbor c;
	unsigned first = text.len ? (unsigned char)*text.p : 0;
	unsigned char *bytes, two[2];
	const unsigned char *start;
	enum run run;

	if (text.len < 3)
		return RUN_NO;
	c.x = x;
	c.p = (const unsigned char *)text.p;
	c.end = c.p + text.len;
	if ((first & 0xe0) != 0xa0) {		/* the bytes of a map begin so */
		/* Most lines are no digits at all: look at the first two before all of them. */
		if (!decode(slice_of(text.p, 2), two) || digits[first] < 26 ||
		    !(bytes = (unsigned char *)object_scratch(x, text.len / 2)) || !decode(text, bytes))
			return RUN_NO;
		c.p = bytes;
		c.end = bytes + text.len / 2;
	}
	start = c.p;
	x->r->flags |= RECORD_DECODED;
	run = walk(&c);
	/* Of digits there are two for each byte. */
	x->r->reached = (uint32_t)((size_t)(c.p - start) * (start == (const unsigned char *)text.p ? 1 : 2));
	return run;
}
