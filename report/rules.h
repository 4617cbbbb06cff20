/*
 * report/rules.h - what a capture has to hold (doc/check.md): rules files compiled once, requests held against them, results.
 *
 *	line   = [name [ "[" severity "]" ] ":"] rule {clause} ["#" comment]
 *	rule   = test                                                  of each request (reconstruct/expr.h)
 *	       | "no phase failed" | "every request has" (name | "parent") | "every span has parent"
 *	       | measure op limit
 *	measure = ("min" | "max" | "mean" | "sum" | "median" | "p" number) "(" name ")"
 *	       | "count" | ("count" | "rate") "(" test ")" | a counter of the run: "lines", "requests", "rejected", …
 *	limit  = number ["us" | "ms" | "s" | "m" | "h" | "%"]
 *	clause = "where" test | "by" name | [","] "may be empty"
 *
 * A test of what a request does not have neither holds nor is broken: the request is not looked at.
 */
#ifndef REPORT_RULES_H
#define REPORT_RULES_H

#include "core/arena.h"
#include "core/err.h"
#include "reconstruct/expr.h"
#include "report/report.h"
#include "report/result.h"

struct ruleset;

/* Lent by `arena`. `names` is lent as long as rules are read. */
struct ruleset *ruleset_new(const struct expr_names *names, struct arena *arena);

/*
 * The rules in `text`, behind those that are there; `path` is what messages and results call it, and the arena's like
 * `text` itself. false: `err` says where (EXIT_CONFIG).
 */
bool ruleset_add(struct ruleset *s, struct slice text, const char *path, struct err *err);

/* The same of a file. */
bool ruleset_add_file(struct ruleset *s, const char *path, struct err *err);

/*
 * A source takes datagrams, which the kernel drops when nobody reads them in time: where no rule is about `lost`, one of
 * haspan's own allows none. Before ruleset_close.
 */
void ruleset_lossy(struct ruleset *s);

/*
 * There are no more rules. `rejected_ok`: so many lines may not be understood. Where `said`, or no rule is about that
 * itself, haspan's own rule sees to it. false: `err` filled (two rules have one name; there is none).
 */
bool ruleset_close(struct ruleset *s, uint64_t rejected_ok, bool said, struct err *err);

/* What gathers (report/report.h). After ruleset_close. Its parts hold at most what core/limits.h says of groups and trees. */
struct watcher *ruleset_watcher(struct ruleset *s);

/* What the run counted; `results` begins with these. */
struct run_counts {
	uint64_t lines, requests, merged, other, rejected, spans, truncated, invalid_contexts, lost;
};

/*
 * The verdicts, when all parts have been joined: `v`, `n`, `count`, `rules`, `broken`, `rejected`… of `out`, of which the
 * caller fills the rest first (`sample` is told of). Lent by the arena and by `s`.
 */
void ruleset_judge(struct ruleset *s, const struct run_counts *run, struct results *out);

/* What was gathered goes. The rules are the arena's. */
void ruleset_free(struct ruleset *s);

#endif
