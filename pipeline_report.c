#include "pipeline_private.h"

#include "core/log.h"
#include "core/stop.h"
#include "core/term.h"

#include <stdio.h>

/* `held` is what is left: handed to the sink, or on its way to it, or in its spool, and not answered for. */
static void sink_account(struct sink_account *a, const struct tally *t, const struct sink_tally *s)
{
	a->spans = t->spans;
	a->restored = s->restored;
	a->exported = s->exported;
	a->unsampled = t->unsampled;
	a->filtered = t->filtered + s->left_out;
	a->refused = s->refused;
	a->dropped = s->dropped;
	a->held = a->spans + a->restored - a->exported - a->unsampled - a->filtered - a->refused - a->dropped;
}

void pipeline_account(struct pipeline *p, struct account *out)
{
	struct sink_tally s[SINKS_MAX];

	/* The sinks first: what they have answered for is in the total by then. */
	for (uint32_t k = 0; k < p->nsinks; k++)
		p->sinks[k]->ops->tally(p->sinks[k], &s[k]);
	pthread_mutex_lock(&p->output);
	out->total = p->total;
	pthread_mutex_unlock(&p->output);
	out->nsinks = p->nsinks;
	for (uint32_t k = 0; k < p->nsinks; k++) {
		out->sink[k].uri = p->sinks[k]->uri;
		out->sink[k].disabled = p->sinks[k]->disabled;
		out->sink[k].failed = p->sinks[k]->failed;
		sink_account(&out->sink[k], &out->total, &s[k]);
	}
}

void pipeline_metrics(struct pipeline *p, struct metrics *m)
{
	if (p->live)
		live_metrics(p->live, m);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		m->label = p->sinks[k]->uri;
		if (p->sinks[k]->ops->metrics)
			p->sinks[k]->ops->metrics(p->sinks[k], m);
	}
	m->label = NULL;
}

uint32_t pipeline_sources(const struct pipeline *p)
{
	return p->nsources;
}

const char *pipeline_source_uri(const struct pipeline *p, uint32_t i)
{
	return live_names(slice_str(p->uri[i])) ? live_uri(p->live, p->live_number[i]) : p->uri[i];
}

const char *pipeline_source_bound(const struct pipeline *p, uint32_t i)
{
	return live_names(slice_str(p->uri[i])) ? live_bound(p->live, p->live_number[i]) : "";
}

uint64_t pipeline_rejected(struct pipeline *p, struct buf *sample)
{
	uint64_t rejected;

	pthread_mutex_lock(&p->output);
	rejected = p->total.rejected;
	term_text(sample, slice_str(p->fresh), SAMPLE_SHOWN);
	p->fresh[0] = '\0';
	pthread_mutex_unlock(&p->output);
	return rejected;
}

enum source_state pipeline_source_state(const struct pipeline *p, uint32_t i)
{
	uint32_t next = p->next_source;

	if (p->disabled[i])
		return SOURCE_DISABLED;
	if (live_names(slice_str(p->uri[i])))
		return SOURCE_READING;
	return i + 1 < next ? SOURCE_ENDED : i + 1 == next ? SOURCE_READING : SOURCE_WAITING;
}

int64_t pipeline_busy_ms(struct pipeline *p)
{
	int64_t longest = 0, now = clock_ms();

	for (unsigned i = 0; i < p->threads; i++) {
		int64_t since = p->workers[i].busy_ms;

		if (since && now - since > longest)
			longest = now - since;
	}
	return longest;
}

bool pipeline_progress(struct pipeline *p, struct progress *out)
{
	struct account a;

	*out = (struct progress){ .done = p->files_read, .total = p->files_open ? 0 : p->files_size, .bytes = true };
	if (p->live) {
		out->bytes = false;
		if (!live_progress(p->live, &out->done, &out->total))
			return false;
	}
	pipeline_account(p, &a);
	out->lines = a.total.lines;
	out->spans = a.total.spans;
	return true;
}

static unsigned long long u(uint64_t n)
{
	return n;
}

static size_t print_spans(char *out, size_t size, const struct sink_account *s)
{
	size_t n = 0;

#define ACCOUNT(name, kind, meaning) \
	n += (size_t)snprintf(out + n, size - n, "%s" #name "=%llu", n ? " " : "", u(s->name));
#include "formats/account.def"
#undef ACCOUNT
	return n;
}

void pipeline_summary(struct pipeline *p)
{
	char text[2048 + SINKS_MAX * 1024];
	struct buf out = { .max = sizeof(text) + RULES_MAX * (RULE_SHOWN + 64) };
	struct account a;
	size_t n;

	pipeline_account(p, &a);
	n = (size_t)snprintf(text, sizeof(text), "lines=%llu requests=%llu merged=%llu other=%llu rejected=%llu",
			     u(a.total.lines), u(a.total.requests), u(a.total.merged), u(a.total.other),
			     u(a.total.rejected));
	if (a.nsinks == 1) {
		text[n++] = ' ';
		n += print_spans(text + n, sizeof(text) - n, &a.sink[0]);
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, " truncated=%llu invalid_contexts=%llu\n",
			      u(a.total.truncated), u(a.total.invalid_contexts));
	for (uint32_t k = 0; a.nsinks > 1 && k < a.nsinks; k++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "sink=%.200s ", a.sink[k].uri);
		n += print_spans(text + n, sizeof(text) - n, &a.sink[k]);
		text[n++] = '\n';
	}
	buf_add(&out, text, n);
	rules_print(p, &out);
	log_lines(LOG_LEVEL_INFO, out.p, out.len < LOG_TEXT_MAX ? out.len : LOG_TEXT_MAX);
	buf_free(&out);
}

/* Nothing, or less than half, was understood: that is a wrong format, not a bad line. And nothing at all is no log. */
static void hint(const struct pipeline *p)
{
	struct buf shown = { .max = 4096 };

	if (p->total.lines == 0 && !p->live && !stop_requested())
		log_warn("the input is empty; `haspan doctor haproxy.cfg` says whether HAProxy logs, and where");
	if (p->total.rejected > (p->total.requests ? p->total.lines / 2 : 0)) {
		term_text(&shown, slice_str(p->sample), SAMPLE_SHOWN);
		if (p->total.requests)
			log_warn("%llu of %llu lines were not understood; the first was: %.*s", u(p->total.rejected),
				 u(p->total.lines), (int)shown.len, shown.p ? shown.p : "");
		else
			log_warn("no line was understood; the first was: %.*s", (int)shown.len, shown.p ? shown.p : "");
		log_warn("give its log-format by --format (`haspan formats` lists what is known), or --haproxy-cfg; `haspan explain "
			 "LINE` says why it is none; --rejects FILE keeps such lines");
	}
	buf_free(&shown);
}

bool pipeline_interrupted(const struct pipeline *p)
{
	bool files = p->cut_short || p->source;

	for (uint32_t i = p->next_source; i < p->nsources; i++)
		files |= !live_names(slice_str(p->uri[i]));
	return stop_requested() && (files || (p->live && live_unfinished(p->live)));
}

bool pipeline_unreadable(const struct pipeline *p)
{
	return (p->err && p->err->code != EXIT_DONE) || (p->live && live_failed(p->live) != EXIT_DONE);
}

uint64_t pipeline_lost(const struct pipeline *p)
{
	return p->lost;
}

/* Who keeps some wants no others, and the sampler lets them all go. */
static void hint_keep(const struct pipeline *p)
{
	uint64_t decided = 0;

	for (uint32_t i = 0; i < p->nrules; i++) {
		if (!p->c->rules.rule[i].keep)
			return;
		decided += p->rules[i].requests;
	}
	if (p->nrules && decided < p->total.requests && p->total.unsampled == 0 && p->total.filtered == 0)
		log_warn("--keep alone leaves nothing out: add --sampler always_off, or --drop 'not (...)'");
}

int pipeline_exit_code(struct pipeline *p)
{
	int code = p->c->strict && p->total.rejected ? EXIT_CHECK : EXIT_DONE;

	if (!p->err || p->err->code == EXIT_DONE) {
		hint(p);
		hint_keep(p);
	}
	if (!rules_found(p))
		code = EXIT_CHECK;
	if (p->rejects_failed)
		code = EXIT_CONFIG;
	if (p->err && (int)p->err->code > code)
		code = (int)p->err->code;
	if (p->live && (int)live_failed(p->live) > code)
		code = (int)live_failed(p->live);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		struct sink_tally s;

		p->sinks[k]->ops->tally(p->sinks[k], &s);
		if (p->sinks[k]->failed || s.refused || s.dropped || s.held)
			code = EXIT_EXPORT;
	}
	return code;
}
