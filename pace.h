/*
 * pace.h - how fast lines are let through: --pace keeps the time between them, --rate is a limit (doc/replay.md).
 *
 * Between the sources and the workers, and only where one of the two was asked for: a block that was read is held, and
 * leaves in pieces, whole lines each, when their time has come.
 */
#ifndef PACE_H
#define PACE_H

#include "config.h"

struct pace;

/* NULL: neither was asked for, or `err` is filled. `c` is lent. */
struct pace *pace_new(const struct config *c, struct err *err);
void pace_free(struct pace *p);

/* The block to fill, when nothing is held: what is in it then is held. */
struct block *pace_block(struct pace *p);

/* Are lines held? */
bool pace_holds(const struct pace *p);

/*
 * Move the lines that are due at `now_us` (of a clock that never goes back) to `b`; with `all` the rest of them. Its
 * `mark` is 0 but with the last piece. Returns in how many milliseconds the next is due, when there is none now; else 0.
 */
int pace_take(struct pace *p, struct block *b, int64_t now_us, bool all);

#endif
