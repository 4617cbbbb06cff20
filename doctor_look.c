/*
 * doctor_look.c - what the lines of a frontend hold, and what they lack.
 */
#include "doctor.h"

#include <stdio.h>

static const char profile_text[] = "log-profile haspan\n"
#define PROFILE(step, format) "    on " step " format \"" format "\"\n"
#include "formats/profile.def"
#undef PROFILE
	"frontend ...\n"
	PROFILE_LOG "\n"
	"    log-steps all";

const struct advice advice_table[ADVICE_MAX] = {
#define ADVICE(id, severity, what, why, lines) [ADVICE_##id] = { #id, severity, what, why, lines },
#include "formats/advice.def"
#undef ADVICE
};

/* Expressions with a meaning of their own. */
static const struct {
	struct slice expr;
	int slot;
} fetches[] = {
#define FETCH(expr, slot) { { expr, sizeof(expr) - 1 }, SLOT_##slot },
#include "formats/fetches.def"
#undef FETCH
};

/* Headers that may hold the caller's trace. */
static const struct slice parents[] = { { "traceparent", 11 }, { "b3", 2 }, { "x-b3-traceid", 12 },
					{ "uber-trace-id", 13 }, { "x-amzn-trace-id", 15 } };

/* Of a later version more may follow. */
#define TRACEPARENT_LEN 55

/* A line of this length holds a path of HAProxy's own limit (1023 bytes) and long headers. */
#define LEN_ENOUGH 4096

/* ---- the fields of a format ------------------------------------------------------------------------------ */

static void have(struct fields *f, int slot)
{
	if (slot >= 0)
		f->slot[slot >> 6] |= UINT64_C(1) << (slot & 63);
}

/* `expr` without the converters behind its fetch. */
static struct slice fetch_of(struct slice expr)
{
	int depth = 0;

	for (size_t i = 0; i < expr.len; i++) {
		depth += expr.p[i] == '(' ? 1 : expr.p[i] == ')' ? -1 : 0;
		if (expr.p[i] == ',' && depth == 0)
			return slice_of(expr.p, i);
	}
	return expr;
}

static void expression(struct fields *f, const struct cfg *cfg, const struct cfg_proxy *p, struct slice expr)
{
	struct slice means = cfg_meaning(cfg, p, expr), fetch = fetch_of(expr);
	static const struct slice captured = { "capture.req.hdr(", 16 };
	uint64_t n;

	for (size_t i = 0; i < sizeof(fetches) / sizeof(fetches[0]); i++)
		if (slice_eq(fetches[i].expr, expr) || slice_eq(fetches[i].expr, fetch))
			have(f, fetches[i].slot);
	if (means.len)
		have(f, slot_find(means));
	if (slice_starts(fetch, captured) &&
	    slice_uint(slice_of(fetch.p + captured.len, fetch.len - captured.len - 1), &n) && n < 32)
		f->captures |= UINT32_C(1) << n;
}

/* Behind `%`: flags, a name, then an alias or an expression. Returns where it ends. */
static size_t field_at(struct fields *f, const struct cfg *cfg, const struct cfg_proxy *p, struct slice text, size_t at)
{
	int depth = 0;
	size_t start;

	while (at < text.len && (text.p[at] == '{' || text.p[at] == '(')) {
		char open = text.p[at], close = open == '{' ? '}' : ')';
		size_t n = slice_find(slice_skip(text, at), close);
		struct slice name = slice_of(text.p + at + 1, n ? n - 1 : 0);

		if (at + n >= text.len)
			return text.len;
		if (open == '(')
			have(f, slot_find(slice_cut(&name, ':')));
		at += n + 1;
	}
	start = at;
	if (at < text.len && text.p[at] == '[') {
		for (start = ++at; at < text.len && (text.p[at] != ']' || depth > 0); at++)
			depth += text.p[at] == '(' ? 1 : text.p[at] == ')' ? -1 : 0;
		if (at < text.len)
			expression(f, cfg, p, slice_of(text.p + start, at - start));
		return at + 1;
	}
	while (at < text.len && ((text.p[at] >= 'a' && text.p[at] <= 'z') || (text.p[at] >= 'A' && text.p[at] <= 'Z')))
		at++;
	have(f, slot_find(slice_of(text.p + start, at - start)));
	return at;
}

void fields_read(struct fields *f, const struct cfg *cfg, const struct cfg_proxy *p, struct slice text)
{
	for (size_t at = 0; at < text.len;) {
		at += slice_find(slice_skip(text, at), '%');
		if (at + 1 >= text.len)
			break;
		at = text.p[at + 1] == '%' ? at + 2 : field_at(f, cfg, p, text, at + 1);
	}
	if (f->slot[SLOT_hr >> 6] >> (SLOT_hr & 63) & 1 || f->slot[SLOT_hrl >> 6] >> (SLOT_hrl & 63) & 1)
		f->captures = UINT32_MAX;
}

bool look_captures(const struct look *l, struct slice name)
{
	for (uint32_t i = 0; i < l->p->ncaptures[CAPTURE_REQUEST] && i < 32; i++)
		if (slice_ieq(l->p->capture[CAPTURE_REQUEST][i].name, name))
			return l->fields.captures >> i & 1;
	return false;
}

void variable_expr(char *out, size_t size, const struct cfg_variable *v)
{
	snprintf(out, size, "var(%.*s)", (int)v->name.len, v->name.p);
}

/* ---- findings -------------------------------------------------------------------------------------------- */

static void find(struct look *l, enum advice_id id, const struct cfg_directive *by)
{
	if (look_found(l, id))
		return;
	l->found |= UINT64_C(1) << id;
	l->finding[id].by = by;
}

/* The same, naming one of several; names are joined by commas. */
static void find_one(struct look *l, enum advice_id id, const struct cfg_directive *by, struct slice name)
{
	struct finding *f = &l->finding[id];
	char *p = arena_alloc(l->cfg->arena, f->detail.len + name.len + 3);
	size_t n = f->detail.len;

	find(l, id, by);
	if (n) {
		memcpy(p, f->detail.p, n);
		memcpy(p + n, ", ", 2);
		n += 2;
	}
	memcpy(p + n, name.p, name.len);
	f->detail = slice_of(p, n + name.len);
}

static void lacks(struct look *l, enum advice_id id, struct slice field, bool is_there)
{
	if (!is_there)
		find_one(l, id, l->p->log_format.by, field);
}

/* ---- where the lines go ------------------------------------------------------------------------------------ */

bool log_takes_traffic(const struct cfg_log *log)
{
	static const char *const severe[] = { "emerg", "alert", "crit", "err", "warning", "notice" };
	const struct cfg_directive *d = log->by;

	/* `log ADDRESS … FACILITY [LEVEL [MINLEVEL]]`: the level stands right behind the facility. */
	for (uint32_t i = 3; i < d->n; i++)
		if (slice_eq(d->word[i - 1], log->facility))
			for (size_t k = 0; k < sizeof(severe) / sizeof(severe[0]); k++)
				if (slice_eq(d->word[i], slice_str(severe[k])))
					return false;
	return true;
}

static bool has_zone(const struct cfg_log *log)
{
	return slice_eq(log->format, SLICE("rfc5424")) || slice_eq(log->format, SLICE("iso")) ||
	       slice_eq(log->format, SLICE("timed"));
}

static void look_at_logs(struct look *l)
{
	const struct cfg_proxy *p = l->p;
	bool zone = false;

	for (uint32_t i = 0; i < p->nlogs; i++) {
		const struct cfg_log *log = &p->log[i];

		if (!log_takes_traffic(log))
			continue;
		l->traffic = true;
		if (log->profile && log->profile->nsteps)		/* an empty one changes nothing */
			l->profile = log->profile;
		zone |= has_zone(log);
		/* a ring has a length of its own */
		if (log->len < LEN_ENOUGH && !slice_starts(log->address, SLICE("ring@")))
			find(l, ADVICE_short_len, log->by);
		for (uint32_t k = 2; k < log->by->n; k++)
			if (slice_eq(log->by->word[k], SLICE("sample")))
				find(l, ADVICE_sampled, log->by);
	}
	if (p->nlogs == 0)
		find(l, ADVICE_no_log, NULL);
	else if (!l->traffic)
		find(l, ADVICE_log_level, p->log[0].by);
	else if (!zone)
		find(l, ADVICE_no_zone, p->log[0].by);
}

/* ---- the format -------------------------------------------------------------------------------------------- */

/* Does haspan take the text as a format? What the compiler says becomes the detail. */
static bool compiles(struct look *l, struct slice text)
{
	static struct formats set;
	const struct cfg_proxy *p = l->p;
	struct arena *arena = l->cfg->arena;
	struct slice *from = arena_alloc(arena, (p->nvariables + 1) * sizeof(*from));
	struct slice *to = arena_alloc(arena, (p->nvariables + 1) * sizeof(*to));
	struct naming naming = { .map_from = from, .map_to = to };
	struct err err = { 0 };
	char said[sizeof(err.text) + 32];

	for (uint32_t i = 0; i < p->nvariables; i++) {
		char expr[256];
		struct slice means;

		variable_expr(expr, sizeof(expr), &p->variable[i]);
		means = cfg_meaning(l->cfg, p, slice_str(expr));
		if (means.len) {
			from[naming.nmap] = arena_copy(arena, slice_str(expr));
			to[naming.nmap++] = means;
		}
	}
	memset(&set, 0, sizeof(set));
	set.arena = arena;
	if (memchr(text.p, '%', text.len) && formats_add(&set, text, &naming, &err))
		return true;
	snprintf(said, sizeof(said), "%s%.0u", err.text[0] ? err.text : "it has no field", err.column);
	if (err.column)
		snprintf(said, sizeof(said), "column %u: %s", err.column, err.text);
	find_one(l, ADVICE_not_understood, p->log_format.by, arena_copy(arena, slice_str(said)));
	return false;
}

static void look_at_http(struct look *l)
{
	bool line = look_has(l, SLOT_r);

	if (look_has(l, SLOT_Tq) && look_has(l, SLOT_Tt) && !look_has(l, SLOT_TR) && !look_has(l, SLOT_Ta)) {
		find(l, ADVICE_old_timers, l->p->log_format.by);
	} else {
		lacks(l, ADVICE_no_timers, SLICE("%TR"), look_has(l, SLOT_TR));
		lacks(l, ADVICE_no_timers, SLICE("%Ta"), look_has(l, SLOT_Ta) || look_has(l, SLOT_Tt));
	}
	lacks(l, ADVICE_no_timers, SLICE("%Tw"), look_has(l, SLOT_Tw));
	lacks(l, ADVICE_no_timers, SLICE("%Tc"), look_has(l, SLOT_Tc));
	lacks(l, ADVICE_no_timers, SLICE("%Tr"), look_has(l, SLOT_Tr));
	lacks(l, ADVICE_no_request, SLICE("%HM"), line || look_has(l, SLOT_HM));
	lacks(l, ADVICE_no_request, SLICE("%HU"), line || look_has(l, SLOT_HU) || look_has(l, SLOT_HP) ||
						  look_has(l, SLOT_HPO));
	lacks(l, ADVICE_no_request, SLICE("%ST"), look_has(l, SLOT_ST));
}

static void look_at_tcp(struct look *l)
{
	lacks(l, ADVICE_no_timers, SLICE("%Tw"), look_has(l, SLOT_Tw));
	lacks(l, ADVICE_no_timers, SLICE("%Tc"), look_has(l, SLOT_Tc));
	lacks(l, ADVICE_no_timers, SLICE("%Tt"), look_has(l, SLOT_Tt));
}

/* What a line should hold in either mode. */
static void look_at_fields(struct look *l)
{
	const struct cfg_proxy *p = l->p;

	lacks(l, ADVICE_no_state, SLICE("%tsc"), look_has(l, SLOT_ts) || look_has(l, SLOT_tsc));
	lacks(l, ADVICE_no_proxy, SLICE("%ft"), look_has(l, SLOT_f) || look_has(l, SLOT_ft));
	lacks(l, ADVICE_no_proxy, SLICE("%b"), look_has(l, SLOT_b));
	lacks(l, ADVICE_no_proxy, SLICE("%s"), look_has(l, SLOT_s));
	lacks(l, ADVICE_no_client, SLICE("%ci"), look_has(l, SLOT_ci));
	lacks(l, ADVICE_no_client, SLICE("%cp"), look_has(l, SLOT_cp));
	if (!look_has(l, SLOT_accept_us) && !look_has(l, SLOT_request_us))
		find(l, ADVICE_microseconds, p->log_format.by);
	if (!p->log_steps.by && !l->profile)
		find(l, ADVICE_steps, NULL);
}

static bool any_http_field(const struct look *l)
{
	static const uint8_t http[] = { SLOT_TR, SLOT_Ta, SLOT_Tr, SLOT_Tq, SLOT_ST, SLOT_r, SLOT_HM, SLOT_HU, SLOT_HP,
					SLOT_HPO, SLOT_tr, SLOT_trg, SLOT_trl };

	for (size_t i = 0; i < sizeof(http); i++)
		if (look_has(l, http[i]))
			return true;
	return false;
}

/* One line a request. */
static void look_at_format(struct look *l)
{
	const struct cfg_proxy *p = l->p;

	fields_read(&l->fields, l->cfg, p, p->log_format.text);
	if (p->log_kind == CFG_LOG_NONE || !p->log_format.by) {
		find(l, ADVICE_no_format, NULL);
	} else if (p->http && !any_http_field(l)) {
		find(l, ADVICE_tcp_format, p->log_format.by);
	} else if (compiles(l, p->log_format.text)) {
		l->understood = true;
		if (p->log_kind == CFG_LOG_HTTP_CLF || p->log_kind == CFG_LOG_TCP_CLF)
			find(l, ADVICE_clf, p->log_format.by);
		(p->http ? look_at_http : look_at_tcp)(l);
		look_at_fields(l);
	}
}

/* ---- steps ------------------------------------------------------------------------------------------------- */

static void look_at_step(struct look *l, const struct cfg_step *s)
{
	const struct cfg_setting *format = s->format.by ? &s->format : &l->p->log_format;
	struct fields f = { { 0 }, 0 };
	const uint64_t *have_slot = f.slot;

#define HAS(slot) (have_slot[(slot) >> 6] >> ((slot) & 63) & 1)
	if (s->drop || !format->by)
		return;
	fields_read(&f, l->cfg, l->p, format->text);
	if (!HAS(SLOT_ID) || !(HAS(SLOT_f) || HAS(SLOT_ft)) || (l->p->http && !HAS(SLOT_traceparent)))
		find_one(l, ADVICE_thin_step, s->by, s->word);
#undef HAS
	l->fields.slot[0] |= f.slot[0];
	l->fields.slot[1] |= f.slot[1];
	l->fields.captures |= f.captures;
}

/* A tree is made of all steps together. */
static void look_at_profile(struct look *l)
{
	for (uint32_t i = 0; i < l->p->nlogs; i++) {
		const struct cfg_profile *profile = l->p->log[i].profile;

		for (uint32_t k = 0; profile && log_takes_traffic(&l->p->log[i]) && k < profile->nsteps; k++)
			look_at_step(l, &profile->step[k]);
	}
	l->understood = true;
	(l->p->http ? look_at_http : look_at_tcp)(l);
	look_at_fields(l);
}

/* ---- ids --------------------------------------------------------------------------------------------------- */

static bool mentions(struct slice text, const char *what)
{
	return text.len && memmem(text.p, text.len, what, strlen(what));
}

/* The expression that begins behind `%[` at the start of `text`; what is behind its `]` stays. */
static struct slice next_expression(struct slice *text)
{
	int depth = 0;
	struct slice s = *text;
	size_t i = 2;

	if (!slice_starts(s, SLICE("%[")))
		return slice_of("", 0);
	for (; i < s.len && (s.p[i] != ']' || depth > 0); i++)
		depth += s.p[i] == '(' ? 1 : s.p[i] == ')' ? -1 : 0;
	if (i == s.len)
		return slice_of("", 0);
	*text = slice_skip(s, i + 1);
	return slice_of(s.p + 2, i - 2);
}

/* `%[req.hdr(NAME)]` and no more: NAME. */
static struct slice only_header(struct slice format)
{
	static const struct slice fetch[] = { { "req.hdr(", 8 }, { "req.fhdr(", 9 }, { "hdr(", 4 }, { "fhdr(", 5 } };
	struct slice expr = next_expression(&format);

	for (size_t i = 0; i < sizeof(fetch) / sizeof(fetch[0]) && format.len == 0; i++)
		if (slice_starts(expr, fetch[i]) && slice_find(expr, ')') == expr.len - 1) {
			expr = slice_of(expr.p + fetch[i].len, expr.len - fetch[i].len - 1);
			return slice_trim(slice_cut(&expr, ','));
		}
	return slice_of("", 0);
}

/*
 * Does a tier in front hand it on (doc/ids.md)? By the name that HAProxy's manual has for it, or that a tier of the
 * same configuration gives it.
 */
static bool is_handed_on(const struct look *l, struct slice format)
{
	struct slice header = only_header(format);

	if (slice_ieq(header, SLICE("x-unique-id")))
		return true;
	for (const struct cfg_proxy *p = l->cfg->proxy; p && header.len; p = p->next)
		if (p != l->p && p->unique_id_header.by && slice_ieq(p->unique_id_header.text, header))
			return true;
	return false;
}

static void look_at_unique_id(struct look *l)
{
	const struct cfg_setting *uid = &l->p->unique_id_format;

	if (!uid->by) {
		if (l->p->http)			/* a TCP connection has address, port and date to itself */
			find(l, ADVICE_no_unique_id, NULL);
		return;
	}
	if (!cfg_id_unique(uid->text))
		find(l, !cfg_id_chosen(uid->text) ? ADVICE_weak_unique_id : is_handed_on(l, uid->text) ?
			ADVICE_shared_unique_id : ADVICE_client_unique_id, uid->by);
	if (!look_has(l, SLOT_ID))
		find(l, ADVICE_unlogged_unique_id, l->p->log_format.by);
}

static const struct cfg_variable *variable_of(const struct cfg_proxy *p, struct slice expr)
{
	static const struct slice var = { "var(", 4 };

	if (!slice_starts(expr, var) || expr.p[expr.len - 1] != ')')
		return NULL;
	for (uint32_t i = p->nvariables; i-- > 0;)
		if (slice_eq(p->variable[i].name, slice_of(expr.p + 4, expr.len - 5)))
			return &p->variable[i];
	return NULL;
}

/* Is it the rule of haspan: the first 8 bytes of SHA-256(unique-id|frontend)? */
static bool is_our_rule(const struct cfg_proxy *p, struct slice expr)
{
	static const struct slice head = { "unique-id,concat(|,", 19 }, tail = { "),digest(sha256),bytes(0,8),hex,lower", 37 };
	const struct cfg_variable *v = variable_of(p, expr), *fe;
	char name[128];

	if (!v || v->conditional || v->value.len <= head.len + tail.len || !slice_starts(v->value, head) ||
	    !slice_eq(slice_skip(v->value, v->value.len - tail.len), tail))
		return false;
	snprintf(name, sizeof(name), "var(%.*s)", (int)(v->value.len - head.len - tail.len), v->value.p + head.len);
	fe = variable_of(p, slice_str(name));
	return fe && slice_eq(fe->value, SLICE("fe_name"));
}

/*
 * Is it made of the caller's header? A variable that is made of variables that are …: that ends after `budget` steps,
 * which is more than anybody needs.
 */
static bool is_of_caller(const struct cfg_proxy *p, struct slice expr, unsigned depth, unsigned *budget)
{
	if (mentions(expr, "traceparent"))
		return true;
	for (uint32_t i = 0; depth < 4 && i < p->nvariables && *budget; i++) {
		char name[256];

		--*budget;
		variable_expr(name, sizeof(name), &p->variable[i]);
		if (mentions(expr, name) && !slice_eq(expr, p->variable[i].value) &&
		    is_of_caller(p, p->variable[i].value, depth + 1, budget))
			return true;
	}
	return false;
}

static const struct cfg_header *sent_header(const struct look *l)
{
	const struct cfg_header *h = cfg_header_find(l->p, SLICE("traceparent"));
	const struct cfg_proxy *back = l->p->default_backend.by ?
				       cfg_proxy_find(l->cfg, l->p->default_backend.text) : NULL;

	return h || !back ? h : cfg_header_find(back, SLICE("traceparent"));
}

/* Can the expression stand in a log-format as well? The request's headers are gone by then. */
static bool is_loggable(struct slice expr)
{
	return slice_starts(expr, SLICE("var(")) || slice_starts(expr, SLICE("unique-id"));
}

static void look_at_downstream(struct look *l)
{
	const struct cfg_header *h = sent_header(l);
	struct slice text;

	if (!h) {
		find(l, ADVICE_no_downstream, NULL);
		return;
	}
	text = h->value;
	if (slice_starts(text, SLICE("00-%["))) {
		text = slice_skip(text, 3);
		l->sent_trace = next_expression(&text);
		text = text.len ? slice_skip(text, 1) : text;
		l->sent_span = next_expression(&text);
		if (!slice_starts(text, SLICE("-")))		/* there are no flags: that is no traceparent */
			l->sent_trace = l->sent_span = slice_of("", 0);
	}
	l->downstream = (is_our_rule(l->p, l->sent_span) && look_has(l, SLOT_ID)) ||
			(l->sent_span.len && look_has(l, SLOT_span_id));
	if (l->downstream || is_our_rule(l->p, l->sent_span))
		return;
	if (l->sent_span.len && is_loggable(l->sent_span) && is_loggable(l->sent_trace))
		find(l, ADVICE_other_downstream, h->by);
	else
		find(l, ADVICE_foreign_downstream, h->by);
}

/* The caller's trace is known by other names: which. */
static void look_at_dialect(struct look *l)
{
	for (size_t i = 1; i < sizeof(parents) / sizeof(parents[0]); i++)
		for (uint32_t k = 0; k < l->p->ncaptures[CAPTURE_REQUEST]; k++)
			if (slice_ieq(l->p->capture[CAPTURE_REQUEST][k].name, parents[i]) && look_captures(l, parents[i]))
				find_one(l, ADVICE_other_dialect, l->p->capture[CAPTURE_REQUEST][k].by, parents[i]);
	find(l, ADVICE_other_dialect, l->p->log_format.by);
}

/* Is all of a traceparent captured? */
static void look_at_capture(struct look *l)
{
	for (uint32_t i = 0; i < l->p->ncaptures[CAPTURE_REQUEST] && look_captures(l, parents[0]); i++) {
		const struct cfg_capture *c = &l->p->capture[CAPTURE_REQUEST][i];

		if (slice_ieq(c->name, parents[0]) && c->len < TRACEPARENT_LEN)
			find(l, ADVICE_short_capture, c->by);
	}
}

static void look_at_trace(struct look *l)
{
	unsigned budget = 10000;
	bool parent = false, w3c = look_captures(l, parents[0]) || look_has(l, SLOT_traceparent);

	for (size_t i = 1; i < sizeof(parents) / sizeof(parents[0]); i++)
		parent |= look_captures(l, parents[i]);
	for (int s = SLOT_b3; s <= SLOT_xray; s++)
		parent |= look_has(l, (enum slot)s);
	/* Whose callers speak B3 or another dialect would get two traces from a recipe that only knows W3C's. */
	if (w3c || !parent || sent_header(l))
		look_at_downstream(l);
	else
		look_at_dialect(l);
	if (!look_has(l, SLOT_traceparent))
		look_at_capture(l);
	if (!w3c && !parent)
		find(l, l->sent_trace.len && !is_of_caller(l->p, l->sent_trace, 0, &budget) ? ADVICE_own_traces :
									      ADVICE_no_parent, NULL);
	lacks(l, ADVICE_no_captures, SLICE("Host"), look_captures(l, SLICE("host")) || look_has(l, SLOT_host));
	lacks(l, ADVICE_no_captures, SLICE("User-Agent"),
	      look_captures(l, SLICE("user-agent")) || look_has(l, SLOT_user_agent));
}

/* ---- options ----------------------------------------------------------------------------------------------- */

static void look_at_options(struct look *l)
{
	const struct cfg_proxy *p = l->p;

	if (p->logasap && !l->profile)
		find(l, ADVICE_logasap, p->logasap);
	if (p->log_steps.by && !l->profile && !look_has(l, SLOT_OG))
		find(l, ADVICE_nameless_step, p->log_steps.by);
	if (p->dontlog_normal)
		find(l, ADVICE_dontlog_normal, p->dontlog_normal);
	if (p->dontlognull)
		find(l, ADVICE_dontlognull, p->dontlognull);
	if (p->http && p->http_buffer_request)
		find(l, ADVICE_buffered_request, p->http_buffer_request);
}

void doctor_look(struct look *l, const struct cfg *cfg, const struct cfg_proxy *p)
{
	*l = (struct look){ .cfg = cfg, .p = p };
	look_at_logs(l);
	if (l->profile)
		look_at_profile(l);
	else
		look_at_format(l);
	look_at_unique_id(l);
	if (p->http)
		look_at_trace(l);
	look_at_options(l);
}
