/*
 * tests/fuzz/fuzz.h - what the fuzzers share: a check that ends the run, and input as a block holds it.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "core/limits.h"
#include "core/slice.h"

#include <stdio.h>
#include <stdlib.h>

/* An invariant. A fuzzer that finds one broken aborts: that is a crash like any other. */
#define CHECK(condition) \
	((condition) ? (void)0 : \
	 (fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/*
 * The bytes with BLOCK_PAD before and behind them and not one more, so that a look beyond the pads is seen.
 * The pads hold bytes of the input itself: what lies there must not matter. free() what `*base` gets.
 */
static inline struct slice fuzz_padded(const uint8_t *data, size_t size, char **base)
{
	*base = malloc(size + 2 * BLOCK_PAD);
	CHECK(*base);
	for (size_t i = 0; i < BLOCK_PAD; i++) {
		(*base)[i] = size ? (char)data[size - 1 - i % size] : '0';
		(*base)[BLOCK_PAD + size + i] = size ? (char)data[i % size] : '0';
	}
	if (size)
		memcpy(*base + BLOCK_PAD, data, size);
	return slice_of(*base + BLOCK_PAD, size);
}

/* The first byte of the input, for choices; the rest is the input proper. */
static inline uint8_t fuzz_byte(const uint8_t **data, size_t *size)
{
	return *size ? (--*size, *(*data)++) : 0;
}

/* Does `part` lie in `whole`? An empty one may be anywhere. */
static inline bool fuzz_inside(struct slice part, struct slice whole)
{
	return part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

#endif
