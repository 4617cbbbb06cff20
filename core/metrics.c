#include "core/metrics.h"

/* Samples of all sources and sinks together: a few dozen for each of at most some hundred. */
#define SAMPLES_MAX ((size_t)32 * 1024)

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
