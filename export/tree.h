/*
 * export/tree.h - traces for a person at a terminal.
 */
#ifndef EXPORT_TREE_H
#define EXPORT_TREE_H

#include "core/buf.h"

/* How encoder_tree draws; once, before the first worker. `width` in columns. */
void tree_setup(bool colour, unsigned width);

/*
 * Append `s` so that it can't do anything to a terminal: control characters and those that turn the direction
 * of writing become '?'. At most `max` characters, then `…`. Returns the columns used (one per character).
 */
unsigned tree_text(struct buf *out, struct slice s, unsigned max);

#endif
