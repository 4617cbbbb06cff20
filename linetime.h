/*
 * linetime.h - when lines were written, by what they say themselves: for --rebase and --pace.
 *
 * A request's line is written at its end; a step of a request when it was taken. Lines that are no requests, and those
 * that have no date, do not tell. What a line says of itself counts, not its envelope: that is another clock.
 */
#ifndef LINETIME_H
#define LINETIME_H

#include "config.h"

struct linetime;

/* A parser of its own, which nobody else's results depend on. `c` is lent. NULL: `err` filled. */
struct linetime *linetime_new(const struct config *c, struct err *err);
void linetime_free(struct linetime *t);

/* Microseconds since 1970, or 0: it does not tell. Peels the frame (raw and flags set). One caller at a time. */
int64_t linetime_of(struct linetime *t, struct frame *f);

/* The time of the first or the last line of a block that tells; 0: none does. Depends on these lines alone. */
int64_t linetime_first(struct linetime *t, const struct block *b);
int64_t linetime_last(struct linetime *t, const struct block *b);

/*
 * The latest time of the last lines of all files that `c` reads, to `*us`; 0: no line tells. false: they can't be known,
 * because something else than regular files is read.
 */
bool linetime_end(struct linetime *t, const struct config *c, int64_t *us);

#endif
