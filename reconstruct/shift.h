/*
 * reconstruct/shift.h - a whole run moved in time (--rebase; doc/replay.md): its spans, events and ids.
 */
#ifndef RECONSTRUCT_SHIFT_H
#define RECONSTRUCT_SHIFT_H

#include "reconstruct/span.h"

/* By how much. Zeroed: not at all. */
struct shift {
	int64_t us;
	uint64_t span, hi, lo;		/* keys that span ids and the halves of trace ids are hashed with; made of `us` */
};

/* A shift by `us`; 0 is none: times and ids stay as they are. */
struct shift shift_by(int64_t us);

/*
 * Move the spans and events of `t`, and hash its ids and the parent's. Ids that differ still do, and links between
 * spans hold: the new id depends on the old one and on the shift alone. `event` are those of `t`, or NULL. A time that
 * would lie outside of 1970 to 2262 stays at that edge. Pure.
 */
void shift_trace(const struct shift *s, struct trace *t, struct event *event);

#endif
