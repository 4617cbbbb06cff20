/*
 * control_show.c - what a running haspan shows of itself: to an operator at the admin socket, and to Prometheus.
 */
#include "control_private.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/pattern.h"
#include "core/term.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef HASPAN_VERSION
#define HASPAN_VERSION "0.0.0"
#endif

enum kind { KIND_counter, KIND_gauge, KIND_histogram };
enum label { LABEL_none, LABEL_source, LABEL_sink, LABEL_rule };

static const char *const kind_names[] = { "counter", "gauge", "histogram" };
static const char *const label_names[] = { NULL, "source", "sink", "rule" };

static const struct family {
	const char *name, *sum, *help;	/* `sum`: of a histogram */
	enum kind kind;
	enum label label;
} families[METRIC_MAX] = {
#define METRIC(name, kind, label, help) { #name, #name "_sum", help, KIND_##kind, LABEL_##label },
#include "formats/metrics.def"
#undef METRIC
};

/* ---- labels --------------------------------------------------------------------------------------------- */

/*
 * Two sources may have one name (a port that is shared), or names that begin alike as far as they are shown: each further
 * one has its number behind it. No two samples may look the same.
 */
struct labels {
	const char *text[SOURCES_MAX + SINKS_MAX + RULES_MAX];
	struct buf shown[SOURCES_MAX + SINKS_MAX + RULES_MAX];	/* owned, as long as `text` is lent */
	unsigned n;
};

/* A label's value as both formats want it: valid UTF-8 without control characters, `\` and `"` escaped. */
static void show_label(struct buf *out, const char *text, unsigned nth)
{
	struct buf clean = { .max = 8 * LABEL_MAX };

	term_text(&clean, slice_str(text), LABEL_MAX);
	for (size_t i = 0; i < clean.len; i++) {
		if (clean.p[i] == '\\' || clean.p[i] == '"')
			buf_char(out, '\\');
		buf_char(out, clean.p[i]);
	}
	if (nth)
		buf_printf(out, " #%u", nth + 1);
	buf_free(&clean);
}

static bool is_shown(const struct labels *l, const struct buf *value)
{
	unsigned i = 0;

	while (i < l->n && (l->shown[i].len != value->len || memcmp(l->shown[i].p, value->p, value->len) != 0))
		i++;
	return i < l->n;
}

static void label_value(struct buf *out, struct labels *l, const char *text)
{
	struct buf value = { .max = 16 * LABEL_MAX };
	unsigned i = 0;

	while (i < l->n && l->text[i] != text)
		i++;
	if (i == sizeof(l->text) / sizeof(l->text[0])) {
		show_label(out, text, 0);
		return;
	}
	if (i == l->n) {
		for (unsigned nth = 0; nth == 0 || is_shown(l, &value); nth++) {
			value.len = 0;
			show_label(&value, text, nth);
		}
		l->text[i] = text;
		l->shown[l->n++] = value;
	}
	buf_add(out, l->shown[i].p, l->shown[i].len);
}

static void free_labels(struct labels *l)
{
	while (l->n)
		buf_free(&l->shown[--l->n]);
}

/* ---- Prometheus ------------------------------------------------------------------------------------------ */

struct page {
	struct buf *out;
	struct labels labels;
	bool openmetrics;
};

/* OpenMetrics speaks of a counter without its _total, but for the sample itself. */
static void head(struct page *p, const char *name, enum kind kind, const char *help)
{
	size_t len = strlen(name);

	if (p->openmetrics && kind == KIND_counter && len > 6 && strcmp(name + len - 6, "_total") == 0)
		len -= 6;
	buf_printf(p->out, "# HELP haspan_%.*s %s\n# TYPE haspan_%.*s %s\n", (int)len, name, help, (int)len, name,
		   kind_names[kind]);
}

/* The fewest digits that are this number: 0.0176, not 0.017600000000000001. */
static void decimal(struct buf *out, double value)
{
	char text[40];

	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) >= value && strtod(text, NULL) <= value)
			break;
	}
	buf_printf(out, "%s", text);
}

/* `name{label="text"`, open for more labels; the brace is there when `brace` is or a label was. */
static bool sample_begin(struct page *p, const char *name, const char *suffix, enum label label, const char *text)
{
	buf_printf(p->out, "haspan_%s%s", name, suffix);
	if (label == LABEL_none || !text)
		return false;
	buf_printf(p->out, "{%s=\"", label_names[label]);
	label_value(p->out, &p->labels, text);
	buf_char(p->out, '"');
	return true;
}

static void count(struct page *p, const char *name, enum label label, const char *text, uint64_t value)
{
	bool open = sample_begin(p, name, "", label, text);

	buf_printf(p->out, "%s %" PRIu64 "\n", open ? "}" : "", value);
}

static void number(struct page *p, const char *name, enum label label, const char *text, double value)
{
	bool open = sample_begin(p, name, "", label, text);

	buf_printf(p->out, "%s ", open ? "}" : "");
	decimal(p->out, value);
	buf_char(p->out, '\n');
}

static void histogram(struct page *p, const struct family *f, const struct metric_sample *s)
{
	const uint64_t *bounds;
	double per_unit;
	unsigned n = metric_bounds(s->id, &bounds, &per_unit);
	uint64_t total = 0;

	for (unsigned k = 0; k <= n; k++) {
		bool open = sample_begin(p, f->name, "_bucket", f->label, s->label);
		double bound = k < n ? (double)bounds[k] / per_unit : 0;

		total += atomic_load_explicit(&s->histogram->bucket[k], memory_order_relaxed);
		buf_printf(p->out, "%sle=\"", open ? "," : "{");
		if (k == n)
			buf_lit(p->out, "+Inf");
		else
			buf_printf(p->out, per_unit > 1 ? "%g" : "%.1f", bound);
		buf_printf(p->out, "\"} %" PRIu64 "\n", total);
	}
	number(p, f->sum, f->label, s->label,
	       (double)atomic_load_explicit(&s->histogram->sum, memory_order_relaxed) / per_unit);
	buf_printf(p->out, "%s %" PRIu64 "\n", sample_begin(p, f->name, "_count", f->label, s->label) ? "}" : "", total);
}

static struct metric_sample sample_at(const struct metrics *m, size_t i)
{
	struct metric_sample s;

	memcpy(&s, m->samples.p + i * sizeof(s), sizeof(s));
	return s;
}

static size_t samples_of(const struct metrics *m)
{
	return m->samples.len / sizeof(struct metric_sample);
}

/* What the rooms gathered; a family's samples must stand together. */
static void gathered(struct page *p, const struct metrics *m)
{
	for (unsigned id = 0; id < METRIC_MAX; id++) {
		const struct family *f = &families[id];
		bool begun = false;

		for (size_t i = 0; i < samples_of(m); i++) {
			struct metric_sample s = sample_at(m, i);

			if (s.id != id)
				continue;
			if (!begun)
				head(p, f->name, f->kind, f->help);
			begun = true;
			if (f->kind == KIND_histogram && s.histogram)
				histogram(p, f, &s);
			else if (f->kind != KIND_histogram)
				number(p, f->name, f->label, s.label, s.value);
		}
	}
}

/* The lines' side of the identity, and each sink's. */
static void accounts(struct page *p, const struct account *a)
{
#define COUNTER(name, identity, meaning) \
	head(p, #name "_total", KIND_counter, meaning); \
	count(p, #name "_total", LABEL_none, NULL, a->total.name);
#include "formats/counters.def"
#undef COUNTER
#define SUFFIX_counter "_total"
#define SUFFIX_gauge ""
#define ACCOUNT(name, kind, meaning) \
	head(p, "sink_" #name SUFFIX_##kind, KIND_##kind, meaning); \
	for (uint32_t k = 0; k < a->nsinks; k++) \
		count(p, "sink_" #name SUFFIX_##kind, LABEL_sink, a->sink[k].uri, a->sink[k].name);
#include "formats/account.def"
#undef ACCOUNT
	head(p, "sink_enabled", KIND_gauge, "1 unless the sink was disabled at the admin socket");
	for (uint32_t k = 0; k < a->nsinks; k++)
		count(p, "sink_enabled", LABEL_sink, a->sink[k].uri, !a->sink[k].disabled);
	head(p, "sink_failed", KIND_gauge, "1 when the sink gave up");
	for (uint32_t k = 0; k < a->nsinks; k++)
		count(p, "sink_failed", LABEL_sink, a->sink[k].uri, a->sink[k].failed);
}

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128];
	struct slice rest;
	uint64_t pages = 0;

	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f)) {
		rest = slice_str(line);
		slice_cut(&rest, ' ');
		slice_uint(slice_cut(&rest, ' '), &pages);
	}
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void process(struct page *p, const struct control *c)
{
	head(p, "build_info", KIND_gauge, "1, labelled with the version");
	buf_printf(p->out, "haspan_build_info{version=\"%s\"} 1\n", HASPAN_VERSION);
	head(p, "start_time_seconds", KIND_gauge, "when haspan was started, since 1970");
	count(p, "start_time_seconds", LABEL_none, NULL, (uint64_t)c->started);
	head(p, "cpu_seconds_total", KIND_counter, "CPU time of all threads");
	number(p, "cpu_seconds_total", LABEL_none, NULL, cpu_seconds());
	head(p, "resident_memory_bytes", KIND_gauge, "memory in use");
	count(p, "resident_memory_bytes", LABEL_none, NULL, resident_bytes());
	head(p, "reloads_total", KIND_counter, "new configurations that were taken");
	count(p, "reloads_total", LABEL_none, NULL, c->reloads);
	head(p, "reloads_failed_total", KIND_counter, "new configurations that were refused");
	count(p, "reloads_failed_total", LABEL_none, NULL, c->reloads_failed);
}

void show_metrics(struct control *c, struct buf *out, bool openmetrics)
{
	struct page p = { .out = out, .openmetrics = openmetrics };
	struct rule_account rules[RULES_MAX];
	struct metrics m = { 0 };
	struct account a;

	pipeline_account(c->pipeline, &a);
	metrics_add(&m, METRIC_patterns_stopped_total, (double)pattern_stopped());
	for (uint32_t i = 0, n = pipeline_rules(c->pipeline, rules); i < n; i++) {
		m.label = rules[i].text;
		metrics_add(&m, METRIC_rule_requests_total, (double)rules[i].requests);
	}
	m.label = NULL;
	pipeline_metrics(c->pipeline, &m);
	process(&p, c);
	accounts(&p, &a);
	gathered(&p, &m);
	if (openmetrics)
		buf_lit(out, "# EOF\n");
	metrics_free(&m);
	free_labels(&p.labels);
}

/* ---- for an operator --------------------------------------------------------------------------------------- */

static const char *const state_names[] = { "starting", "running", "reloading", "stopping" };

static void show_account(struct buf *out, const struct account *a)
{
#define COUNTER(name, identity, meaning) buf_printf(out, #name ": %" PRIu64 "\n", a->total.name);
#include "formats/counters.def"
#undef COUNTER
	for (uint32_t k = 0; k < a->nsinks; k++) {
		buf_printf(out, "sink_%u: ", k + 1);
		term_text(out, slice_str(a->sink[k].uri), LABEL_MAX);
		buf_char(out, '\n');
#define ACCOUNT(name, kind, meaning) buf_printf(out, "sink_%u_" #name ": %" PRIu64 "\n", k + 1, a->sink[k].name);
#include "formats/account.def"
#undef ACCOUNT
	}
}

void show_info(struct control *c, struct buf *out)
{
	const struct config *config = &c->now->config;
	uint64_t up = (uint64_t)(clock_ms() - c->started_ms) / 1000;
	struct account a;

	pipeline_account(c->pipeline, &a);
	buf_printf(out, "Name: haspan\nVersion: %s\nPid: %d\n", HASPAN_VERSION, (int)getpid());
	buf_printf(out, "Uptime: %" PRIu64 "d %" PRIu64 "h%02um%02us\nUptime_sec: %" PRIu64 "\n", up / 86400,
		   up / 3600 % 24, (unsigned)(up / 60 % 60), (unsigned)(up % 60), up);
	buf_printf(out, "State: %s\nNbthread: %u\nFormats: %u\nSources: %u\nSinks: %u\n", state_names[c->state],
		   config->threads, config->formats.n, config->nsources, config->nsinks);
	buf_printf(out, "Sampling: %s\n", c->sampling[0] ? c->sampling : "default");
	buf_printf(out, "Reloads: %" PRIu64 "\nReloads_failed: %" PRIu64 "\n", c->reloads, c->reloads_failed);
	buf_printf(out, "Memory_bytes: %" PRIu64 "\nCpu_sec: %.2f\n", resident_bytes(), cpu_seconds());
	show_account(out, &a);
}

/* The numbers of `label`, as name=value; of a histogram how many and their mean, in the unit of its name. */
static void numbers_of(struct buf *out, const struct metrics *m, const char *label, const char *prefix)
{
	for (size_t i = 0; i < samples_of(m); i++) {
		struct metric_sample s = sample_at(m, i);
		const char *name = families[s.id].name;
		const uint64_t *bounds;
		double per_unit;
		uint64_t n = 0;

		if (!s.label || s.label != label)
			continue;
		if (strncmp(name, prefix, strlen(prefix)) == 0)
			name += strlen(prefix);
		if (!s.histogram) {
			buf_printf(out, " %s=", name);
			decimal(out, s.value);
			continue;
		}
		metric_bounds(s.id, &bounds, &per_unit);
		for (unsigned k = 0; k < HISTOGRAM_BUCKETS; k++)
			n += s.histogram->bucket[k];
		buf_printf(out, " %s_count=%" PRIu64 " %s_mean=%.6g", name, n, name,
			   n ? (double)s.histogram->sum / (double)n / per_unit : 0);
	}
}

void show_sources(struct control *c, struct buf *out)
{
	static const char *const states[] = { "waiting", "reading", "disabled", "ended" };
	struct metrics m = { 0 };

	pipeline_metrics(c->pipeline, &m);
	buf_lit(out, "# id state uri numbers\n");
	for (uint32_t i = 0; i < pipeline_sources(c->pipeline); i++) {
		const char *uri = pipeline_source_uri(c->pipeline, i);

		buf_printf(out, "%u %s ", i + 1, states[pipeline_source_state(c->pipeline, i)]);
		term_text(out, slice_str(uri), LABEL_MAX);
		numbers_of(out, &m, uri, "source_");
		buf_char(out, '\n');
	}
	metrics_free(&m);
}

void show_rules(struct control *c, struct buf *out)
{
	struct rule_account rules[RULES_MAX];
	uint32_t n = pipeline_rules(c->pipeline, rules);

	buf_lit(out, "# id requests rule\n");
	for (uint32_t i = 0; i < n; i++) {
		buf_printf(out, "%u %" PRIu64 " ", i + 1, rules[i].requests);
		term_text(out, slice_str(rules[i].text), RULE_SHOWN);
		buf_char(out, '\n');
	}
}

/* What it is doing, in a word. */
static const char *sink_state(const struct sink_account *s, const struct metrics *m)
{
	if (s->failed || s->disabled)
		return s->failed ? "failed" : "disabled";
	for (size_t i = 0; i < samples_of(m); i++) {
		struct metric_sample sample = sample_at(m, i);

		if (sample.id == METRIC_sink_retrying && sample.label == s->uri && sample.value > 0)
			return "retrying";
	}
	return "sending";
}

void show_sinks(struct control *c, struct buf *out)
{
	struct metrics m = { 0 };
	struct account a;

	pipeline_account(c->pipeline, &a);
	pipeline_metrics(c->pipeline, &m);
	buf_lit(out, "# id state uri numbers\n");
	for (uint32_t k = 0; k < a.nsinks; k++) {
		const struct sink_account *s = &a.sink[k];

		buf_printf(out, "%u %s ", k + 1, sink_state(s, &m));
		term_text(out, slice_str(s->uri), LABEL_MAX);
#define ACCOUNT(name, kind, meaning) buf_printf(out, " " #name "=%" PRIu64, s->name);
#include "formats/account.def"
#undef ACCOUNT
		numbers_of(out, &m, s->uri, "sink_");
		buf_char(out, '\n');
	}
	metrics_free(&m);
}
