#include "ingest/stitch.h"

#include <stdio.h>
#include <stdlib.h>

/* Grows by doubling: an idle stream has nothing, one with a line of the usual length little. */
static void carry_room(struct stitch *s, size_t n)
{
	size_t room = s->room ? s->room : 1024;

	if (n <= s->room)
		return;
	while (room < n)
		room *= 2;
	s->carry = realloc(s->carry, room);
	if (!s->carry) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", room);
		abort();
	}
	s->room = room;
}

size_t stitch_begin(struct stitch *s, struct block *b)
{
	size_t start = b->len;

	if (s->carried)
		memcpy(b->p + start, s->carry, s->carried);
	b->len += s->carried;
	s->carried = 0;
	return start;
}

/* Where the over-long frame ends; 0: not in these bytes. */
static size_t torn_end(const struct stitch *s, const char *p, size_t len)
{
	if (s->framing == FRAMING_COUNTED)
		return s->skip <= len ? s->skip : 0;
	return frame_torn_end(p, len, s->framing);
}

size_t stitch_whole(struct stitch *s, const struct block *b, size_t start, bool ended)
{
	const char *p = b->p + start;
	size_t len = b->len - start, head = s->torn ? torn_end(s, p, len) : 0;

	if (s->torn && head == 0)
		return ended ? len : 0;		/* still the same over-long one */
	return head + frame_boundary(p + head, len - head, ended, &s->framing);
}

/*
 * `len` bytes at `p` without an end of frame leave as a piece. Returns its length; `*skip` is what is still to come of a
 * counted one, 0: nobody knows, it has lost its way and is looked at anew.
 */
static size_t torn_piece(const struct stitch *s, const char *p, size_t len, size_t *skip)
{
	if (s->framing != FRAMING_COUNTED)
		return frame_torn_piece(len, s->framing);
	*skip = s->torn ? s->skip - len : frame_missing(p, len);
	return len;
}

/* Carry all of the block from `start` on. */
static void hold(struct stitch *s, struct block *b, size_t start)
{
	s->carried = b->len - start;
	carry_room(s, s->carried);
	if (s->carried)
		memcpy(s->carry, b->p + start, s->carried);
	b->len = start;
}

void stitch_end(struct stitch *s, struct block *b, size_t start, bool ended)
{
	size_t len = b->len - start, whole = stitch_whole(s, b, start, ended), skip = 0;
	bool torn_tail = false;

	if (start == 0) {
		b->torn_head = s->torn;
		b->torn_len = s->skip < len ? s->skip : len;
		b->framing = s->framing;
	}
	/* A whole block without an end of frame: it leaves in pieces, counted once. */
	if (whole == 0 && start == 0 && !ended && (s->torn || len == BLOCK_SIZE)) {
		whole = torn_piece(s, b->p, len, &skip);
		torn_tail = whole && (s->framing != FRAMING_COUNTED || skip);
	}
	if (whole) {
		s->torn = torn_tail;
		s->skip = skip;
	}
	if (start == 0)
		b->torn_tail = torn_tail;
	hold(s, b, start + whole);
}

/* ---- connections ------------------------------------------------------------------------------------- */

bool stitch_fits(const struct stitch *s, const struct block *b)
{
	if (b->len == 0)
		return true;
	return s->framing != FRAMING_UNKNOWN && s->framing == b->framing && !s->torn && !b->sole &&
	       BLOCK_SIZE - b->len >= s->carried + READ_MIN;
}

/* Can these bytes, behind those that are carried, not end a frame? Then they are carried as well. */
static bool keep(struct stitch *s, const char *p, size_t n)
{
	bool lf = s->framing != FRAMING_COUNTED && memchr(p, '\n', n);

	if (s->carried == 0 || s->torn || s->framing == FRAMING_EXPORT || lf || s->carried + n >= BLOCK_SIZE ||
	    (s->framing != FRAMING_LINES && n >= frame_missing(s->carry, s->carried)))
		return false;
	carry_room(s, s->carried + n);
	memcpy(s->carry + s->carried, p, n);
	s->carried += n;
	return true;
}

/* The stream has ended: what follows in the block must not become a part of a frame without an end. */
static void finish(const struct stitch *s, struct block *b)
{
	if (s->framing != FRAMING_LINES || b->len == BLOCK_SIZE)
		b->sole = true;
	else if (b->p[b->len - 1] != '\n')
		b->p[b->len++] = '\n';
}

void stitch_take(struct stitch *s, struct block *b, size_t n, bool ended)
{
	size_t start;

	if (!ended && keep(s, b->p + b->len + s->carried, n))
		return;
	start = stitch_begin(s, b);
	b->len += n;
	if (s->framing == FRAMING_UNKNOWN)
		s->framing = frame_stream(b->p + start, b->len - start, ended);
	if (s->framing == FRAMING_UNKNOWN)
		hold(s, b, start);
	else
		stitch_end(s, b, start, ended);
	if (b->torn_head || b->torn_tail)
		b->sole = true;
	if (ended && b->len > start)
		finish(s, b);
}

void stitch_rest(struct stitch *s)
{
	if (s->carried)
		return;
	free(s->carry);
	s->carry = NULL;
	s->room = 0;
}

void stitch_free(struct stitch *s)
{
	free(s->carry);
	*s = (struct stitch){ 0 };
}
