#include "core/buf.h"

#include <stdio.h>
#include <stdlib.h>

char *buf_grow(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 4096;
	char *p;

	while (cap - b->len < n + BUF_PAD)
		cap *= 2;
	if (b->len + n > b->max || !(p = realloc(b->p, cap))) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes (at most %zu)\n", cap, b->max);
		abort();
	}
	b->p = p;
	b->cap = cap;
	return p + b->len;
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}
