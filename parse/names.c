#include "parse/names.h"

struct names *names_new(struct arena *arena, uint32_t n)
{
	struct names *t = arena_alloc(arena, sizeof(*t));
	uint32_t size = 16;

	while (size < 2 * n)
		size *= 2;
	t->mask = size - 1;
	t->v = arena_alloc(arena, size * sizeof(*t->v));
	return t;
}

void names_add(struct names *t, struct arena *arena, struct slice name, const void *value)
{
	struct slice copy = arena_copy(arena, name);
	uint32_t at = names_hash(copy) & t->mask;
	unsigned char first;

	if (copy.len == 0)
		return;
	for (; t->v[at].name.p; at = (at + 1) & t->mask)
		if (slice_eq(t->v[at].name, copy))
			return;
	t->v[at] = (struct name){ copy, value };
	first = (unsigned char)*copy.p;
	t->first[first >> 6] |= UINT64_C(1) << (first & 63);
	t->lengths |= UINT64_C(1) << (copy.len < 63 ? copy.len : 63);
}

const void *names_next(const struct names *t, struct slice text, size_t *at)
{
	size_t i = *at;

	while (i < text.len) {
		unsigned char first;
		const void *value;
		size_t start;

		while (i < text.len && !names_byte(text.p[i]))
			i++;
		start = i;
		while (i < text.len && names_byte(text.p[i]))
			i++;
		if (i == start)
			break;
		first = (unsigned char)text.p[start];
		if (!(t->first[first >> 6] >> (first & 63) & 1) ||
		    !(t->lengths >> (i - start < 63 ? i - start : 63) & 1))
			continue;
		value = names_find(t, slice_of(text.p + start, i - start));
		if (value) {
			*at = i;
			return value;
		}
	}
	*at = text.len;
	return NULL;
}
