#include "core/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, cap;
	alignas(max_align_t) char p[];
};

#define CHUNK_SIZE ((size_t)32 * 1024)

static struct arena_chunk *chunk_new(struct arena *a, size_t cap)
{
	struct arena_chunk *c = calloc(1, sizeof(*c) + cap);

	if (!c) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", cap);
		abort();
	}
	c->cap = cap;
	c->next = a->chunks;
	a->chunks = c;
	return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->chunks;
	const size_t align = alignof(max_align_t);
	void *p;

	n = (n + align - 1) / align * align;
	if (!c || c->cap - c->used < n)
		c = chunk_new(a, n > CHUNK_SIZE ? n : CHUNK_SIZE);
	p = c->p + c->used;
	c->used += n;
	return p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	return slice_of(p, s.len);
}

struct arena_hook {
	struct arena_hook *next;
	void (*free_it)(void *);
	void *what;
};

void arena_on_free(struct arena *a, void (*free_it)(void *), void *what)
{
	struct arena_hook *h = arena_alloc(a, sizeof(*h));

	*h = (struct arena_hook){ a->hooks, free_it, what };
	a->hooks = h;
}

void arena_free(struct arena *a)
{
	for (struct arena_hook *h = a->hooks; h; h = h->next)
		h->free_it(h->what);
	a->hooks = NULL;
	while (a->chunks) {
		struct arena_chunk *next = a->chunks->next;

		free(a->chunks);
		a->chunks = next;
	}
}
