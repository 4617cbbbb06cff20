#include "baseline.h"

#include "core/log.h"
#include "core/units.h"
#include "pipeline.h"

#include <inttypes.h>
#include <stdlib.h>

struct baseline {
	struct config config;		/* the run's, but for what is read and written */
	struct backends *old, *now;
	struct compare_limits limits;
	struct arena arena;		/* of the results */
	bool interrupted;
};

/* ---- limits --------------------------------------------------------------------------------------------- */

static bool wrong(const struct option_value *v, size_t at, const char *expected, struct err *err)
{
	err_at(err, EXIT_USAGE, v->text.p, v->text.len, at, "expected %s", expected);
	return options_blame(v, err);
}

/* A decimal number from `lo` to `hi`, all of `s`: nothing else that strtod would take. */
static bool decimal(struct slice s, double lo, double hi, double *out)
{
	char text[32], *end;
	double n;

	if (s.len == 0 || s.len >= sizeof(text) || strspn(s.p, "0123456789.") < s.len)
		return false;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	n = strtod(text, &end);
	if (*end || !(n >= lo && n <= hi))
		return false;
	*out = n;
	return true;
}

/* "0.1%" */
static bool percent(struct slice s, double hi, double *out)
{
	if (s.len == 0 || s.p[s.len - 1] != '%' || !decimal(slice_of(s.p, s.len - 1), 0, hi * 100, out))
		return false;
	*out /= 100;
	return true;
}

/* "10%,2ms": one of them, or both. */
static bool shift(struct slice s, struct compare_limits *l)
{
	l->longer = 0;
	l->longer_us = 0;
	while (s.p) {
		struct slice part = slice_cut(&s, ',');
		uint64_t n, scale = 1000;
		size_t at;

		if (percent(part, 1000, &l->longer))
			continue;
		if (!units_read(part, "us=1 ms=1000 s=1000000 m=60000000", &n, &scale, &at) || n > UINT32_MAX)
			return false;
		l->longer_us = n * scale;
	}
	return true;
}

static bool read_limits(struct baseline *b, const struct options *o, struct err *err)
{
	const struct option_value *alpha = o->v[OPTION_BASELINE_ALPHA].first;
	const struct option_value *effect = o->v[OPTION_BASELINE_EFFECT].first;
	const struct option_value *by = o->v[OPTION_BASELINE_SHIFT].first;
	const struct option_value *failures = o->v[OPTION_BASELINE_FAILURES].first;
	struct compare_limits *l = &b->limits;

	*l = compare_usual;
	if (alpha && (!decimal(alpha->text, 0, 1, &l->alpha) || l->alpha <= 0))
		return wrong(alpha, 0, "a probability, as in 0.01", err);
	if (effect && !decimal(effect->text, 0.5, 1, &l->a12))
		return wrong(effect, 0, "a number from 0.5 to 1, as in 0.64", err);
	if (by && !shift(by->text, l))
		return wrong(by, 0, "a share, a time or both, as in 10%,2ms", err);
	if (failures && !percent(failures->text, 1, &l->failures))
		return wrong(failures, 0, "a share of all requests, as in 0.1%", err);
	return true;
}

/* ---- reading -------------------------------------------------------------------------------------------- */

/* The run's own formats and rules, for other files, and nothing leaves. */
static bool configure(struct baseline *b, const struct config *c, const struct option_value *v, struct err *err)
{
	struct config *own = &b->config;

	*own = *c;
	own->nsources = own->nsinks = 0;
	own->rejects = own->admin = own->listen_metrics = NULL;
	own->rebase = false;
	own->pace = 0;
	own->rate = 0;
	own->user = (struct user){ 0 };
	own->sandbox = false;		/* the run is in it already */
	for (; v; v = v->next) {
		if (live_names(v->text))
			return wrong(v, 0, "a file: a baseline has an end", err);
		if (own->nsources == SOURCES_MAX)
			return wrong(v, 0, "fewer files: name them by a pattern", err);
		own->source_from[own->nsources] = v;
		own->sources[own->nsources++] = v->text;
	}
	return true;
}

bool baseline_new(const struct config *c, const struct options *o, struct baseline **out, struct err *err)
{
	const struct option_value *v = o->v[OPTION_BASELINE].first;
	struct baseline *b;

	*out = NULL;
	if (!v)
		return true;
	b = calloc(1, sizeof(*b));
	if (!b || !(b->old = backends_new()) || !(b->now = backends_new()))
		err_set(err, EXIT_CONFIG, "out of memory");
	if (err->code == EXIT_DONE && read_limits(b, o, err) && configure(b, c, v, err) &&
	    (!c->check_only || baseline_read(b, err))) {
		*out = b;
		return true;
	}
	baseline_free(b);
	return false;
}

bool baseline_read(struct baseline *b, struct err *err)
{
	struct pipeline *p = pipeline_open(&b->config, err);
	struct account a;

	if (p && !b->config.check_only && pipeline_watch(p, backends_watcher(b->old), err)) {
		pipeline_run(p, err);
		b->interrupted = pipeline_interrupted(p);
		pipeline_account(p, &a);
		if (a.total.rejected)
			log_warn("the baseline: %" PRIu64 " of %" PRIu64 " lines were not understood", a.total.rejected,
				 a.total.lines);
	}
	if (p)
		pipeline_close(p);
	return err->code == EXIT_DONE;
}

/* ---- comparing ------------------------------------------------------------------------------------------ */

struct watcher *baseline_watcher(struct baseline *b)
{
	return backends_watcher(b->now);
}

void baseline_judge(struct baseline *b, struct results *r)
{
	struct result *more, *all;
	uint32_t n = compare(b->old, b->now, &b->limits, &b->arena, &more);

	all = arena_alloc(&b->arena, (r->n + n) * sizeof(*all));
	if (r->n)
		memcpy(all, r->v, r->n * sizeof(*all));
	memcpy(all + r->n, more, n * sizeof(*all));
	for (uint32_t i = 0; i < n; i++) {
		r->count[more[i].verdict]++;
		r->broken += more[i].verdict != RESULT_PASSED && more[i].severity == SEVERITY_ERROR;
	}
	r->v = all;
	r->n += n;
	r->rules++;
	r->interrupted |= b->interrupted;
	r->passed = r->broken == 0 && !r->interrupted && !r->unreadable;
}

void baseline_free(struct baseline *b)
{
	if (!b)
		return;
	backends_free(b->old);
	backends_free(b->now);
	arena_free(&b->arena);
	free(b);
}
