/*
 * core/metrics.h - numbers that a room shows of itself: gathered, then printed by whoever was asked (control.c).
 *
 * Names, kinds and help are formats/metrics.def's.
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "core/buf.h"

#include <stdatomic.h>

enum metric {
#define METRIC(name, kind, label, help) METRIC_##name,
#include "formats/metrics.def"
#undef METRIC
	METRIC_MAX
};

/* Powers of two: bucket k counts values below 1 << k, in the metric's own unit; the last one all. */
#define HISTOGRAM_BUCKETS 32

/* Any thread may add and read. Zero it before use. */
struct histogram {
	_Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
	_Atomic uint64_t sum;
};

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	unsigned k = value ? 64 - (unsigned)__builtin_clzll(value) : 0;

	atomic_fetch_add_explicit(&h->bucket[k < HISTOGRAM_BUCKETS ? k : HISTOGRAM_BUCKETS - 1], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
}

struct metric_sample {
	enum metric id;
	const char *label;			/* lent until the metrics are printed */
	const struct histogram *histogram;	/* or NULL */
	double value;
};

/* Gathers samples. Zero it before use; metrics_free gives its memory back. */
struct metrics {
	struct buf samples;		/* struct metric_sample each */
	const char *label;		/* of those added from now on: a source's or sink's URI; NULL: none */
};

void metrics_add(struct metrics *m, enum metric id, double value);
void metrics_add_histogram(struct metrics *m, enum metric id, const struct histogram *h);
void metrics_free(struct metrics *m);

#endif
