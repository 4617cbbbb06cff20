/*
 * core/term.h - text that somebody else wrote, on its way to a terminal.
 */
#ifndef CORE_TERM_H
#define CORE_TERM_H

#include "core/buf.h"

/*
 * Append `s` so that it can't do anything to a terminal, nor to a CI runner that reads what a step prints: control
 * characters, those that turn the direction of writing and those that nobody sees become '?', and so does one byte of what
 * GitHub's runner takes for commands: the second # of `##[`, wherever it stands (also where `##` ends the text), and the
 * first : of a `::` behind nothing but blanks, unless it begins an address. At most `max` characters, then
 * `…`. Returns the columns used (one per character).
 */
unsigned term_text(struct buf *out, struct slice s, unsigned max);

/* The same in place, for messages and reports: each byte of what is hostile becomes '?', but for those in `keep`. */
void term_mask(char *p, size_t n, const char *keep);

#endif
