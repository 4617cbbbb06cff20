/*
 * export/tree.h - traces for a person at a terminal.
 */
#ifndef EXPORT_TREE_H
#define EXPORT_TREE_H

#include <stdbool.h>

/* How encoder_tree draws; once, before the first worker. `width` in columns. */
void tree_setup(bool colour, unsigned width);

/* The picture of one request, as encoder_tree makes it; many lines. */
struct buf;
struct record;
struct trace;
void tree_draw(struct buf *out, const struct record *r, const struct trace *t);

#endif
