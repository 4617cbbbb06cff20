/*
 * tests/guard.h - input that lies against a dead page: a read too far is a crash, not a guess.
 *
 *	struct guard g = guard_new(size);
 *	p = guard_end(&g, text, len, BLOCK_PAD, '0');	behind the text `pad` bytes of '0', then death
 *	p = guard_start(&g, text, len, BLOCK_PAD, '0');	the same in front of it
 *	guard_free(&g);
 */
#ifndef TESTS_GUARD_H
#define TESTS_GUARD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* [p, p + size) between two dead pages. */
struct guard {
	char *p;		/* owned */
	size_t size;
};

/* Room for at least `size` bytes. */
static inline struct guard guard_new(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct guard g = { .size = (size + page) / page * page };
	char *p = mmap(NULL, g.size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page, g.size, PROT_READ | PROT_WRITE) != 0) {
		perror("guard_new");
		abort();
	}
	g.p = p + page;
	return g;
}

static inline void guard_free(struct guard *g)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	munmap(g->p - page, g->size + 2 * page);
	g->p = NULL;
}

/* A copy of the `n` bytes at `p`, behind which stand `pad` bytes of `fill` and nothing more. */
static inline char *guard_end(struct guard *g, const char *p, size_t n, size_t pad, int fill)
{
	char *to = g->p + g->size - pad - n;

	memset(g->p, fill, g->size);
	if (n)
		memcpy(to, p, n);
	return to;
}

/* A copy of the `n` bytes at `p`, before which stand `pad` bytes of `fill` and nothing more. */
static inline char *guard_start(struct guard *g, const char *p, size_t n, size_t pad, int fill)
{
	memset(g->p, fill, g->size);
	if (n)
		memcpy(g->p + pad, p, n);
	return g->p + pad;
}

#endif
