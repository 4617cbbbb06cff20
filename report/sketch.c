#include "sketch.h"

#include "core/log.h"

#include <stdlib.h>
#include <string.h>

/* Bins of one power of two, and of all 64-bit numbers. */
#define HALF (UINT32_C(1) << (SKETCH_BITS - 1))
#define BINS ((64 - SKETCH_BITS + 2) * HALF)

_Static_assert(BINS * sizeof(uint64_t) == SKETCH_BYTES_MAX, "the bound in core/limits.h is this one");
_Static_assert(BINS <= UINT16_MAX, "their numbers have 16 bits");

static uint32_t bin_of(uint64_t value)
{
	uint32_t shift;

	if (value < SKETCH_EXACT)
		return (uint32_t)value;
	shift = 63 - (uint32_t)__builtin_clzll(value) - (SKETCH_BITS - 1);
	return shift * HALF + (uint32_t)(value >> shift);
}

static uint64_t low_of(uint32_t bin)
{
	if (bin < SKETCH_EXACT)
		return bin;
	return (uint64_t)(HALF + bin % HALF) << (bin / HALF - 1);
}

static uint64_t high_of(uint32_t bin)
{
	return bin + 1 < BINS ? low_of(bin + 1) - 1 : UINT64_MAX;
}

static uint64_t get(const void *bins, uint8_t width, uint32_t i)
{
	switch (width) {
	case 1: return ((const uint8_t *)bins)[i];
	case 2: return ((const uint16_t *)bins)[i];
	case 4: return ((const uint32_t *)bins)[i];
	default: return ((const uint64_t *)bins)[i];
	}
}

static void put(void *bins, uint8_t width, uint32_t i, uint64_t n)
{
	switch (width) {
	case 1: ((uint8_t *)bins)[i] = (uint8_t)n; break;
	case 2: ((uint16_t *)bins)[i] = (uint16_t)n; break;
	case 4: ((uint32_t *)bins)[i] = (uint32_t)n; break;
	default: ((uint64_t *)bins)[i] = n;
	}
}

/* The same counts in `nbins` bins of `width` from `first` on, which hold all that there are. */
static void rearrange(struct sketch *s, uint32_t first, uint32_t nbins, uint8_t width)
{
	void *bin = calloc(nbins, width);

	if (!bin) {
		log_error("out of memory: %zu bytes for a sketch", (size_t)nbins * width);
		abort();
	}
	if (width == s->width && s->nbins)
		memcpy((char *)bin + (size_t)(s->first - first) * width, s->bin, (size_t)s->nbins * width);
	else
		for (uint32_t i = 0; i < s->nbins; i++)
			put(bin, width, s->first - first + i, get(s->bin, s->width, i));
	free(s->bin);
	s->bin = bin;
	s->first = (uint16_t)first;
	s->nbins = (uint16_t)nbins;
	s->width = width;
}

/* Make room for bin `b`: half of what there is on its side at least, so that growing is rare. */
static void reach(struct sketch *s, uint32_t b)
{
	uint32_t first = s->first, end = first + s->nbins, more = s->nbins / 2 < SKETCH_STEP ? SKETCH_STEP : s->nbins / 2;

	if (!s->nbins) {
		first = b - b % SKETCH_STEP;
		end = first + SKETCH_STEP;
	} else if (b < first) {
		first = first - b < more ? (first < more ? 0 : first - more) : b;
	} else {
		end = b + 1 - end < more ? end + more : b + 1;
	}
	rearrange(s, first, (end > BINS ? BINS : end) - first, s->width ? s->width : 1);
}

static void count(struct sketch *s, uint32_t b, uint64_t more)
{
	uint64_t n;
	uint8_t width;

	if (b < s->first || b >= (uint32_t)s->first + s->nbins)
		reach(s, b);
	n = get(s->bin, s->width, b - s->first) + more;
	for (width = s->width; width < 8 && n >> (8 * width); width = (uint8_t)(2 * width))
		;
	if (width != s->width)
		rearrange(s, s->first, s->nbins, width);
	put(s->bin, s->width, b - s->first, n);
}

static void total(struct sketch *s, const struct sketch *from)
{
	if (!s->count || from->min < s->min)
		s->min = from->min;
	if (!s->count || from->max > s->max)
		s->max = from->max;
	s->count += from->count;
	if (__builtin_add_overflow(s->sum, from->sum, &s->sum))
		s->sum = UINT64_MAX;
}

void sketch_add(struct sketch *s, uint64_t value)
{
	const struct sketch one = { .count = 1, .sum = value, .min = value, .max = value };

	count(s, bin_of(value), 1);
	total(s, &one);
}

void sketch_merge(struct sketch *s, const struct sketch *from)
{
	struct sketch_bin b;
	uint32_t at = 0;

	if (!from->count)
		return;
	while (sketch_next(from, &at, &b))
		count(s, bin_of(b.low), b.count);
	total(s, from);
}

bool sketch_next(const struct sketch *s, uint32_t *at, struct sketch_bin *out)
{
	for (; *at < s->nbins; ++*at) {
		uint64_t n = get(s->bin, s->width, *at), low = low_of(s->first + *at), high = high_of(s->first + *at);

		if (!n)
			continue;
		*out = (struct sketch_bin){ .low = low, .high = high, .value = low + (high - low) / 2, .count = n };
		if (out->value < s->min)
			out->value = s->min;
		if (out->value > s->max)
			out->value = s->max;
		++*at;
		return true;
	}
	return false;
}

uint64_t sketch_quantile(const struct sketch *s, uint32_t ppm)
{
	/* count * ppm / 1,000,000, rounded up, in 64 bits. */
	uint64_t rest = s->count % 1000000 * ppm, rank = s->count / 1000000 * ppm + (rest + 999999) / 1000000;
	struct sketch_bin b = { 0 };
	uint64_t seen = 0;
	uint32_t at = 0;

	if (rank <= 1)
		return s->min;
	if (rank >= s->count)
		return s->max;
	while (sketch_next(s, &at, &b) && (seen += b.count) < rank)
		;
	return b.value;
}

size_t sketch_size(const struct sketch *s)
{
	return (size_t)s->nbins * s->width;
}

void sketch_free(struct sketch *s)
{
	free(s->bin);
	*s = (struct sketch){ 0 };
}
