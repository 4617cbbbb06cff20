#include "core/metrics.h"

/* Samples of all sources and sinks together: a few dozen for each of at most some hundred. */
#define SAMPLES_MAX ((size_t)32 * 1024)

/* Histograms: what lies in a bucket is told apart no further, so the bounds are where an operator's questions are. */
static const struct {
	uint64_t bound[HISTOGRAM_BOUNDS];	/* 0: no more */
	double per_unit;
} histograms[METRIC_MAX] = {
	/* From a request's single trace to JOIN_MAX. */
	[METRIC_sink_batch_spans] = { { 10, 50, 100, 500, 1000, 2500, 5000, 10000 }, 1 },
	[METRIC_sink_batch_bytes] = { { 1000, 5000, 10000, 50000, 100000, 250000, 500000, 1000000, 2500000 }, 1 },
	/* Prometheus' own usual ones, in microseconds; --timeout ends them. */
	[METRIC_sink_latency_seconds] = { { 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
					    10000000 }, 1e6 },
};

unsigned metric_bounds(enum metric id, const uint64_t **bounds, double *per_unit)
{
	unsigned n = 0;

	*bounds = histograms[id].bound;
	*per_unit = histograms[id].per_unit;
	while (n < HISTOGRAM_BOUNDS && (*bounds)[n])
		n++;
	return n;
}

void histogram_add(struct histogram *h, enum metric id, uint64_t value)
{
	const uint64_t *bounds;
	double per_unit;
	unsigned n = metric_bounds(id, &bounds, &per_unit), k = 0;

	while (k < n && value > bounds[k])
		k++;
	atomic_fetch_add_explicit(&h->bucket[k], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
}

static void add(struct metrics *m, struct metric_sample s)
{
	if (m->samples.max == 0)
		m->samples.max = SAMPLES_MAX * sizeof(s);
	if (m->samples.len + sizeof(s) <= m->samples.max)
		buf_add(&m->samples, (const char *)&s, sizeof(s));
}

void metrics_add(struct metrics *m, enum metric id, double value)
{
	add(m, (struct metric_sample){ id, m->label, NULL, value });
}

void metrics_add_histogram(struct metrics *m, enum metric id, const struct histogram *h)
{
	add(m, (struct metric_sample){ id, m->label, h, 0 });
}

void metrics_free(struct metrics *m)
{
	buf_free(&m->samples);
}
