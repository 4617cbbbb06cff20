/*
 * report/sketch.h - how many whole numbers there were, their sum, and quantiles within a stated error.
 *
 * Bins as HdrHistogram's: a number below SKETCH_EXACT has one of its own; above, each power of two has SKETCH_EXACT / 2 of
 * equal width. Times are microseconds, but most logs have milliseconds: multiples of 1,000 have bins of their own, by
 * thousands, so that they are as exact and as small as if milliseconds were the unit. No floating point, and no rule that
 * depends on order: the same numbers give the same sketch whoever gathered them, in whatever pieces.
 *
 * Debian has HdrHistogram for Java and Go alone, and its C twin keeps all bins, of eight bytes, from the start; here only
 * those between the smallest and the largest number exist, as wide as their counts need.
 *
 * One thread at a time. Out of memory aborts with the size asked for, as core/buf.h does.
 */
#ifndef REPORT_SKETCH_H
#define REPORT_SKETCH_H

#include "core/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A quantile of numbers below it, or of as many thousands, is exact; others are off by at most this share of themselves. */
#define SKETCH_EXACT (UINT64_C(1) << SKETCH_BITS)
#define SKETCH_ERROR (1.0 / (double)SKETCH_EXACT)

/* Counts of `width` bytes (1, 2, 4, 8), the first for bin `first`. */
struct sketch_bins {
	void *bin;			/* owned; NULL: none */
	uint16_t first, n;
	uint8_t width;
};

/* A number, and how often it came. */
struct sketch_single {
	uint64_t value, count;
};

/* All zero: empty. Memory grows with the range, by halves, up to SKETCH_BYTES_MAX and SKETCH_SINGLES_BYTES. */
struct sketch {
	uint64_t count, sum;		/* exact; a sum beyond 64 bits stays at UINT64_MAX */
	uint64_t min, max;		/* exact, when there is one */
	struct sketch_bins thousands, others;
	struct sketch_single *single;	/* owned: all numbers, rising, while they are at most SKETCH_SINGLES; NULL: none, or too many */
	uint8_t nsingles;
	bool many;			/* they were too many */
};

void sketch_add(struct sketch *s, uint64_t value);

/* Take in what `from` has, which stays as it is. */
void sketch_merge(struct sketch *s, const struct sketch *from);

/*
 * The number of rank ceil(count * ppm / 1,000,000), from the smallest on, at least the first: numpy's "inverted_cdf".
 * `ppm` is 500000 for the median, at most 1000000. The least and the largest are exact. 0 when there is none.
 */
uint64_t sketch_quantile(const struct sketch *s, uint32_t ppm);

/*
 * The same for a person: the number itself where it is known, and `*exact` (unless NULL) says whether it is. What is held
 * against sketch_next is no such number: that is the other one, which stands for its bin.
 */
uint64_t sketch_tell(const struct sketch *s, uint32_t ppm, bool *exact);

/*
 * Numbers that count as one: `value` stands for each of them, within SKETCH_ERROR, and is the same in every sketch; the
 * smallest and the largest number may lie beyond it.
 */
struct sketch_bin {
	uint64_t value, count;
};

/* A way through all bins; zero at first. */
struct sketch_walk {
	uint32_t thousands, others;
};

/* The next bin that has something in it, by rising `value`; two may have the same. false: there is none left. */
bool sketch_next(const struct sketch *s, struct sketch_walk *walk, struct sketch_bin *out);

/* Bytes that it owns. */
size_t sketch_size(const struct sketch *s);

/* It is empty again. */
void sketch_free(struct sketch *s);

#endif
