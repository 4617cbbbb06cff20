#include "report/sketch.h"

#include "core/log.h"

#include <stdlib.h>
#include <string.h>

#define THOUSAND UINT64_C(1000)

/* Bins of one power of two, and of all 64-bit numbers. */
#define HALF (UINT32_C(1) << (SKETCH_BITS - 1))
#define BINS ((64 - SKETCH_BITS + 2) * HALF)

_Static_assert(2 * BINS * sizeof(uint64_t) == SKETCH_BYTES_MAX, "the bound in core/limits.h is this one");
_Static_assert(BINS <= UINT16_MAX, "their numbers have 16 bits");

/* ---- bins --------------------------------------------------------------------------------------------------- */

static uint32_t bin_of(uint64_t value)
{
	uint32_t shift;

	if (value < SKETCH_EXACT)
		return (uint32_t)value;
	shift = 63 - (uint32_t)__builtin_clzll(value) - (SKETCH_BITS - 1);
	return shift * HALF + (uint32_t)(value >> shift);
}

/* The middle of it. */
static uint64_t value_of(uint32_t bin)
{
	uint32_t shift = bin < SKETCH_EXACT ? 0 : bin / HALF - 1;

	return shift ? ((uint64_t)(HALF + bin % HALF) << shift) + ((UINT64_C(1) << shift) - 1) / 2 : bin;
}

static uint64_t get(const struct sketch_bins *b, uint32_t i)
{
	switch (b->width) {
	case 1: return ((const uint8_t *)b->bin)[i];
	case 2: return ((const uint16_t *)b->bin)[i];
	case 4: return ((const uint32_t *)b->bin)[i];
	default: return ((const uint64_t *)b->bin)[i];
	}
}

static void put(struct sketch_bins *b, uint32_t i, uint64_t n)
{
	switch (b->width) {
	case 1: ((uint8_t *)b->bin)[i] = (uint8_t)n; break;
	case 2: ((uint16_t *)b->bin)[i] = (uint16_t)n; break;
	case 4: ((uint32_t *)b->bin)[i] = (uint32_t)n; break;
	default: ((uint64_t *)b->bin)[i] = n;
	}
}

/* The same counts in `n` bins of `width` from `first` on, which hold all that there are. */
static void rearrange(struct sketch_bins *b, uint32_t first, uint32_t n, uint8_t width)
{
	struct sketch_bins to = { calloc(n, width), (uint16_t)first, (uint16_t)n, width };

	if (!to.bin) {
		log_error("out of memory: %zu bytes for a sketch", (size_t)n * width);
		abort();
	}
	for (uint32_t i = 0; i < b->n; i++)
		put(&to, b->first - first + i, get(b, i));
	free(b->bin);
	*b = to;
}

/* Make room for `bin`: half of what there is on its side at least, so that growing is rare. */
static void reach(struct sketch_bins *b, uint32_t bin)
{
	uint32_t first = b->first, end = first + b->n, more = b->n / 2 < SKETCH_STEP ? SKETCH_STEP : b->n / 2;

	if (!b->n) {
		first = bin - bin % SKETCH_STEP;
		end = first + SKETCH_STEP;
	} else if (bin < first) {
		first = first - bin > more ? bin : first < more ? 0 : first - more;
	} else {
		end = bin + 1 - end > more ? bin + 1 : end + more;
	}
	rearrange(b, first, (end > BINS ? BINS : end) - first, b->width ? b->width : 1);
}

static void count(struct sketch_bins *b, uint32_t bin, uint64_t more)
{
	uint8_t width;
	uint64_t n;

	if (bin < b->first || bin >= (uint32_t)b->first + b->n)
		reach(b, bin);
	n = get(b, bin - b->first) + more;
	for (width = b->width; width < 8 && n >> (8 * width); width = (uint8_t)(2 * width))
		;
	if (width != b->width)
		rearrange(b, b->first, b->n, width);
	put(b, bin - b->first, n);
}

static void merge(struct sketch_bins *to, const struct sketch_bins *from)
{
	for (uint32_t i = 0; i < from->n; i++) {
		uint64_t n = get(from, i);

		if (n)
			count(to, from->first + i, n);
	}
}

/* From place `at` on, the next one that is not empty; `n` of them when there is none. */
static uint32_t next(const struct sketch_bins *b, uint32_t at)
{
	while (at < b->n && !get(b, at))
		at++;
	return at;
}

/* ---- single numbers ----------------------------------------------------------------------------------------- */

static void too_many(struct sketch *s)
{
	free(s->single);
	s->single = NULL;
	s->nsingles = 0;
	s->many = true;
}

/* One more place at `at`; room grows by powers of two. false: there is none. */
static bool insert(struct sketch *s, uint32_t at)
{
	uint32_t n = s->nsingles;

	if (n == SKETCH_SINGLES)
		return false;
	if ((n & (n - 1)) == 0) {
		struct sketch_single *more = realloc(s->single, (n ? 2 * n : 1) * sizeof(*more));

		if (!more)
			return false;
		s->single = more;
	}
	memmove(&s->single[at + 1], &s->single[at], (n - at) * sizeof(*s->single));
	s->nsingles++;
	return true;
}

static void add_single(struct sketch *s, uint64_t value, uint64_t n)
{
	uint32_t at = s->nsingles;

	if (s->many)
		return;
	while (at > 0 && s->single[at - 1].value >= value)
		at--;
	if (at < s->nsingles && s->single[at].value == value)
		s->single[at].count += n;
	else if (insert(s, at))
		s->single[at] = (struct sketch_single){ value, n };
	else
		too_many(s);
}

static void merge_singles(struct sketch *s, const struct sketch *from)
{
	if (from->many && !s->many)
		too_many(s);
	for (uint32_t i = 0; i < from->nsingles; i++)
		add_single(s, from->single[i].value, from->single[i].count);
}

/* ---- the sketch --------------------------------------------------------------------------------------------- */

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

	if (value % THOUSAND == 0)
		count(&s->thousands, bin_of(value / THOUSAND), 1);
	else
		count(&s->others, bin_of(value), 1);
	add_single(s, value, 1);
	total(s, &one);
}

void sketch_merge(struct sketch *s, const struct sketch *from)
{
	if (!from->count)
		return;
	merge(&s->thousands, &from->thousands);
	merge(&s->others, &from->others);
	merge_singles(s, from);
	total(s, from);
}

bool sketch_next(const struct sketch *s, struct sketch_walk *walk, struct sketch_bin *out)
{
	const struct sketch_bins *t = &s->thousands, *o = &s->others;
	uint64_t thousands = UINT64_MAX, others = UINT64_MAX;

	walk->thousands = next(t, walk->thousands);
	walk->others = next(o, walk->others);
	if (walk->thousands == t->n && walk->others == o->n)
		return false;
	if (walk->thousands < t->n)
		thousands = value_of(t->first + walk->thousands) * THOUSAND;
	if (walk->others < o->n)
		others = value_of(o->first + walk->others);
	if (walk->others == o->n || (walk->thousands < t->n && thousands <= others))
		*out = (struct sketch_bin){ thousands, get(t, walk->thousands++) };
	else
		*out = (struct sketch_bin){ others, get(o, walk->others++) };
	return true;
}

/* count * ppm / 1,000,000, rounded up, in 64 bits. */
static uint64_t rank_of(uint64_t count, uint32_t ppm)
{
	return count / 1000000 * ppm + (count % 1000000 * ppm + 999999) / 1000000;
}

uint64_t sketch_quantile(const struct sketch *s, uint32_t ppm)
{
	uint64_t rank = rank_of(s->count, ppm), seen = 0;
	struct sketch_walk walk = { 0 };
	struct sketch_bin b = { 0 };

	if (rank <= 1)
		return s->min;
	if (rank >= s->count)
		return s->max;
	while (sketch_next(s, &walk, &b) && (seen += b.count) < rank)
		;
	return b.value < s->min ? s->min : b.value > s->max ? s->max : b.value;
}

uint64_t sketch_tell(const struct sketch *s, uint32_t ppm, bool *exact)
{
	uint64_t rank = rank_of(s->count, ppm), seen = 0, value = sketch_quantile(s, ppm);

	if (s->nsingles) {
		for (uint32_t i = 0; i < s->nsingles && seen < (rank ? rank : 1); i++) {
			seen += s->single[i].count;
			value = s->single[i].value;
		}
	}
	/* Single bins: both kinds up to SKETCH_EXACT, of thousands alone up to a thousand times that. */
	if (exact)
		*exact = s->nsingles || rank <= 1 || rank >= s->count || value < SKETCH_EXACT ||
			 (!s->others.n && value < SKETCH_EXACT * THOUSAND);
	return value;
}

size_t sketch_size(const struct sketch *s)
{
	return (size_t)s->thousands.n * s->thousands.width + (size_t)s->others.n * s->others.width +
	       s->nsingles * sizeof(*s->single);
}

void sketch_free(struct sketch *s)
{
	free(s->thousands.bin);
	free(s->others.bin);
	free(s->single);
	*s = (struct sketch){ 0 };
}
