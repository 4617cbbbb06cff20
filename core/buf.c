#include "core/buf.h"

#include <stdarg.h>
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

void buf_printf(struct buf *b, const char *fmt, ...)
{
	size_t room = 256;
	va_list args;
	int n;

	for (;;) {
		va_start(args, fmt);
		n = vsnprintf(buf_room(b, room), room, fmt, args);
		va_end(args);
		if (n < 0)
			return;
		if ((size_t)n < room)
			break;
		room = (size_t)n + 1;
	}
	b->len += (size_t)n;
}
