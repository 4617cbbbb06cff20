/*
 * reconstruct/expr.h - the one expression language: `status >= 500 and backend == "api" or Ta > 500ms` (doc/expressions.md).
 *
 *	or = and {"or" and}     and = not {"and" not}     not = "not" not | "(" or ")" | test
 *	test = name | name op value | name ["not"] "in" "(" value {"," value} ")"     op = == != < <= > >= ~ !~
 *
 * A name alone asks whether the request has it. A test of what the request does not have is false, whatever the operator.
 * Compiled once to a flat program; evaluating allocates nothing.
 */
#ifndef RECONSTRUCT_EXPR_H
#define RECONSTRUCT_EXPR_H

#include "core/arena.h"
#include "core/err.h"
#include "parse/format.h"
#include "reconstruct/span.h"

struct expr;

/* What names can mean beside the fixed ones: fields and captured headers of these formats. Zero it for none. */
struct expr_names {
	struct format *const *format;
	uint32_t nformats;
	bool no_routes;			/* no --route: `route` is never there */
};

/* Where a format keeps a header or a named field; found once for each format in a row. One array per worker. */
struct expr_memo {
	const struct format *format;
	int16_t at, side;
};

/*
 * Compile `text`. `*nmemos` grows by the memos that it needs, and they are those from its old value on. Owned by `arena`.
 * NULL: `err` points at the place (EXIT_USAGE).
 */
struct expr *expr_compile(struct slice text, const struct expr_names *names, uint32_t *nmemos, struct arena *arena,
			  struct err *err);

/* Is it true of this request? After timers_rebuild. Pure, but for `memo` and for what a pattern needs in this thread. */
bool expr_true(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo);

/*
 * The same for who must not take "it has no status" for "its status is not below 500": a test of what the request does not
 * have is unknown, and so is the whole, unless the other tests decide it.
 */
enum expr_answer { EXPR_FALSE, EXPR_TRUE, EXPR_UNKNOWN };
enum expr_answer expr_answer(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo);

/* ---- values, for aggregates ---------------------------------------------------------------------------- */

/* What a name alone means: `status`, `Tr`, `backend`. As expr_compile. */
struct expr_value;
struct expr_value *expr_value(struct slice name, const struct expr_names *names, uint32_t *nmemos, struct arena *arena,
			      struct err *err);

enum expr_kind { EXPR_NUMBER, EXPR_TIME, EXPR_TEXT, EXPR_BOOL };
enum expr_kind expr_kind(const struct expr_value *v);
/* A number, a time, or a field of the line's own, which may hold a number as text. */
bool expr_may_be_number(const struct expr_value *v);

/* false: the request has none. A time is in microseconds. */
bool expr_number(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo,
		 int64_t *out);
/* Lent by the record or a table. */
bool expr_text(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo,
	       struct slice *out);

#endif
