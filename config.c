#include "config.h"

#include "core/buf.h"
#include "core/civil.h"
#include "core/hex.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/units.h"
#include "otel_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef HASPAN_VERSION
#define HASPAN_VERSION "0.0.0"
#endif

_Static_assert(sizeof(HASPAN_VERSION) < 100, "the encoder keeps the scope's length in one byte");

struct maker {
	struct config *c;
	struct options *o;
	struct arena *arena;
	struct err *err;
	struct naming naming;
};

static const struct option_value *values(const struct maker *m, enum option_id id)
{
	return m->o->v[id].first;
}

static const struct option_value *value(const struct maker *m, enum option_id id)
{
	return values(m, id);
}

/*
 * The value `v` is refused for the reason in m->err: false. But what a variable of OpenTelemetry's says wrongly
 * is ignored with a warning, as its specification wants: true.
 */
static bool refuse(struct maker *m, const struct option_value *v)
{
	if (!v || strncmp(v->where, "OTEL_", 5) != 0)
		return v ? options_blame(v, m->err) : false;
	log_warn("%s=%s is ignored: %s", v->where, v->text.p, m->err->text);
	*m->err = (struct err){ 0 };
	return true;
}

static bool wrong(struct maker *m, const struct option_value *v, size_t at, const char *what)
{
	err_at(m->err, EXIT_USAGE, v->text.p, v->text.len, at, "%s", what);
	return refuse(m, v);
}

/* ---- kinds of values ------------------------------------------------------------------------------------ */

/* A number with a unit of `units` ("ms=1 s=1000 …"); a bare number has the unit `bare`. */
static bool quantity(struct maker *m, enum option_id id, const char *units, uint64_t bare, uint64_t max, uint64_t *out)
{
	const struct option_value *v = value(m, id);
	uint64_t n, scale = bare;
	size_t at;

	if (!v)
		return true;
	if (!units_read(v->text, units, &n, &scale, &at))
		return wrong(m, v, at, at == 0 || !*units ? "expected a number" : *units == 'm' ?
			     "unknown unit: expected ms, s, m or h" : "unknown unit: expected K, M or G");
	if (n > max / scale) {
		char text[64];

		snprintf(text, sizeof(text), "expected at most %llu", (unsigned long long)(max / scale));
		return wrong(m, v, 0, text);
	}
	*out = n * scale;
	return true;
}

static bool duration(struct maker *m, enum option_id id, unsigned *ms)
{
	uint64_t v = *ms;

	if (!quantity(m, id, TIME_UNITS, 1, 1000000000, &v))
		return false;
	*ms = (unsigned)v;
	return true;
}

/* RFC 9110 token: what may be a header's name, and stands in a key without escape. */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("\"\\(),/:;<=>?@[]{}", s.p[i]))
			return false;
	return s.len > 0;
}

/* ---- naming --------------------------------------------------------------------------------------------- */

static bool names(struct maker *m, enum option_id id, const struct slice **out, uint32_t *n)
{
	const struct option_value *v = value(m, id);
	struct slice *list, rest;

	if (!v)
		return true;
	list = arena_alloc(m->arena, CAPTURES_MAX * sizeof(*list));
	rest = v->text;
	while (rest.p) {
		struct slice name = slice_trim(slice_cut(&rest, ','));

		if (!is_token(name) || *n == CAPTURES_MAX)
			return wrong(m, v, (size_t)(name.p - v->text.p),
				     "expected names of headers, separated by commas (at most 32)");
		list[(*n)++] = name;
	}
	*out = list;
	return true;
}

static bool maps(struct maker *m)
{
	struct slice *from, *to;
	uint32_t n = 0;

	for (const struct option_value *v = values(m, OPTION_MAP); v; v = v->next)
		n++;
	from = arena_alloc(m->arena, n * sizeof(*from) + 1);
	to = arena_alloc(m->arena, n * sizeof(*to) + 1);
	for (const struct option_value *v = values(m, OPTION_MAP); v; v = v->next) {
		size_t at = v->text.len;

		/* The last '=': expressions may hold one. */
		while (at > 0 && v->text.p[at - 1] != '=')
			at--;
		if (at < 2 || at == v->text.len)
			return wrong(m, v, 0, "expected FIELD=MEANING, as in 'var(txn.tid)=trace_id'");
		from[m->naming.nmap] = slice_of(v->text.p, at - 1);
		to[m->naming.nmap] = slice_skip(v->text, at);
		if (slot_find(to[m->naming.nmap]) < 0 &&
		    (!is_token(to[m->naming.nmap]) || slice_find(to[m->naming.nmap], '.') == to[m->naming.nmap].len))
			return wrong(m, v, at, "no field has this name (`haspan formats` lists them), and no attribute "
					       "either: that would have a dot");
		m->naming.nmap++;
	}
	m->naming.map_from = from;
	m->naming.map_to = to;
	return names(m, OPTION_CAPTURE_REQUEST, &m->naming.request, &m->naming.nrequest) &&
	       names(m, OPTION_CAPTURE_RESPONSE, &m->naming.response, &m->naming.nresponse);
}

/* ---- rooms ---------------------------------------------------------------------------------------------- */

static bool has_frontend(const struct cfg *cfg)
{
	for (const struct cfg_section *s = cfg->section; s; s = s->next)
		if (s->kind == CFG_FRONTEND || s->kind == CFG_LISTEN)
			return true;
	return false;
}

/* What --haproxy-cfg names; its smallest `len` unless the user gave one. */
static bool haproxy_cfg(struct maker *m, uint64_t *log_len)
{
	struct slice *paths;
	uint32_t n = 0;

	if (!values(m, OPTION_HAPROXY_CFG))
		return true;
	for (const struct option_value *v = values(m, OPTION_HAPROXY_CFG); v; v = v->next)
		n++;
	paths = arena_alloc(m->arena, n * sizeof(*paths));
	n = 0;
	for (const struct option_value *v = values(m, OPTION_HAPROXY_CFG); v; v = v->next)
		paths[n++] = v->text;
	m->c->haproxy = arena_alloc(m->arena, sizeof(*m->c->haproxy));
	if (!cfg_read(m->c->haproxy, paths, n, m->arena, m->err))
		return false;
	if (!has_frontend(m->c->haproxy))
		log_warn("--haproxy-cfg %s: there is no frontend in this configuration: no format comes from it", paths[0].p);
	for (const struct cfg_note *note = m->c->haproxy->note; note; note = note->next)
		log_debug("%s:%u: %s", note->place.file->path.p, note->place.line, note->text.p);
	if (!value(m, OPTION_LOG_LEN) && cfg_log_len(m->c->haproxy))
		*log_len = cfg_log_len(m->c->haproxy);
	return formats_add_cfg(&m->c->formats, m->c->haproxy, &m->naming, m->err);
}

static bool formats(struct maker *m)
{
	struct formats *set = &m->c->formats;

	uint64_t log_len = 1024;
	struct format *whole;

	set->arena = m->arena;
	if (!quantity(m, OPTION_LOG_LEN, SIZE_UNITS, 1, 65535, &log_len))
		return false;
	if (!haproxy_cfg(m, &log_len))
		return false;
	set->log_len = (size_t)log_len;
	if (!values(m, OPTION_FORMAT) && !formats_add_auto(set, &m->naming, m->err))
		return false;
	for (const struct option_value *v = values(m, OPTION_FORMAT); v; v = v->next)
		if (!formats_add(set, v->text, &m->naming, m->err))
			return options_blame(v, m->err);
	whole = formats_families(set);
	if (whole)
		plan_make(whole, m->arena);
	for (uint32_t i = 0; i < set->n; i++)
		plan_make(set->v[i], m->arena);
	for (uint32_t i = 0; i < set->nplanned; i++)
		plan_make(set->planned[i], m->arena);
	return true;
}

static bool choose(struct maker *m, enum option_id id, const char *const *words, int *out, const char *expected)
{
	const struct option_value *v = value(m, id);

	if (!v)
		return true;
	for (int i = 0; words[i]; i++)
		if (slice_eq(v->text, slice_str(words[i]))) {
			*out = i;
			return true;
		}
	return wrong(m, v, 0, expected);
}

static bool rules(struct maker *m)
{
	static const char *const phases[] = { "auto", "all", "none", NULL }, *const tree[] = { "request", NULL };
	static const char every[] = "tracecontext,b3,b3multi,jaeger,xray";
	const struct option_value *v = value(m, OPTION_SAMPLER);
	struct rules *r = &m->c->rules;
	struct slice arg = v ? v->text : slice_str("parentbased_always_on"), name = slice_cut(&arg, ':');
	int phase = PHASES_AUTO, kind = 0;

	if (!choose(m, OPTION_PHASES, phases, &phase, "expected auto, all or none") ||
	    !choose(m, OPTION_TREE, tree, &kind, "expected request: this version has no other tree yet"))
		return false;
	r->phases = (enum phases)phase;
	sampler_parse(slice_str("parentbased_always_on"), slice_of("", 0), &r->sampler, m->err);
	if (!sampler_parse(name, arg.p ? arg : slice_of("", 0), &r->sampler, m->err) && !refuse(m, v))
		return false;
	v = value(m, OPTION_PROPAGATORS);
	if (!propagators_parse(v ? v->text : slice_str(every), r, m->err) &&
	    (!refuse(m, v) || !propagators_parse(slice_str(every), r, m->err)))
		return false;
	for (v = values(m, OPTION_ROUTE); v; v = v->next) {
		if (v->text.len == 0 || *v->text.p != '/')
			return wrong(m, v, 0, "expected a template that begins with '/', as in '/orders/{id}'");
		if (v->text.len > 480 || !text_valid(v->text))
			return wrong(m, v, 0, "a template is valid UTF-8 of at most 480 bytes");
		if (r->nroutes == sizeof(r->routes) / sizeof(r->routes[0]))
			return wrong(m, v, 0, "too many routes (at most 256)");
		r->routes[r->nroutes++] = v->text;
	}
	return true;
}

/* --keep and --drop, as one row in the order in which they were given. */
static bool keep_and_drop(struct maker *m)
{
	const struct option_value *keep = values(m, OPTION_KEEP), *drop = values(m, OPTION_DROP);
	struct expr_names names = { .format = m->c->formats.v, .nformats = m->c->formats.n };
	struct rules *r = &m->c->rules;

	while (keep || drop) {
		bool kept = keep && (!drop || keep->order < drop->order);
		const struct option_value *v = kept ? keep : drop;
		struct rule *rule = &r->rule[r->nrules];

		if (r->nrules == RULES_MAX)
			return wrong(m, v, 0, "too many of --keep and --drop (at most 64)");
		*rule = (struct rule){ .keep = kept, .text = v->text.p };
		rule->expr = expr_compile(v->text, &names, &r->nmemos, m->arena, m->err);
		if (!rule->expr)
			return options_blame(v, m->err);
		r->nrules++;
		*(kept ? &keep : &drop) = v->next;
	}
	return true;
}

/* The first digits of a trace id, of either case. */
static bool trace_id(struct maker *m)
{
	const struct option_value *v = value(m, OPTION_TRACE);
	struct pick *p = &m->c->rules.pick;

	if (!v)
		return true;
	if (v->text.len < TRACE_DIGITS_MIN || v->text.len > 32)
		return wrong(m, v, 0, "expected a trace id, 32 hexadecimal digits, or at least the first 8 of them");
	for (size_t i = 0; i < v->text.len; i++) {
		uint64_t *id = i < 16 ? &p->hi : &p->lo, *mask = i < 16 ? &p->hi_mask : &p->lo_mask;
		int digit = hex_value(v->text.p[i]);

		if (digit < 0)
			return wrong(m, v, i, "expected a hexadecimal digit of a trace id");
		*id |= (uint64_t)digit << (60 - 4 * (i % 16));
		*mask |= UINT64_C(15) << (60 - 4 * (i % 16));
	}
	p->by_id = true;
	return true;
}

/* --trace and --grep. */
static bool picks(struct maker *m)
{
	const struct option_value *v = value(m, OPTION_GREP);
	struct pattern_fault fault;

	if (!trace_id(m))
		return false;
	if (!v)
		return true;
	m->c->rules.pick.grep = pattern_compile(v->text, 0, m->arena, &fault);
	return m->c->rules.pick.grep || wrong(m, v, fault.at, fault.text);
}

static void resource_add(struct resource *r, struct slice key, struct slice val)
{
	uint32_t at = 0;

	while (at < r->n && (memcmp(r->keys[at].p, key.p, r->keys[at].len < key.len ? r->keys[at].len : key.len) < 0))
		at++;
	for (uint32_t i = r->n; i > at; i--) {
		r->keys[i] = r->keys[i - 1];
		r->values[i] = r->values[i - 1];
	}
	r->keys[at] = key;
	r->values[at] = val;
	r->n++;
}

static bool resource(struct maker *m)
{
	struct resource *r = &m->c->resource;
	const struct option_value *v = value(m, OPTION_SERVICE_NAME);
	size_t bytes = 0;

	r->version = SLICE(HASPAN_VERSION);
	r->service_name = v ? v->text : SLICE("haproxy");
	resource_add(r, SLICE("service.name"), r->service_name);
	for (v = values(m, OPTION_RESOURCE); v; v = v->next) {
		struct slice val = v->text, key = slice_cut(&val, '=');

		if (!val.p || !is_token(key) || r->n == sizeof(r->keys) / sizeof(r->keys[0]))
			return wrong(m, v, 0, "expected KEY=VALUE (at most 31 of them)");
		if (!text_valid(val))
			return wrong(m, v, key.len + 1, "the value is not valid UTF-8");
		for (uint32_t i = 0; i < r->n; i++)
			if (slice_eq(r->keys[i], key))
				return wrong(m, v, 0, "this attribute is given twice");
		resource_add(r, key, val);
	}
	for (uint32_t i = 0; i < r->n; i++)
		bytes += r->keys[i].len + r->values[i].len;
	if (bytes > RESOURCE_MAX)
		return err_set(m->err, EXIT_CONFIG, "a resource of %zu bytes is too long: at most %zu", bytes, RESOURCE_MAX);
	return text_valid(r->service_name) || wrong(m, value(m, OPTION_SERVICE_NAME), 0, "this is not valid UTF-8");
}

static bool headers(struct maker *m)
{
	const char **list;
	size_t n = 0;

	for (const struct option_value *v = values(m, OPTION_HEADER); v; v = v->next)
		n++;
	list = arena_alloc(m->arena, (n + 1) * sizeof(*list));
	n = 0;
	for (const struct option_value *v = values(m, OPTION_HEADER); v; v = v->next) {
		size_t colon = slice_find(v->text, ':');

		if (colon == v->text.len || !is_token(slice_of(v->text.p, colon)) || strpbrk(v->text.p, "\r\n"))
			return wrong(m, v, 0, "expected NAME:VALUE");
		list[n++] = v->text.p;
	}
	m->c->export.headers = list;
	return true;
}

/* --kafka, for sources and sinks. */
static bool kafka_properties(struct maker *m)
{
	const char **list;
	size_t n = 0;

	for (const struct option_value *v = values(m, OPTION_KAFKA); v; v = v->next)
		n++;
	list = arena_alloc(m->arena, (n + 1) * sizeof(*list));
	n = 0;
	for (const struct option_value *v = values(m, OPTION_KAFKA); v; v = v->next) {
		/* Only the name is ever repeated: the value may be a secret. */
		if (slice_find(v->text, '=') == v->text.len || *v->text.p == '=') {
			err_set(m->err, EXIT_USAGE, "expected PROPERTY=VALUE");
			return refuse(m, v);
		}
		list[n++] = v->text.p;
	}
	m->c->live.kafka = m->c->export.kafka = list;
	return true;
}

static unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return columns && atol(columns) > 0 ? (unsigned)atol(columns) : 100;
}

static bool exports(struct maker *m)
{
	static const char *const compressions[] = { "none", "gzip", NULL };
	struct export_config *e = &m->c->export;
	uint64_t buffer = (uint64_t)16 << 20, connections = 4, spool_max = (uint64_t)1 << 30;
	int compression = 0;

	*e = (struct export_config){
		.timeout_ms = 10000, .drain_ms = 10000, .give_up_ms = 300000, .batch_delay_ms = 200,
	};
	if (!choose(m, OPTION_COMPRESSION, compressions, &compression, "expected none or gzip") ||
	    !duration(m, OPTION_TIMEOUT, &e->timeout_ms) || !duration(m, OPTION_DRAIN_TIMEOUT, &e->drain_ms) ||
	    !duration(m, OPTION_GIVE_UP_AFTER, &e->give_up_ms) ||
	    !duration(m, OPTION_BATCH_DELAY, &e->batch_delay_ms) ||
	    !quantity(m, OPTION_SPOOL_MAX, SIZE_UNITS, 1, UINT64_C(1) << 50, &spool_max) ||
	    !quantity(m, OPTION_BUFFER_MAX, SIZE_UNITS, 1, UINT64_C(1) << 40, &buffer) ||
	    !quantity(m, OPTION_CONNECTIONS, "", 1, 64, &connections) || !headers(m))
		return false;
	if (connections == 0)
		return wrong(m, value(m, OPTION_CONNECTIONS), 0, "expected 1 to 64");
	if (spool_max < SPOOL_MAX_LEAST)
		return wrong(m, value(m, OPTION_SPOOL_MAX), 0, "expected at least 1M");
	e->spool = options_text(m->o, OPTION_SPOOL);
	if (e->spool && !*e->spool)
		return wrong(m, value(m, OPTION_SPOOL), 0, "expected a folder");
	e->spool_max = spool_max;
	e->gzip = compression == 1;
	e->buffer_max = (size_t)buffer;
	e->connections = (unsigned)connections;
	e->protocol = otel_protocol();
	e->ca = options_text(m->o, OPTION_CA);
	e->cert = options_text(m->o, OPTION_CERT);
	e->key = options_text(m->o, OPTION_KEY);
	e->colour = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
	e->width = terminal_width();
	e->terminal = isatty(STDOUT_FILENO);
	return true;
}

/* Both choose which pictures are drawn; without a tree they would choose nothing, but stats has a list of slowest too. */
static bool tree_options(struct maker *m)
{
	struct export_config *e = &m->c->export;
	const struct option_value *listed = value(m, OPTION_SLOWEST);
	uint64_t slowest = 0, limit = 0;
	bool tree = false;

	for (uint32_t k = 0; k < m->c->nsinks; k++)
		tree |= slice_eq(m->c->sinks[k], SLICE("tree"));
	if (!quantity(m, OPTION_SLOWEST, "", 1, SLOWEST_MAX, &slowest) ||
	    !quantity(m, OPTION_LIMIT, "", 1, UINT32_MAX, &limit))
		return false;
	if (listed && slowest == 0 && !m->c->stats)
		return wrong(m, listed, 0, "expected 1 to 1000");
	if (value(m, OPTION_LIMIT) && limit == 0)
		return wrong(m, value(m, OPTION_LIMIT), 0, "expected at least 1");
	if (!tree && (limit || (slowest && !m->c->stats)))
		return wrong(m, limit ? value(m, OPTION_LIMIT) : listed, 0,
			     "this chooses which requests are drawn: add --to tree, or leave it out");
	if (tree && slowest && limit)
		return wrong(m, value(m, OPTION_LIMIT), 0, "--slowest looks at all requests: expected one of the two");
	e->slowest = tree ? (uint32_t)slowest : 0;
	e->limit = (uint32_t)limit;
	return true;
}

/* `--by a --by b` is `--by a,b`. */
static struct slice joined(struct maker *m, const struct option_value *v)
{
	struct buf list = { .max = 65536 };
	struct slice all;

	for (const struct option_value *next = v; next; next = next->next) {
		if (next != v)
			buf_char(&list, ',');
		buf_slice(&list, next->text);
	}
	all = arena_copy(m->arena, slice_of(list.p ? list.p : "", list.len));
	buf_free(&list);
	return v->next ? all : v->text;
}

/* `--to stats`. By route where there are some. */
static bool stats(struct maker *m)
{
	const struct option_value *by = value(m, OPTION_BY);
	struct stats_config *s = &m->c->stats_config;
	uint64_t top = STATS_TOP, slowest = STATS_SLOWEST;

	if (!quantity(m, OPTION_TOP, "", 1, UINT32_MAX, &top) || !quantity(m, OPTION_SLOWEST, "", 1, SLOWEST_MAX, &slowest))
		return false;
	*s = (struct stats_config){ .top = (uint32_t)top, .slowest = (uint32_t)slowest, .colour = m->c->export.colour,
				    .width = m->c->export.width < 60 ? 60 : m->c->export.width };
	if (by)
		return stats_by(s, joined(m, by), m->err) || options_blame(by, m->err);
	return stats_by(s, m->c->rules.nroutes ? SLICE("frontend,backend,server,route") : SLICE("frontend,backend,server"),
			m->err);
}

static bool hint_route(struct maker *m)
{
	if (m->c->stats && !m->c->rules.nroutes && stats_names(&m->c->stats_config, "route"))
		log_warn("--by route: no --route names any, so that no request has one");
	return true;
}

/* ---- replay --------------------------------------------------------------------------------------------- */

/* `now`, an RFC 3339 date, or seconds since 1970. Outside of 1970 to 2262 no span can be. */
static bool rebase(struct maker *m)
{
	const struct option_value *v = value(m, OPTION_REBASE);
	int64_t us = 0, max = INT64_MAX / 1000;
	int zone_min;
	uint64_t s;
	size_t len;
	bool known;

	if (!v)
		return true;
	m->c->rebase = true;
	if (slice_eq(v->text, SLICE("now")))
		return true;
	if (slice_uint(v->text, &s))
		us = s < (uint64_t)max / 1000000 ? (int64_t)s * 1000000 : 0;
	else if (!civil_iso(v->text, &len, &us, &zone_min, &known) || len != v->text.len)
		return wrong(m, v, 0, "expected now, a date with its zone as in 2026-11-21T08:15:44.5Z, or seconds since 1970");
	if (us <= 0 || us > max)
		return wrong(m, v, 0, "expected a time between 1970 and 2262");
	m->c->rebase_us = us;
	return true;
}

/* 10x, 10, 0.5x */
static bool pace(struct maker *m)
{
	const struct option_value *v = value(m, OPTION_PACE);
	struct slice digits, fraction;
	uint64_t whole, part = 0;
	double scale = 1;

	if (!v)
		return true;
	fraction = v->text;
	if (fraction.len && fraction.p[fraction.len - 1] == 'x')
		fraction.len--;
	digits = slice_cut(&fraction, '.');
	if (!slice_uint(digits, &whole) || digits.len > 6 ||
	    (fraction.p && (fraction.len > 6 || !slice_uint(fraction, &part))))
		return wrong(m, v, 0, "expected a speed, as in 10x or 0.5x");
	for (size_t i = 0; i < fraction.len; i++)
		scale /= 10;
	m->c->pace = (double)whole + (double)part * scale;
	return m->c->pace > 0 || wrong(m, v, 0, "expected a speed above 0");
}

static bool replay(struct maker *m)
{
	if (!rebase(m) || !pace(m) || !quantity(m, OPTION_RATE, "", 1, 1000000000, &m->c->rate))
		return false;
	return !value(m, OPTION_RATE) || m->c->rate || wrong(m, value(m, OPTION_RATE), 0, "expected at least 1 line a second");
}

static bool sinks(struct maker *m)
{
	struct config *c = m->c;

	for (const struct option_value *v = values(m, OPTION_TO); v; v = v->next) {
		if (slice_eq(v->text, SLICE("stats"))) {
			c->stats = true;
			continue;
		}
		if (c->nsinks == SINKS_MAX)
			return wrong(m, v, 0, "too many sinks (at most 8)");
		c->sink_from[c->nsinks] = v;
		c->sinks[c->nsinks++] = v->text;
	}
	for (uint32_t k = 0; c->stats && k < c->nsinks; k++)
		if (slice_eq(c->sinks[k], SLICE("-")))
			return wrong(m, c->sink_from[k], 0, "stats prints a table to standard output too: expected file:PATH");
	/* A check only looks, unless it is told where spans are to go. */
	if (c->nsinks == 0 && !c->stats && strcmp(m->o->command, "check") != 0)
		c->sinks[c->nsinks++] = SLICE("tree");
	return true;
}

static bool ends(struct maker *m)
{
	struct config *c = m->c;

	for (const struct option_value *v = values(m, OPTION_FROM); v; v = v->next) {
		if (c->nsources == SOURCES_MAX)
			return wrong(m, v, 0, "too many sources");
		c->source_from[c->nsources] = v;
		c->sources[c->nsources++] = v->text;
	}
	for (int i = 0; i < m->o->noperands; i++) {
		if (c->nsources == SOURCES_MAX)
			return err_set(m->err, EXIT_USAGE, "more than %d files: name them by a pattern, "
							   "--from 'file:*.log'", SOURCES_MAX);
		c->sources[c->nsources++] = slice_str(m->o->operands[i]);
	}
	if (c->nsources == 0 && live_passed() == 0)
		c->sources[c->nsources++] = SLICE("-");
	if (!sinks(m))
		return false;
	c->baseline = values(m, OPTION_BASELINE);
	/* What runs for months does not end because a collector is away. */
	if (live_passed() && !value(m, OPTION_GIVE_UP_AFTER))
		c->export.give_up_ms = 0;
	for (uint32_t i = 0; i < c->nsources; i++)
		if (live_names(c->sources[i]) && !value(m, OPTION_GIVE_UP_AFTER))
			c->export.give_up_ms = 0;
	return true;
}

/* Of --state, or what systemd made for the service: the first of a list (systemd.exec(5), "StateDirectory="). */
static const char *state_folder(struct maker *m)
{
	const char *text = options_text(m->o, OPTION_STATE), *env = getenv("STATE_DIRECTORY");
	size_t len = env ? strcspn(env, ":") : 0;
	char *copy;

	if (text || !len)
		return text && *text ? text : NULL;
	copy = arena_alloc(m->arena, len + 1);
	memcpy(copy, env, len);
	copy[len] = '\0';
	return copy;
}

static bool general(struct maker *m)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t threads = cores < 1 ? 1 : cores > 4 ? 4 : (uint64_t)cores, max_open = 10000;
	unsigned max_age_ms = 3600000;
	const struct option_value *v = value(m, OPTION_TIMEZONE);

	if (!quantity(m, OPTION_THREADS, "", 1, THREADS_MAX, &threads))
		return false;
	if (threads == 0)
		return wrong(m, value(m, OPTION_THREADS), 0, "expected 1 to 64");
	if (!quantity(m, OPTION_MAX_OPEN, "", 1, 1000000, &max_open) || !duration(m, OPTION_MAX_AGE, &max_age_ms))
		return false;
	if (max_open == 0)
		return wrong(m, value(m, OPTION_MAX_OPEN), 0, "expected 1 to 1000000");
	m->c->max_open = (uint32_t)max_open;
	m->c->max_age_us = (int64_t)max_age_ms * 1000;
	m->c->threads = (unsigned)threads;
	m->c->timezone = v ? v->text : slice_of("", 0);
	m->c->rejects = options_text(m->o, OPTION_REJECTS);
	m->c->admin = options_text(m->o, OPTION_ADMIN);
	m->c->listen_metrics = options_text(m->o, OPTION_LISTEN_METRICS);
	m->c->strict = value(m, OPTION_STRICT) != NULL;
	m->c->check_only = value(m, OPTION_CHECK) != NULL;
	if (!zone_check(m->c->timezone, m->err))
		return v ? options_blame(v, m->err) : false;
	return true;
}

static bool live(struct maker *m)
{
	uint64_t connections = CONNECTIONS_DEFAULT, line = LINE_MAX_BYTES;
	unsigned idle_ms = IDLE_DEFAULT_MS;

	if (!quantity(m, OPTION_MAX_CONNECTIONS, "", 1, CONNECTIONS_MAX, &connections) ||
	    !quantity(m, OPTION_MAX_LINE, SIZE_UNITS, 1, LINE_MAX_BYTES, &line) ||
	    !duration(m, OPTION_IDLE_TIMEOUT, &idle_ms))
		return false;
	if (connections == 0)
		return wrong(m, value(m, OPTION_MAX_CONNECTIONS), 0, "expected 1 to 1000000");
	if (line < LINE_MIN_BYTES)
		return wrong(m, value(m, OPTION_MAX_LINE), 0, "expected 80 to 66K");
	/* A longer datagram loses its end, as if HAProxy's `len` had cut it. */
	if (line < m->c->formats.log_len)
		m->c->formats.log_len = (size_t)line;
	m->c->live = (struct live_config){ .max_connections = (uint32_t)connections, .idle_ms = idle_ms,
					   .max_line = (size_t)line, .check_only = m->c->check_only,
					   .state = state_folder(m), .drain_ms = m->c->export.drain_ms };
	return kafka_properties(m);
}

/* Files of the configuration, and what may be one; the sandbox lets a reload read them. */
static const char *const *rereads(struct maker *m)
{
	static const enum option_id ids[] = { OPTION_CONFIG, OPTION_HAPROXY_CFG, OPTION_FORMAT, OPTION_CA, OPTION_CERT,
					      OPTION_KEY };
	const char **list;
	size_t n = 1;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		for (const struct option_value *v = values(m, ids[i]); v; v = v->next)
			n++;
	list = arena_alloc(m->arena, n * sizeof(*list));
	n = 0;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		for (const struct option_value *v = values(m, ids[i]); v; v = v->next)
			if (ids[i] != OPTION_FORMAT || access(v->text.p, F_OK) == 0)
				list[n++] = v->text.p;
	return list;
}

static bool privileges(struct maker *m)
{
	static const char *const words[] = { "off", "on", NULL };
	const struct option_value *v = value(m, OPTION_USER);
	int on = 1;

	if (!choose(m, OPTION_SANDBOX, words, &on, "expected on or off"))
		return false;
	m->c->sandbox = on;
	m->c->rereads = rereads(m);
	return !v || user_parse(v->text, m->arena, &m->c->user, m->err) || options_blame(v, m->err);
}

bool config_make(struct config *c, struct options *o, struct err *err)
{
	struct maker m = { .c = c, .o = o, .arena = o->arena, .err = err };

	otel_env(o);
	return maps(&m) && formats(&m) && rules(&m) && keep_and_drop(&m) && picks(&m) && resource(&m) && exports(&m) &&
	       stats(&m) && ends(&m) && hint_route(&m) && tree_options(&m) && general(&m) && replay(&m) && live(&m) && privileges(&m);
}
