#include "report/infer.h"

#include <math.h>
#include <stdlib.h>

#define PPM UINT64_C(1000000)

/* ---- ranks --------------------------------------------------------------------------------------------- */

/* Two sketches bin by bin: what each has in the bins of the next value that either has. */
struct walk {
	const struct sketch *s[2];
	struct sketch_walk at[2];
	struct sketch_bin bin[2];
	bool there[2];
	double count[2];		/* of the value that walk_next found */
};

static void walk_begin(struct walk *w, const struct sketch *old, const struct sketch *now)
{
	*w = (struct walk){ .s = { old, now } };
	for (int i = 0; i < 2; i++)
		w->there[i] = sketch_next(w->s[i], &w->at[i], &w->bin[i]);
}

static bool walk_next(struct walk *w)
{
	uint64_t value;

	if (!w->there[0] && !w->there[1])
		return false;
	value = w->bin[!w->there[0] || (w->there[1] && w->bin[1].value < w->bin[0].value)].value;
	for (int i = 0; i < 2; i++)
		for (w->count[i] = 0; w->there[i] && w->bin[i].value == value;
		     w->there[i] = sketch_next(w->s[i], &w->at[i], &w->bin[i]))
			w->count[i] += (double)w->bin[i].count;
	return true;
}

bool infer_ranks(const struct sketch *old, const struct sketch *now, struct ranks *out)
{
	double n1 = (double)old->count, n2 = (double)now->count, n = n1 + n2;
	double below = 0, u = 0, ties = 0, variance, z;
	struct walk w;

	walk_begin(&w, old, now);
	while (walk_next(&w)) {
		double t = w.count[0] + w.count[1];

		u += w.count[1] * (below + w.count[0] / 2);
		below += w.count[0];
		ties += t * (t * t - 1);
	}
	if (n1 < 1 || n2 < 1 || ties >= n * (n * n - 1))
		return false;
	variance = n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1)));
	z = (u - n1 * n2 / 2 - 0.5) / sqrt(variance);
	*out = (struct ranks){ .u = u, .a12 = u / (n1 * n2), .p = erfc(z / sqrt(2)) / 2 };
	return true;
}

/* ---- shares -------------------------------------------------------------------------------------------- */

static double choose(double n, double k)
{
	int sign;

	return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

/*
 * The hypergeometric distribution from `k` hits in `now` on, away from its middle: terms fall faster and faster, and
 * end when they add nothing. `step` is 1 or -1.
 */
static double tail(struct share old, struct share now, double k, int step)
{
	double hits = (double)(old.hits + now.hits), n = (double)now.n, other = (double)old.n;
	double term = exp(choose(n, k) + choose(other, hits - k) - choose(n + other, hits)), sum = 0;

	while (k >= 0 && k <= n && k <= hits && hits - k <= other && term > sum * 1e-17) {
		sum += term;
		if (step > 0)
			term *= (n - k) * (hits - k) / ((k + 1) * (other - hits + k + 1));
		else
			term *= k * (other - hits + k) / ((n - k + 1) * (hits - k + 1));
		k += step;
	}
	return sum;
}

double infer_fisher(struct share old, struct share now)
{
	double hits = (double)(old.hits + now.hits), all = (double)(old.n + now.n);
	double p;

	if (now.hits == 0 || now.n == 0 || old.n == 0)
		return 1;
	if ((double)now.hits * all > hits * (double)now.n)
		p = tail(old, now, (double)now.hits, 1);
	else
		p = 1 - tail(old, now, (double)now.hits - 1, -1);
	return p > 1 ? 1 : p < 0 ? 0 : p;
}

static struct share beyond(const struct sketch *s, uint64_t limit)
{
	struct share share = { .n = s->count };
	struct sketch_walk at = { 0 };
	struct sketch_bin b;

	while (sketch_next(s, &at, &b))
		if (b.value > limit)
			share.hits += b.count;
	return share;
}

/*
 * That at least j of `now` lie beyond the r-th largest of `old` is that at least j of the r - 1 + j largest of both
 * are of `now`: Fisher's table. Where others of `old` equal the r-th largest, fewer than r - 1 lie beyond; to count them
 * all the same makes p larger, never smaller.
 */
bool infer_beyond(const struct sketch *old, const struct sketch *now, uint32_t ppm, struct beyond *out)
{
	uint64_t limit = sketch_quantile(old, ppm), above = PPM - ppm;
	uint64_t ranks = old->count / PPM * above + old->count % PPM * above / PPM;
	struct share before = beyond(old, limit), after = beyond(now, limit), table = before;

	if (table.hits < ranks)
		table.hits = ranks;
	if (!after.hits)
		return false;
	*out = (struct beyond){ .limit = limit, .before = before, .after = after, .p = infer_fisher(table, after) };
	return true;
}

/* ---- several tests at once ----------------------------------------------------------------------------- */

static int by_p(const void *a, const void *b, void *p)
{
	double left = ((const double *)p)[*(const uint32_t *)a], right = ((const double *)p)[*(const uint32_t *)b];

	return (left > right) - (left < right);
}

void infer_holm(double *p, uint32_t *rank, uint32_t n)
{
	double least = 0;

	for (uint32_t i = 0; i < n; i++)
		rank[i] = i;
	qsort_r(rank, n, sizeof(*rank), by_p, p);
	for (uint32_t i = 0; i < n; i++) {
		double corrected = p[rank[i]] * (n - i);

		if (corrected > least)
			least = corrected < 1 ? corrected : 1;
		p[rank[i]] = least;
	}
}
