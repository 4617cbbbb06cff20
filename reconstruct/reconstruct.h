/*
 * reconstruct/reconstruct.h - the reconstruct room: record to spans.
 */
#ifndef RECONSTRUCT_RECONSTRUCT_H
#define RECONSTRUCT_RECONSTRUCT_H

#include "core/arena.h"
#include "core/err.h"
#include "core/pattern.h"
#include "ingest/frame.h"
#include "parse/format.h"
#include "reconstruct/expr.h"
#include "reconstruct/plan.h"
#include "reconstruct/span.h"
#include "reconstruct/zone.h"

/* Which phases are drawn (doc/model.md). */
enum phases { PHASES_AUTO, PHASES_ALL, PHASES_NONE };

/* Who may name the parent, in this order (--propagators). */
enum propagator { PROPAGATOR_W3C, PROPAGATOR_B3, PROPAGATOR_B3_MULTI, PROPAGATOR_JAEGER, PROPAGATOR_XRAY, PROPAGATOR_MAX };

/* --sampler: what becomes of a request whose caller did not decide, and whether the caller may. */
struct sampler {
	bool parent_based;
	bool probability;	/* it says in tracestate how much it keeps */
	uint64_t reject_below;	/* of 2^56: keep if the trace's randomness is not below it */
};

/* --keep and --drop: the first whose expression is true decides. */
struct rule {
	const struct expr *expr;
	bool keep;
	const char *text;	/* as the user wrote it */
};

/* --trace and --grep: which requests are looked at; the others are as if no sink and no watcher wanted them. */
struct pick {
	bool by_id;
	uint64_t hi, lo, hi_mask, lo_mask;	/* of the trace id: its first digits */
	const struct pattern *grep;		/* some line of the request fits; NULL: any */
};

/* What the user chose; immutable while workers run. Lent by the configuration. */
struct rules {
	enum phases phases;
	uint8_t propagators[PROPAGATOR_MAX];	/* enum propagator */
	uint32_t npropagators;
	struct sampler sampler;
	struct rule rule[RULES_MAX];
	uint32_t nrules;
	uint32_t nmemos;			/* that the expressions need */
	struct pick pick;
	struct slice routes[256];		/* --route templates */
	uint32_t nroutes;
};

#define RULE_NONE RULES_MAX

/* A worker's own state. */
struct rebuilder {
	const struct rules *rules;
	struct zone zone;
	char *scratch;				/* three LINE_MAX_BYTES: tracestate as it came and as it leaves, a redacted query */
	struct expr_memo *memo;			/* of the rules' expressions */
	unsigned decided;			/* which rule has decided the last request, or RULE_NONE */
	bool brief;				/* of requests that do not leave nobody wants more than how many spans they have */
	bool grepped;				/* of the next request, when it has several lines: one of them fits --grep */
	const struct moments *moments;		/* of the next request, when it has several lines; else NULL */
	uint64_t invalid_contexts;		/* headers that were there but not valid: counted, ignored */
};

/* `zone_name`: as of zone_init. Allocates the scratch; false with `err` filled (EXIT_USAGE). */
bool rebuilder_init(struct rebuilder *rb, const struct rules *rules, struct slice zone_name, struct err *err);
void rebuilder_free(struct rebuilder *rb);

/* What becomes of a request. */
enum verdict {
	VERDICT_KEPT,
	VERDICT_UNSAMPLED,	/* by the sampler, or by the caller */
	VERDICT_FILTERED,	/* by a --drop */
	VERDICT_NOT_ASKED,	/* --trace or --grep asks for others */
};

/* Does this line fit --grep? True where there is none. Any thread. */
bool pick_line(const struct rules *rules, struct slice line);

/*
 * The spans of the request in `r`, which came in `f`. Fills the derived slots of `r` and all of `t`. A pure function of the record (and, for dates without a zone, of
 * the envelope's); strings in `t` are lent by the record, tables, the rules and `rb`, until the next call. With `brief` a request
 * that does not leave has spans without ids, and times that begin anywhere.
 */
enum verdict rebuild(struct rebuilder *rb, struct record *r, const struct frame *f, struct trace *t);

/*
 * `parentbased_always_on`, `traceidratio:0.1` and the other values of OTEL_TRACES_SAMPLER, `arg` its
 * argument or empty. false with `err` filled (EXIT_USAGE).
 */
bool sampler_parse(struct slice name, struct slice arg, struct sampler *out, struct err *err);

/* `tracecontext,b3,…`: names of OTEL_PROPAGATORS. `baggage` and `none` carry no parent. */
bool propagators_parse(struct slice list, struct rules *rules, struct err *err);

/* Which attributes spans of this format can carry. Call once per format, at start. */
void plan_make(struct format *f, struct arena *arena);

#endif
