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

size_t stitch_whole(struct stitch *s, const struct block *b, size_t start, bool ended)
{
	const char *p = b->p + start;
	size_t len = b->len - start, head = s->torn ? frame_torn_end(p, len, s->framing) : 0;

	if (s->torn && head == 0)
		return ended ? len : 0;		/* still the same over-long one */
	return head + frame_boundary(p + head, len - head, ended, &s->framing);
}

void stitch_hold(struct stitch *s, struct block *b, size_t start)
{
	s->carried = b->len - start;
	carry_room(s, s->carried);
	if (s->carried)
		memcpy(s->carry, b->p + start, s->carried);
	b->len = start;
}

void stitch_end(struct stitch *s, struct block *b, size_t start, bool ended)
{
	size_t len = b->len - start, whole = stitch_whole(s, b, start, ended);
	bool torn_tail = false;

	if (start == 0) {
		b->torn_head = s->torn;
		b->framing = s->framing;
	}
	/* A whole block without an end of frame: it leaves in pieces, counted once. */
	if (whole == 0 && start == 0 && !ended && (s->torn || len == BLOCK_SIZE)) {
		whole = frame_torn_piece(len, s->framing);
		torn_tail = whole && s->framing != FRAMING_COUNTED;
	}
	if (whole)
		s->torn = torn_tail;
	if (start == 0)
		b->torn_tail = torn_tail;
	stitch_hold(s, b, start + whole);
}

bool stitch_keep(struct stitch *s, const char *p, size_t n)
{
	bool lf = s->framing != FRAMING_COUNTED && memchr(p, '\n', n);

	if (s->carried == 0 || s->torn || s->framing == FRAMING_EXPORT || lf || s->carried + n >= BLOCK_SIZE ||
	    (s->framing != FRAMING_LINES && n >= frame_missing(s->carry, s->carried, FRAMING_COUNTED)))
		return false;
	carry_room(s, s->carried + n);
	memcpy(s->carry + s->carried, p, n);
	s->carried += n;
	return true;
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
