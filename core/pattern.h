/*
 * core/pattern.h - regular expressions: PCRE2, compiled to machine code once, bounded in time for every text.
 */
#ifndef CORE_PATTERN_H
#define CORE_PATTERN_H

#include "core/arena.h"

struct pattern;

enum pattern_flag {
	PATTERN_WHOLE = 1,		/* the whole text must fit, from its first byte to its last */
};

/* Why a pattern is none. */
struct pattern_fault {
	char text[160];
	size_t at;			/* byte of the pattern */
};

/* Compile `text`; the arena frees it. NULL: `fault` filled. */
struct pattern *pattern_compile(struct slice text, unsigned flags, struct arena *arena, struct pattern_fault *fault);

/* The `k`-th named group and its number; false: there are no more. */
bool pattern_group(const struct pattern *p, uint32_t k, struct slice *name, uint32_t *number);

/* Groups beyond this number are matched, but what they matched is not told. */
#define PATTERN_GROUPS 256

/* Of a text that would take too long nothing is known: whoever asks must take it neither for the one nor for the other. */
enum pattern_answer { PATTERN_NO, PATTERN_FITS, PATTERN_STOPPED };

/*
 * Does `text` fit? That it was stopped is counted and said. With `at` (not NULL) also where the groups are: two offsets
 * each, lent until this thread's next call; `*n` of them took part in the match, and one that did not has
 * PATTERN_UNSET as its first offset. Any thread.
 */
enum pattern_answer pattern_match(const struct pattern *p, struct slice text, const size_t **at, uint32_t *n);

#define PATTERN_UNSET SIZE_MAX

/* How many texts would have taken too long: all threads since the start. Any thread. */
uint64_t pattern_stopped(void);

/* The same of the calling thread alone, since it began. */
uint64_t pattern_stopped_here(void);

/* Give back what this thread's matches have used. */
void pattern_thread_free(void);

#endif
