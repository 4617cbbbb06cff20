/*
 * report/rules_private.h - what the files of report/rules*.c share.
 */
#ifndef REPORT_RULES_PRIVATE_H
#define REPORT_RULES_PRIVATE_H

#include "report/rules.h"
#include "report/sketch.h"

/* What a rule is about. */
enum subject {
	ABOUT_REQUESTS,		/* a test of each */
	ABOUT_PARENTS,		/* each continues somebody's trace */
	ABOUT_SPANS,		/* the same of each span */
	ABOUT_COUNT,		/* how many there are, or pass a test */
	ABOUT_RATE,		/* which share passes a test */
	ABOUT_VALUE,		/* the values of a name, as one number */
	ABOUT_RUN,		/* a counter of the run */
};

enum measure { MEASURE_MIN, MEASURE_MAX, MEASURE_MEAN, MEASURE_SUM, MEASURE_QUANTILE };

enum compare { COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE, COMPARE_EQ, COMPARE_NE, COMPARE_MAX };

extern const char *const compare_names[COMPARE_MAX];

/* A limit is a whole number of this part of its unit (microseconds, 1, a share), so that comparing is exact. */
#define LIMIT_SCALE INT64_C(1000000000)

struct check_rule {
	struct slice name, text, file;
	unsigned line, column;
	enum severity severity;
	bool may_be_empty;
	enum subject subject;
	const struct expr *test, *where;	/* NULL: none */
	const struct expr_value *value, *by;
	struct slice measured;			/* `p99(Tr)`, as it is written */
	struct slice by_name;
	enum measure measure;
	uint32_t ppm;				/* of a quantile */
	size_t counter;				/* offset in struct run_counts */
	enum compare op;
	enum unit unit;
	__int128 limit;				/* in LIMIT_SCALE */
	uint32_t nworst;			/* requests that are kept of it, or of a group */
};

/* A request that is kept. */
struct worst {
	int64_t rank;				/* more is worse */
	int64_t value;				/* as it was measured */
	uint64_t id_hi, id_lo, span;
	char *tree;				/* owned */
	uint32_t len, cap;
};

/* What was gathered of a rule, or of one of its groups. */
struct cell {
	uint64_t seen, hits;			/* `hits`: break it, or are what it counts */
	uint64_t below, equal;			/* of values: below the limit, or just that */
	int64_t min, max;
	__int128 sum;
	struct sketch sketch;			/* of quantiles; negative values are 0 in it */
	uint64_t negative;			/* so many */
	struct worst *worst;			/* owned; worst first, room for what its rule keeps; NULL: none yet */
	uint32_t nworst;
};

struct rule_group {
	uint64_t hash;				/* of the whole name; it is what it is known by */
	struct cell cell;
	uint32_t len;
	char name[RULE_GROUP_NAME_MAX];		/* a longer one as cut_name makes it */
};

/*
 * Groups of a rule, in the order of their hashes. When there is no room those with the greatest go to `rest`: whoever
 * gathers, in whatever order, keeps the same ones, and all that belongs to them.
 */
struct rule_groups {
	struct rule_group **v;			/* owned, room for `max` */
	uint32_t n, max;
	bool folded;
	struct cell rest;
};

/* What one worker gathers. */
struct rules_part {
	const struct ruleset *set;
	struct expr_memo *memo;
	struct cell *cell;			/* of each rule */
	struct rule_groups *groups;			/* of each rule with `by`; the others have none */
	uint64_t *stopped;			/* of each rule: requests on which a pattern of it was stopped */
	uint64_t stops;				/* such searches, of all rules */
	struct buf draw;
};

struct ruleset {
	struct watcher watcher;
	const struct expr_names *names;
	struct arena *arena;
	struct check_rule *rule;		/* owned until it is closed, when the arena takes it */
	uint32_t n, cap;
	uint32_t files;
	const char *file;			/* the last of them; lent */
	bool lossy;				/* a source may lose lines */
	uint32_t nmemos;
	uint32_t ngrouped, groups_each;
	struct rules_part *total;		/* all parts that have been joined; NULL: none */
};

/* `a` op `b` */
bool compare_holds(enum compare op, __int128 a, __int128 b);

/* Is `num`/`den` (in the limit's unit) what the rule wants? `den` above 0. */
bool limit_holds(const struct check_rule *r, __int128 num, __int128 den);

/* Does more of it break the rule, rather than less? */
bool limit_is_upper(const struct check_rule *r);

/* ---- rules_see.c ------------------------------------------------------------------------------------------- */

extern const struct watcher_ops rules_ops;

void rules_part_free(struct rules_part *p);

#endif
