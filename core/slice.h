/*
 * core/slice.h - a run of bytes that somebody else owns.
 *
 * No slice inside haspan is NUL-terminated, and none owns its memory: it is *lent* by a block, by the
 * start-up arena, by a worker's scratch or by a string constant, and lives as long as that does.
 */
#ifndef CORE_SLICE_H
#define CORE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t len;
};

#define SLICE(literal) ((struct slice){ "" literal, sizeof(literal) - 1 })

static inline struct slice slice_of(const char *p, size_t len)
{
	return (struct slice){ p, len };
}

static inline struct slice slice_str(const char *s)
{
	return (struct slice){ s, s ? strlen(s) : 0 };
}

/* From `p` up to, not including, `end`. */
static inline struct slice slice_to(const char *p, const char *end)
{
	return (struct slice){ p, (size_t)(end - p) };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	/* Most that differ do so in their first byte; that saves the call. */
	return a.len == b.len && (a.len == 0 || (*a.p == *b.p && memcmp(a.p, b.p, a.len) == 0));
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len &&
	       (prefix.len == 0 || (*s.p == *prefix.p && memcmp(s.p, prefix.p, prefix.len) == 0));
}

static inline char slice_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* ASCII case-insensitive equality: header names (RFC 9110 section 5.1). */
static inline bool slice_ieq(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (slice_lower(a.p[i]) != slice_lower(b.p[i]))
			return false;
	return true;
}

/* Drop the first `n` bytes; `n` must not exceed the length. */
static inline struct slice slice_skip(struct slice s, size_t n)
{
	return (struct slice){ s.p + n, s.len - n };
}

/* Position of the first `c`, or `s.len` when there is none. */
static inline size_t slice_find(struct slice s, char c)
{
	const char *at = s.len ? memchr(s.p, c, s.len) : NULL;

	return at ? (size_t)(at - s.p) : s.len;
}

/*
 * Cut at the first `c`: returns what stands before it and leaves in `*rest` what stands behind it
 * (empty, with p NULL, when there was no `c`).
 */
static inline struct slice slice_cut(struct slice *rest, char c)
{
	size_t at = slice_find(*rest, c);
	struct slice head = { rest->p, at };

	*rest = at < rest->len ? slice_skip(*rest, at + 1) : (struct slice){ NULL, 0 };
	return head;
}

/* Without leading and trailing SP and HTAB (RFC 9110's OWS). */
static inline struct slice slice_trim(struct slice s)
{
	while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_skip(s, 1);
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/*
 * A decimal number without sign, all of `s`, at most 19 digits: true and `*out` set; else false,
 * `*out` untouched.
 */
static inline bool slice_uint(struct slice s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.len == 0 || s.len > 19)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = n;
	return true;
}

#endif
