/*
 * ingest/stitch.h - private to ingest/: a stream of bytes is read in pieces; what is unfinished at the end of one block
 * is the beginning of the next.
 *
 *	start = stitch_begin(s, b);		the unfinished piece, behind what is in the block already
 *	b->len += read(…, b->p + b->len, BLOCK_SIZE - b->len);
 *	stitch_end(s, b, start, ended);		whole frames stay in the block, the rest is kept
 */
#ifndef INGEST_STITCH_H
#define INGEST_STITCH_H

#include "ingest/ingest.h"

/* Zero it for a new stream. */
struct stitch {
	enum framing framing;	/* FRAMING_UNKNOWN until the first bytes have told */
	bool torn;		/* the last block ended inside an over-long frame */
	size_t skip;		/* torn, FRAMING_COUNTED: so many bytes of it are still to come */
	char *carry;		/* owned; memory for `room` bytes, at most BLOCK_SIZE */
	size_t carried, room;
};

/*
 * Append what is carried to `b`. Returns where it begins. The caller has seen to it that it fits (b->len + carried <=
 * BLOCK_SIZE), that the framing of what is in the block is the stream's, and that it is empty if the stream is torn.
 */
size_t stitch_begin(struct stitch *s, struct block *b);

/*
 * How many of the block's bytes from `start` on are whole frames. With `ended` the stream has no more. Decides the
 * framing.
 */
size_t stitch_whole(struct stitch *s, const struct block *b, size_t start, bool ended);

/*
 * Leave whole frames in the block and keep the rest for the next one. Frames that do not end within a whole block of
 * their own leave in pieces (torn_head, torn_tail). Aborts when out of memory.
 */
void stitch_end(struct stitch *s, struct block *b, size_t start, bool ended);

/* ---- connections: streams that come in small pieces, many of them side by side --------------------------- */

/* May frames of this stream stand in `b`, behind those of others? */
bool stitch_fits(const struct stitch *s, const struct block *b);

/*
 * `n` bytes were read to b->p + b->len + s->carried, of a stream for which stitch_fits: whole frames are appended to the
 * block, the rest is kept. With `ended` what is unfinished is a frame too. Sets b->sole where nothing may stand behind
 * them. A frame that comes byte by byte is not looked at from its beginning each time. Which frames come out does not
 * depend on how the bytes were cut, but for a stream of which nobody can tell the framing (frame_stream).
 */
void stitch_take(struct stitch *s, struct block *b, size_t n, bool ended);

/* Between two frames: give the memory back. */
void stitch_rest(struct stitch *s);

/* Forget the stream, and give its memory back. */
void stitch_free(struct stitch *s);

#endif
