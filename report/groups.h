/*
 * report/groups.h - requests by group: how many, how long each phase took, what failed. Bounded.
 *
 * A group's key is what its requests have in common (`--by`). No more than STATS_GROUPS groups are told apart; when there
 * are more, those with the smallest hashes are, and all others are folded into one. That is the rule because it needs no
 * second look: a group that is among the smallest in the end was so from its first request on, in every part, so its
 * numbers are exact, and which groups are kept depends neither on the order of lines nor on threads. Its price: a large
 * group is folded as easily as a small one. Below STATS_GROUPS nothing is.
 */
#ifndef REPORT_GROUPS_H
#define REPORT_GROUPS_H

#include "reconstruct/span.h"
#include "report/sketch.h"

/* Requests that failed alike. */
struct failure {
	struct slice cause;		/* lent by a table for ever */
	uint64_t count;
	uint16_t status;		/* no phase failed, but this was the status; else 0 */
	uint8_t phase;			/* enum span_role; ROLE_SERVER: none of them */
	bool by_server;			/* it was the server's status */
};

struct group {
	uint64_t hash, requests, failed;
	struct sketch length[ROLE_MAX];	/* of each phase, in microseconds; ROLE_SERVER: of the whole */
	struct failure *failure;	/* owned */
	uint32_t nfailures;
	uint32_t key_len;
	char key[];			/* for each name of --by its length in a byte, and its text */
};

struct groups {
	struct group **v;		/* owned, in no order; room for 2 * STATS_GROUPS */
	uint32_t n;
	uint32_t *place;		/* owned: hash table of indices into `v`, plus 1 */
	uint64_t limit;			/* hashes above it are folded */
	struct group *folded;		/* owned; all zero while nothing is */
};

/* false: no memory. */
bool groups_init(struct groups *g);
void groups_free(struct groups *g);

/* The group with this key; lent until the next call. Out of memory aborts. */
struct group *groups_find(struct groups *g, struct slice key);

/* Count `f`, and its cause. */
void group_failed(struct group *to, const struct failure *f);

/* Free what it holds, for one that is nobody's. */
void group_clear(struct group *g);

/* Take in what `from` has. `from` stays as it is. */
void group_merge(struct group *to, const struct group *from);
void groups_merge(struct groups *to, const struct groups *from);

/* Fold what is beyond STATS_GROUPS; after the last merge. */
void groups_settle(struct groups *g);

/*
 * About how many groups were folded; 0: none. The k-th smallest of n random numbers in [0, 1) lies near k / n: with 1,024
 * of them this is within 10 % in 99.8 % of all cases.
 */
uint64_t groups_folded(const struct groups *g);

/* `*at` is 0 at first: the next name in a key. false: there is none left. */
bool group_name(const struct group *g, uint32_t *at, struct slice *name);

#endif
