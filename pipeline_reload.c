#include "pipeline_private.h"

#include "core/log.h"
#include "core/stop.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- steered ----------------------------------------------------------------------------------------------- */

void pipeline_enable_source(struct pipeline *p, uint32_t i, bool enable)
{
	p->disabled[i] = !enable;
	if (live_names(slice_str(p->uri[i])))
		live_pause(p->live, p->live_number[i], !enable);
	else
		wake_input();
}

void pipeline_enable_sink(struct pipeline *p, uint32_t k, bool enable)
{
	p->sinks[k]->disabled = !enable;
}

void pipeline_sample(struct pipeline *p, const struct sampler *s)
{
	pthread_mutex_lock(&p->output);
	p->sampler_set = s != NULL;
	p->sampler = s ? *s : p->c->rules.sampler;
	pthread_mutex_unlock(&p->output);
}

/* ---- a new configuration ----------------------------------------------------------------------------------- */

static bool same_list(const struct slice *a, uint32_t na, const struct slice *b, uint32_t nb)
{
	bool same = na == nb;

	for (uint32_t i = 0; same && i < na; i++)
		same = slice_eq(a[i], b[i]);
	return same;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Both end with NULL, and may be NULL. */
static bool same_texts(const char *const *a, const char *const *b)
{
	for (; a && b && *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !(a && *a) && !(b && *b);
}

/* What is bound, opened or started once. */
static void warn_of_restart(const struct config *old, const struct config *new)
{
	const struct {
		const char *what;
		bool same;
	} fixed[] = {
		{ "--from", same_list(old->sources, old->nsources, new->sources, new->nsources) },
		{ "--to", same_list(old->sinks, old->nsinks, new->sinks, new->nsinks) && old->stats == new->stats },
		{ "--kafka", same_texts(old->live.kafka, new->live.kafka) },
		{ "--threads", old->threads == new->threads },
		{ "--slowest", old->export.slowest == new->export.slowest },
		{ "--limit", old->export.limit == new->export.limit },
		{ "--admin", same_text(old->admin, new->admin) },
		{ "--listen-metrics", same_text(old->listen_metrics, new->listen_metrics) },
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!fixed[i].same)
			log_warn("%s changed: that needs a restart; it stays as it was", fixed[i].what);
}

/* No block is filled from here on until input_release; false: the input has ended. */
static bool input_hold(struct pipeline *p)
{
	p->hold = true;
	if (p->live)
		live_wake(p->live);
	wake_input();
	pthread_mutex_lock(&p->input);
	return !p->ended;
}

static void input_release(struct pipeline *p)
{
	p->hold = false;
	pthread_cond_broadcast(&p->released);
	pthread_mutex_unlock(&p->input);
}

/*
 * Settings of sources and of sinks. All or none, as far as they go: what was changed before another one failed is
 * changed back.
 */
static bool reload_ends(struct pipeline *p, const struct config *c, struct err *err)
{
	struct err again = { 0 };
	uint32_t k = 0;
	bool ok = !p->live || live_reload(p->live, &c->live, err);

	for (; ok && k < p->nsinks; k++)
		ok = !p->sinks[k]->ops->reload || p->sinks[k]->ops->reload(p->sinks[k], &c->export, err);
	if (ok)
		return true;
	while (k-- > 0)
		if (p->sinks[k]->ops->reload)
			p->sinks[k]->ops->reload(p->sinks[k], &p->c->export, &again);
	if (p->live)
		live_reload(p->live, &p->c->live, &again);
	return false;
}

static void wait_handed_over(struct pipeline *p)
{
	pthread_mutex_lock(&p->output);
	while (p->next_out != p->next_seq)
		pthread_cond_wait(&p->turn, &p->output);
	pthread_mutex_unlock(&p->output);
}

/* What takes over, made before anything changes. */
struct succession {
	const struct config *c;
	struct rebuilder *rebuilder;	/* one for each worker; owned */
	struct joiner *joiner;		/* owned; NULL: the old one goes on */
	int rejects;			/* descriptor, or -1 */
	struct rule_count *rules;	/* owned */
	uint32_t nrules;
};

static void succession_free(struct pipeline *p, struct succession *s)
{
	for (unsigned i = 0; s->rebuilder && i < p->threads; i++)
		rebuilder_free(&s->rebuilder[i]);
	free(s->rebuilder);
	rules_free(s->rules, s->nrules);
	joiner_free(s->joiner);
	if (s->rejects >= 0)
		close(s->rejects);
}

static bool succession_make(struct pipeline *p, struct succession *s, struct err *err)
{
	const struct config *c = s->c;
	bool resize = p->c->max_open != c->max_open || p->c->max_age_us != c->max_age_us;

	s->rebuilder = calloc(p->threads, sizeof(*s->rebuilder));
	if (!s->rebuilder)
		return err_set(err, EXIT_CONFIG, "out of memory");
	for (unsigned i = 0; i < p->threads; i++)
		if (!rebuilder_init(&s->rebuilder[i], &c->rules, c->timezone, err))
			return false;
	if (!(s->rules = rules_make(c, err)))
		return false;
	s->nrules = c->rules.nrules;
	if (resize && !(s->joiner = joiner_new(c->max_open, c->max_age_us, err)))
		return false;
	return !c->rejects || (s->rejects = pipeline_open_rejects(c->rejects, false, err)) >= 0;
}

/* What a worker has of its own. The old rebuilder is left in `new`. */
static void worker_renew(struct worker *w, struct pipeline *p, const struct rules *rules, struct rebuilder *new)
{
	struct rebuilder old = w->rebuilder;

	parser_free(&w->parser);
	parser_init(&w->parser, &p->formats);
	w->rules = *rules;
	w->rebuilder = *new;
	w->rebuilder.brief = old.brief;
	w->rebuilder.rules = &w->rules;
	*new = old;
}

static void swap_rules(struct pipeline *p, struct succession *s)
{
	struct rule_count *rules = p->rules;
	uint32_t n = p->nrules;

	p->rules = s->rules;
	p->nrules = s->nrules;
	s->rules = rules;
	s->nrules = n;
}

/* No block is in flight: no worker looks at anything of this. What was replaced is left in `s`. */
static void swap(struct pipeline *p, struct succession *s)
{
	const struct config *c = s->c;
	int rejects = p->rejects;
	struct err ignored = { 0 };
	bool same = formats_same(&p->c->formats, &c->formats);
	uint16_t order[FORMATS_MAX];

	memcpy(order, p->formats.order, sizeof(order));
	p->formats = c->formats;
	if (same)
		memcpy(p->formats.order, order, sizeof(order));
	else
		p->learn_seq = p->next_seq;
	zone_prepare(c->timezone, &ignored);	/* it was looked at before */
	for (unsigned i = 0; i < p->threads; i++)
		worker_renew(&p->workers[i], p, &c->rules, &s->rebuilder[i]);
	p->rejects = s->rejects;
	s->rejects = rejects;
	p->rejects_failed = NULL;
	p->host_given = pipeline_gives_host(c);
	rules_follow(p, s->rules, s->nrules);
	pthread_mutex_lock(&p->output);
	p->c = c;
	swap_rules(p, s);
	if (!p->sampler_set)
		p->sampler = c->rules.sampler;
	pthread_mutex_unlock(&p->output);
}

/* Open requests leave the old way, if they can't be read the new way or are to be kept in another place. */
static void flush_joiner(struct pipeline *p, struct succession *s)
{
	struct joiner *old = p->joiner;

	if (formats_same(&p->c->formats, &s->c->formats) && !s->joiner)
		return;
	pipeline_leave_open(p, &p->workers[0]);
	if (s->joiner) {
		p->joiner = s->joiner;
		s->joiner = old;
	}
	p->open = p->final = 0;
}

bool pipeline_reload(struct pipeline *p, const struct config *c, struct err *err)
{
	struct succession s = { .c = c, .rejects = -1 };
	bool ok = succession_make(p, &s, err);

	if (ok) {
		ok = input_hold(p) ? reload_ends(p, c, err) : err_set(err, EXIT_CONFIG, "haspan is about to end");
		if (ok) {
			warn_of_restart(p->c, c);
			wait_handed_over(p);
			flush_joiner(p, &s);
			swap(p, &s);
		}
		input_release(p);
	}
	succession_free(p, &s);
	return ok;
}
