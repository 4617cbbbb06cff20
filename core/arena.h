/*
 * core/arena.h - memory that is taken at start and given back all at once (configuration, programs, plans).
 * Never used per line. Out of memory aborts with the size asked for.
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/slice.h"

struct arena {
	struct arena_chunk *chunks;	/* owned */
	struct arena_hook *hooks;	/* in the chunks */
};

/* `n` zeroed bytes, aligned for anything; lent until arena_free. */
void *arena_alloc(struct arena *a, size_t n);

/* A copy of `s`, NUL-terminated for the libraries that want it. */
struct slice arena_copy(struct arena *a, struct slice s);

/* Call `free_it(what)` when the arena goes: for what a library allocated. */
void arena_on_free(struct arena *a, void (*free_it)(void *), void *what);

/* Everything at once. */
void arena_free(struct arena *a);

#endif
