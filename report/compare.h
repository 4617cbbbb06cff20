/*
 * report/compare.h - did anything get slower, or fail more, than in an older capture? Backend by backend and phase by
 * phase (doc/ci.md).
 *
 * A difference counts when it is significant and large: both. Three tests, each one-sided: that a phase tends to take
 * longer (Mann-Whitney U; effect: A12, and the shift of the median), that more requests lie beyond the 95th percentile
 * of before (precedence test; effect: the shift of the 95th percentile), that more requests fail (Fisher's exact test;
 * effect: the share). The p-values of a comparison are corrected together, by Holm's method.
 */
#ifndef REPORT_COMPARE_H
#define REPORT_COMPARE_H

#include "core/arena.h"
#include "report/backends.h"
#include "report/result.h"

/* From which on a difference counts. */
struct compare_limits {
	double alpha;			/* p, corrected: how likely a false alarm may be, of all tests together */
	double a12;			/* how often a request is to be slower than one of the baseline: above 0.5 */
	double longer;			/* by which share of itself the median or 95th percentile is to grow */
	uint64_t longer_us;		/* and by how much */
	double failures;		/* by how much the share of failed requests is to grow; 0.001 is 0.1 % of all */
};

/* What they are unless somebody says otherwise; why: doc/ci.md. */
extern const struct compare_limits compare_usual;

/*
 * One result for each backend and phase of either capture, and one for its failures, as groups of one rule; `*out` is
 * the arena's. Where there are too few requests to tell, or a backend is in one of the captures only, a result says so,
 * which does not fail; one that does says so when nothing at all could be compared. Returns how many.
 */
uint32_t compare(struct backends *old, struct backends *now, const struct compare_limits *limits,
		 struct arena *arena, struct result **out);

#endif
