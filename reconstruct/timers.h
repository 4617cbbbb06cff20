/*
 * reconstruct/timers.h - timers and termination state to phases (doc/model.md). Pure.
 */
#ifndef RECONSTRUCT_TIMERS_H
#define RECONSTRUCT_TIMERS_H

#include "parse/format.h"
#include "reconstruct/reconstruct.h"

/*
 * Fill t->span with the tree of the request in `r` that began at `start_ns`: roles, kinds, bounds, names,
 * status and error.type, but no ids. `name` is SERVER's and CLIENT's. Sets the derived slots status,
 * status_server, server, redispatched, open_end.
 */
void timers_rebuild(struct record *r, enum phases phases, uint64_t start_ns, struct slice name, struct trace *t);

#endif
