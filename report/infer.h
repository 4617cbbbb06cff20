/*
 * report/infer.h - is it a difference, or may it be chance, and how large is it? Tests of significance and sizes of
 * effect, by the book: their names stand in what haspan says. Pure.
 */
#ifndef REPORT_INFER_H
#define REPORT_INFER_H

#include "report/sketch.h"

/*
 * The Mann-Whitney U test of whether numbers of `now` tend to be larger than those of `old`: asymptotic, with
 * correction for ties and for continuity, one-sided. Numbers that share a bin are ties: that loses a little power and
 * makes no difference that is not there.
 */
struct ranks {
	double u;	/* pairs (old, now) in which `now` is the larger; a tie is half of one */
	double a12;	/* the same as a share of all pairs (Vargha and Delaney); 0.5 is no difference */
	double p;	/* how likely so much is by chance */
};

/* false: one of them is empty, or all numbers are the same; `out` is left as it was. */
bool infer_ranks(const struct sketch *old, const struct sketch *now, struct ranks *out);

/* `hits` of `n`. */
struct share {
	uint64_t hits, n;
};

/* Fisher's exact test, one-sided: how likely so large a share in `now` is, if chance alone shared out the hits. */
double infer_fisher(struct share old, struct share now);

/* How many lie beyond what nearly all of `old` stay within. */
struct beyond {
	uint64_t limit;		/* a quantile of `old` */
	struct share before, after;	/* beyond it, of `old` and of `now` */
	double p;		/* how likely so many of `now` are by chance */
};

/*
 * The precedence test (Nelson, 1963), one-sided: how many of `now` lie beyond the quantile `ppm` (a millionth each) of
 * `old`. It is exact, whatever the distribution; ties make it careful. false: none of `now` does.
 */
bool infer_beyond(const struct sketch *old, const struct sketch *now, uint32_t ppm, struct beyond *out);

/*
 * Holm's correction, in place: of `n` tests at once, the chance that any of those with p[i] < alpha is a false alarm is
 * less than alpha, however they depend on each other. `rank` has room for `n`.
 */
void infer_holm(double *p, uint32_t *rank, uint32_t n);

#endif
