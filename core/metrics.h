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

/* Bounds of a histogram at most, and one for what is above them all: each is a line of /metrics for every sink. */
#define HISTOGRAM_BOUNDS 12
#define HISTOGRAM_BUCKETS (HISTOGRAM_BOUNDS + 1)

/* Whole numbers: bucket k counts those up to the metric's bound k (metric_bounds). Any thread adds and reads. Zero it. */
struct histogram {
	_Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
	_Atomic uint64_t sum;
};

/*
 * The bounds of a histogram of formats/metrics.def, growing, and how many they are; the last of its buckets is above them.
 * `*per_unit`: so many make one of the unit that the metric is named after (microseconds: 1000000).
 */
unsigned metric_bounds(enum metric id, const uint64_t **bounds, double *per_unit);

void histogram_add(struct histogram *h, enum metric id, uint64_t value);

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
