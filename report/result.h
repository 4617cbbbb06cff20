/*
 * report/result.h - what `haspan check` found: all that its outputs (for people, JSON, JUnit, SARIF, annotations) are
 * made from, and nothing else.
 *
 * Immutable once it is made. Every slice in it is lent by it, valid UTF-8 on one line without control characters and
 * without what turns the direction of writing (core/term.h): an output has to escape what its own format knows (noncharacters as
 * U+FFFE are in it), and no more. Only `tree` has several lines, and codes for colours where `colour` says so (result_plain).
 */
#ifndef REPORT_RESULT_H
#define REPORT_RESULT_H

#include "core/buf.h"

#include <stdio.h>

/* What a rule that does not hold means: an error fails the check, a warning and a note are only said. */
enum severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_MAX };

enum verdict_of_rule {
	RESULT_PASSED,
	RESULT_FAILED,
	RESULT_EMPTY,		/* it matched no request, and does not say that it `may be empty` */
	RESULT_ERROR,		/* it could not be judged: `why` says so */
	RESULT_MAX
};

/* What a measured number is a number of. */
enum unit {
	UNIT_NUMBER,
	UNIT_TIME,		/* microseconds */
	UNIT_SHARE,		/* 0 to 1, said in % */
	UNIT_REQUESTS,
	UNIT_SPANS,
	UNIT_LINES,
};

/* One of the worst requests of a rule. */
struct result_trace {
	uint64_t id_hi, id_lo;		/* trace id; 32 hex digits in this order */
	uint64_t span;			/* id of SERVER */
	bool measured;
	double value;			/* in the unit of the rule, if `measured` */
	struct slice tree;		/* drawn, several lines without a newline behind the last; at most WORST_TREE_MAX */
};

/* One rule, or one group of a rule with `by`: those of a rule stand together, and have all but counts in common. */
struct result {
	struct slice name;		/* unique among rules */
	struct slice text;		/* the rule as it is written, without its name */
	enum severity severity;
	struct slice file;		/* as it was named; empty: it is haspan's own rule */
	unsigned line, column;		/* of `text` in it, from 1; 0 with an empty `file` */
	struct slice by;		/* `route`, `backend`, …; empty: the rule has no `by` */
	struct slice group;		/* one value of it; "" is one too */
	bool rest;			/* no group of its own, but the `folded` ones for which there was no room */
	uint64_t folded;
	enum verdict_of_rule verdict;
	uint64_t seen;			/* requests that it looked at; of a rule about lines or spans: these */
	uint64_t violating;		/* of those; for an aggregate: which its `worst` are taken from, 0 if that makes no sense */
	bool measured;			/* the rule is an aggregate: */
	enum unit unit;
	double value, limit;
	double error;			/* of `value`, relative: 0.01 is 1 % more or less; 0: exact */
	const char *op;			/* "<", "<=", ">", ">=", "==", "!=": value op limit is what was asked for */
	struct slice why;		/* a sentence without its full stop; never empty */
	const struct result_trace *worst;
	uint32_t nworst;		/* at most WORST_MAX */
};

struct results {
	const struct result *v;		/* in the order of the rules files; groups by name, the rest last */
	uint32_t n;
	uint32_t count[RESULT_MAX];	/* of `v`, by verdict */
	uint32_t rules;			/* rules are fewer than `v` when some have `by` */
	uint32_t broken;		/* results that fail the check: not passed, and of severity error */
	bool passed;			/* none is, and all was read */
	bool interrupted;		/* by the user: this is what was found until then */
	bool unreadable;		/* damaged or gone is some of the input: this is what was found in the rest */
	uint64_t lines, requests, merged, other, rejected, spans, lost;
	double elapsed_s;
	int64_t when_s;			/* it began; since 1970 */
	struct slice sample;		/* the first line that was not understood, cut; empty: none */
	bool colour;			/* trees have codes for colours */
	unsigned width;			/* columns of a terminal, for people */
	const char *version;		/* of haspan */
};

/* "error"; "passed"; for every output. */
const char *severity_name(enum severity s);
const char *verdict_name(enum verdict_of_rule v);

/* A value with its unit for people: "231.4 ms", "0.25 %", "1,204 requests", "17". */
void result_value(struct buf *out, enum unit unit, double value);

/* The measured value of `v`, with ≈ where it is not exact. */
void result_measured(struct buf *out, const struct result *v);

/* "orders are quick: /orders/{id}": a rule's name, and its group where it has groups. */
void result_name(struct buf *out, const struct result *v);

/* Why a run that has not seen all of its input is no verdict on it; NULL: it has. */
const char *result_incomplete(const struct results *r);

/* `tree` without codes for colours. */
void result_plain(struct buf *out, struct slice tree);

/*
 * The outputs, a file each (report/outputs.def): check.c calls report_NAME once, when all is known, and closes `out`. A
 * failed write is seen by who closes. `r` is lent for the call.
 */
#define OUTPUT(name, meaning) void report_##name(FILE *out, const struct results *r);
#include "report/outputs.def"
#undef OUTPUT

#endif
