/*
 * report/sketch.h - how many whole numbers there were, their sum, and quantiles within a stated error.
 *
 * Bins as HdrHistogram's: a number below SKETCH_EXACT has one of its own; above, each power of two has SKETCH_EXACT / 2 of
 * equal width. No floating point, and no rule that depends on order: the same numbers give the same sketch whoever
 * gathered them, in whatever pieces. Debian has HdrHistogram for Java and Go alone, and its C twin keeps all bins, of eight
 * bytes, from the start; here only those between the smallest and the largest number exist, as wide as their counts need.
 *
 * One thread at a time. Out of memory aborts with the size asked for, as core/buf.h does.
 */
#ifndef REPORT_SKETCH_H
#define REPORT_SKETCH_H

#include "core/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A quantile of numbers below it is exact; of others it is off by at most this share of itself. */
#define SKETCH_EXACT (UINT64_C(1) << SKETCH_BITS)
#define SKETCH_ERROR (1.0 / (double)SKETCH_EXACT)

/* All zero: empty. Memory grows with the range, by doubling, up to SKETCH_BYTES_MAX. */
struct sketch {
	uint64_t count, sum;		/* exact; a sum beyond 64 bits stays at UINT64_MAX */
	uint64_t min, max;		/* exact, when there is one */
	void *bin;			/* owned: `nbins` counts of `width` bytes, the first for bin `first` */
	uint16_t first, nbins;
	uint8_t width;			/* 1, 2, 4, 8 */
};

/* Numbers that count as one: `low` to `high`, `value` stands for them. */
struct sketch_bin {
	uint64_t low, high, value, count;
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
 * The next bin that has something in it, in rising order; `*at` is 0 before the first call. false: there was none left.
 * Bins of two sketches are the same if and only if their `low` is. `value` lies within the sketch's `min` and `max`.
 */
bool sketch_next(const struct sketch *s, uint32_t *at, struct sketch_bin *out);

/* Bytes that it owns. */
size_t sketch_size(const struct sketch *s);

/* It is empty again. */
void sketch_free(struct sketch *s);

#endif
