/*
 * The tests of significance (report/infer.h), asked by tests/compare.py: a question a line on standard input, an answer
 * a line on standard output.
 *
 *	ranks N M old... now...		u a12 p, or "none"
 *	beyond N M old... now...	p at the 95th percentile of old, or "none"
 *	fisher HITS N HITS N		p; of old, of now
 *	holm N p...			p...
 */
#include "report/infer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t whole(void)
{
	uint64_t n;

	if (scanf("%" SCNu64, &n) != 1)
		exit(2);
	return n;
}

static void fill(struct sketch *s, uint64_t n)
{
	while (n-- > 0)
		sketch_add(s, whole());
}

static void ranks(void)
{
	struct sketch old = { 0 }, now = { 0 };
	struct ranks r;
	uint64_t n = whole(), m = whole();

	fill(&old, n);
	fill(&now, m);
	if (infer_ranks(&old, &now, &r))
		printf("%.17g %.17g %.17g\n", r.u, r.a12, r.p);
	else
		puts("none");
	sketch_free(&old);
	sketch_free(&now);
}

static void beyond(void)
{
	struct sketch old = { 0 }, now = { 0 };
	struct beyond b;
	uint64_t n = whole(), m = whole();

	fill(&old, n);
	fill(&now, m);
	if (infer_beyond(&old, &now, 950000, &b))
		printf("%.17g\n", b.p);
	else
		puts("none");
	sketch_free(&old);
	sketch_free(&now);
}

static void fisher(void)
{
	struct share old, now;

	old.hits = whole();
	old.n = whole();
	now.hits = whole();
	now.n = whole();
	printf("%.17g\n", infer_fisher(old, now));
}

static void holm(void)
{
	uint32_t n = (uint32_t)whole(), *rank = calloc(n + 1, sizeof(*rank));
	double *p = calloc(n + 1, sizeof(*p));

	for (uint32_t i = 0; i < n; i++)
		if (scanf("%lf", &p[i]) != 1)
			exit(2);
	infer_holm(p, rank, n);
	for (uint32_t i = 0; i < n; i++)
		printf("%.17g%c", p[i], i + 1 < n ? ' ' : '\n');
	free(p);
	free(rank);
}

int main(void)
{
	char what[16];

	while (scanf("%15s", what) == 1) {
		if (what[0] == 'r')
			ranks();
		else if (what[0] == 'b')
			beyond();
		else if (what[0] == 'f')
			fisher();
		else
			holm();
	}
	return 0;
}
