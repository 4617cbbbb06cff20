/*
 * export/tree.h - traces for a person at a terminal.
 */
#ifndef EXPORT_TREE_H
#define EXPORT_TREE_H

#include <stdbool.h>
#include <stdint.h>

/* How encoder_tree draws; once, before the first worker. `width` in columns. */
void tree_setup(bool colour, unsigned width);

/* The picture of one request, as encoder_tree makes it; many lines. */
struct buf;
struct record;
struct trace;
void tree_draw(struct buf *out, const struct record *r, const struct trace *t);
/* For a terminal, which would break longer lines anywhere: no line is wider than `width`. At first they may be. */
void tree_fit(bool on);

/*
 * encoder_tree_pieces writes this before each picture, so that a sink can choose among them.
 */
struct tree_piece {
	uint64_t ns;			/* length of the request */
	uint64_t id_hi, id_lo;		/* trace id */
	uint32_t spans;
	uint32_t len;			/* bytes of the picture behind it */
};

/* Requests shorter than `ns` are not even drawn from now on: nobody will choose them. Any thread; 0 at first. */
void tree_least(uint64_t ns);

#endif
