/*
 * parse/names.h - private to parse/: names of frontends to what belongs to them. Filled at start, then read by all.
 */
#ifndef PARSE_NAMES_H
#define PARSE_NAMES_H

#include "core/arena.h"

struct names {
	uint32_t mask;
	struct name {
		struct slice name;	/* p NULL: free */
		const void *value;
	} *v;
	uint64_t lengths;		/* bit n: some name has n bytes; bit 63: 63 or more */
	uint64_t first[4];		/* bit c: some name begins with c */
};

/* A table for `n` names. */
struct names *names_new(struct arena *arena, uint32_t n);

/* The first one to bring a name keeps it. */
void names_add(struct names *t, struct arena *arena, struct slice name, const void *value);

/* 8 bytes at once; only the last ones may overshoot, by less than 8 (BLOCK_PAD, or the arena's rounding). */
static inline uint32_t names_hash(struct slice s)
{
	uint64_t h = s.len, word;
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		memcpy(&word, s.p + i, 8);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	if (i < s.len) {
		memcpy(&word, s.p + i, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		word &= (UINT64_C(1) << 8 * (s.len - i)) - 1;
#else
		word >>= 64 - 8 * (s.len - i);
#endif
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

/* NULL: nobody has this name. Reads up to 7 bytes behind it. */
static inline const void *names_find(const struct names *t, struct slice name)
{
	for (uint32_t at = names_hash(name) & t->mask; t->v[at].name.p; at = (at + 1) & t->mask)
		if (slice_eq(t->v[at].name, name))
			return t->v[at].value;
	return NULL;
}

/*
 * The value of the next name that stands in `text` from `*at` on as a word, between bytes that no name can hold;
 * NULL: none. `*at` is then behind it.
 */
const void *names_next(const struct names *t, struct slice text, size_t *at);

/* Can a name of a frontend hold this byte (HAProxy's invalid_char)? */
static inline bool names_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.' || c == ':';
}

#endif
