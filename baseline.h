/*
 * baseline.h - `haspan check --baseline`: an older capture, read before the one that is checked, and compared with it.
 */
#ifndef BASELINE_H
#define BASELINE_H

#include "config.h"
#include "report/compare.h"

struct baseline;

/* What `o` says of it; NULL in `*out` when it says nothing. false: `err` filled (EXIT_USAGE). `c` and `o` are lent. */
bool baseline_new(const struct config *c, const struct options *o, struct baseline **out, struct err *err);

/* Read the older capture, to its end or until core/stop.h's wish; blocks. false: `err` filled. */
bool baseline_read(struct baseline *b, struct err *err);

/* What gathers the newer one. */
struct watcher *baseline_watcher(struct baseline *b);

/* Both are read: add what the comparison found to `r`; lent until baseline_free. */
void baseline_judge(struct baseline *b, struct results *r);

/* `b` may be NULL. */
void baseline_free(struct baseline *b);

#endif
