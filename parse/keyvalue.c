/*
 * parse/keyvalue.c - the pairs of a line of `key=value`: values bare, in quotes or in brackets, apart by blanks.
 *
 *	id="a b" c=192.0.2.1:4000 t=[21/Nov/2026:08:15:44.900] TR=0 ua=curl/8 (x86_64) st=200
 *
 * A bare value ends where the next key begins, so it may hold blanks. The line begins with a key.
 */
#include "parse/object.h"

static inline bool is_key(char c)
{
	static const bool part[256] = { ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['0' ... '9'] = 1, ['_'] = 1, ['-'] = 1,
					['.'] = 1, ['@'] = 1 };

	return part[(unsigned char)c];
}

/* The '=' behind a key that begins at `p`, or NULL. `*next` is where to look on. */
static const char *key_end(const char *p, const char *end, const char **next)
{
	const char *q = p;

	while (q < end && is_key(*q))
		q++;
	*next = q;
	return q > p && q < end && *q == '=' ? q : NULL;
}

/* Where the next key begins at or behind `p`, a blank before it, or `end`; linear. */
static const char *key_next(const char *p, const char *end)
{
	const char *next;

	while (p < end && (p = memchr(p, ' ', (size_t)(end - p)))) {
		while (p < end && *p == ' ')
			p++;
		if (key_end(p, end, &next))
			return p;
		p = next;
	}
	return end;
}

/* Closing quotes that are looked at before one is taken that may stand in the value. */
#define CLOSES_MAX 8

/*
 * Does the value end with the quote or bracket before `p`? A blank or the end follows, and no other quote before the
 * next key: HAProxy's +Q does not escape quotes in the value.
 */
static bool ends_value(const char *p, const char *end, char close)
{
	const char *q = p < end && (*p == ',' || *p == ';') ? p + 1 : p;

	if (q == end)
		return true;
	return *q == ' ' && (close != '"' || !memchr(q, '"', (size_t)(key_next(q, end) - q)));
}

/* The value at `p` in quotes or brackets: what stands behind it, or NULL when they are not closed. */
static const char *enclosed(const char *p, const char *end, char close, struct scalar *s)
{
	int closes = 0;

	for (const char *q = p + 1; q < end && closes < CLOSES_MAX; q++) {
		if (*q == '\\' && close == '"' && q + 1 < end) {
			s->escaped = true;
			q++;
		} else if (*q == close && ++closes && ends_value(q + 1, end, close)) {
			s->text = slice_to(p + 1, q);
			return q + 1;
		}
	}
	s->escaped = false;
	return NULL;
}

enum run keyvalue_members(struct reading *x, struct slice text)
{
	const char *p = text.p, *end = p + text.len, *eq, *next;

	if (text.len == 0 || *p == '{' || !object_open(x, slice_of("", 0), false))
		return RUN_NO;
	/* A pair further on in a line that begins otherwise was written by a client. */
	if (!key_end(p, end, &next))
		return RUN_NO;
	while (p < end && (eq = key_end(p, end, &next))) {
		struct slice key = slice_to(p, eq);
		struct scalar s = { .kind = SCALAR_TEXT };
		const char *behind = NULL;

		p = eq + 1;
		if (p < end && (*p == '"' || *p == '['))
			behind = enclosed(p, end, *p == '"' ? '"' : ']', &s);
		if (!behind) {
			/* `a= b=1`: the blank before the next key may be all there is. */
			behind = key_next(p, end);
			s.text = slice_trim(slice_to(p, behind));
			s.text.len -= behind < end && s.text.len > 1 && memchr(",;", s.text.p[s.text.len - 1], 2);
		}
		p = behind < end && behind > p && behind[-1] == ' ' ? behind : key_next(behind, end);
		if (!object_value(x, key, &s, false))
			return RUN_NO;
	}
	x->r->reached = (uint32_t)x->r->msg.len;
	return RUN_YES;
}
