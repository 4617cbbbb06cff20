/*
 * core/buf.h - a growing run of bytes with a stated maximum.
 *
 * Growth is rare (a worker's buffers are kept from block to block) and never fails quietly: asking for more
 * than `max`, or running out of memory, aborts with the number asked for, because every maximum is computed
 * from the sizes in core/limits.h. Writers ask for room once and then write without checks.
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/slice.h"

/* Room that is always there behind what was asked for: fixed-size copies may overshoot by this. */
#define BUF_PAD ((size_t)64)

struct buf {
	char *p;		/* owned */
	size_t len, cap, max;
};

/* Make room for `n` more bytes (and BUF_PAD); returns where they go. */
char *buf_grow(struct buf *b, size_t n);

void buf_free(struct buf *b);

/* Append what printf would print. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline char *buf_room(struct buf *b, size_t n)
{
	if (__builtin_expect(b->cap - b->len < n + BUF_PAD, 0))
		return buf_grow(b, n);
	return b->p + b->len;
}

static inline void buf_add(struct buf *b, const char *p, size_t n)
{
	memcpy(buf_room(b, n), p, n);
	b->len += n;
}

static inline void buf_slice(struct buf *b, struct slice s)
{
	if (s.len)
		buf_add(b, s.p, s.len);
}

static inline void buf_char(struct buf *b, char c)
{
	*buf_room(b, 1) = c;
	b->len++;
}

#define buf_lit(b, literal) buf_add((b), "" literal, sizeof(literal) - 1)

#endif
