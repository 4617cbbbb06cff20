/*
 * parse/cfg_meaning.c - what an expression of a log-format means, where only haproxy.cfg tells: what a variable was
 * set from, and which ids HAProxy sends to the server.
 */
#include "parse/cfg_private.h"
#include "parse/program.h"

/* A variable that is set from a variable that is …: nobody goes further, and a loop has to end. */
#define DEPTH_MAX 4

static struct slice meaning(const struct cfg *cfg, const struct cfg_proxy *p, struct slice expr, unsigned depth);

/* ---- what is sent ------------------------------------------------------------------------------------------ */

bool cfg_next_expr(struct slice text, size_t *at, struct slice *expr)
{
	for (size_t i = *at; i + 1 < text.len; i++) {
		size_t open = i + 1, end;
		int depth = 0;

		if (text.p[i] != '%')
			continue;
		while (open < text.len && (text.p[open] == '{' || text.p[open] == '('))
			open += slice_find(slice_skip(text, open), text.p[open] == '{' ? '}' : ')') + 1;
		if (open >= text.len || text.p[open] != '[') {
			i += text.p[i + 1] == '%';
			continue;
		}
		for (end = ++open; end < text.len && (text.p[end] != ']' || depth > 0); end++)
			depth += text.p[end] == '(' ? 1 : text.p[end] == ')' ? -1 : 0;
		*expr = slice_of(text.p + open, end - open);
		*at = end;
		return end < text.len;
	}
	return false;
}

/* `00-%[trace]-%[span]-…`: which is which stands in the header that HAProxy sends. */
static bool ids_of(struct slice text, struct slice *trace, struct slice *span)
{
	size_t at = 0;

	if (!slice_starts(text, SLICE("00-%")) || !cfg_next_expr(text, &at, trace))
		return false;
	if (!slice_starts(slice_skip(text, at), SLICE("]-%")) || !cfg_next_expr(text, &at, span))
		return false;
	return slice_starts(slice_skip(text, at), SLICE("]-"));
}

/* A header may be made in a variable first: %[var(txn.out)] of set-var-fmt. */
static struct slice through_variable(const struct cfg_proxy *p, struct slice text)
{
	struct slice expr, name, rest;
	size_t at = 0;

	if (!cfg_next_expr(text, &at, &expr) || expr.len + 3 != text.len || !cfg_call(expr, "var", &name, &rest) ||
	    rest.len)
		return text;
	for (uint32_t i = p->nvariables; i-- > 0;)
		if (p->variable[i].format && slice_eq(p->variable[i].name, name))
			return p->variable[i].value;
	return text;
}

const struct cfg_header *cfg_header_find(const struct cfg_proxy *p, struct slice name)
{
	for (uint32_t i = p->nheaders; i-- > 0;)
		if (slice_ieq(p->header[i].name, name))
			return &p->header[i];
	return NULL;
}

/* The traceparent that requests of `p` leave with: its own, or the one of the backend they all go to. */
static bool sent_ids(const struct cfg *cfg, const struct cfg_proxy *p, struct slice *trace, struct slice *span)
{
	const struct cfg_proxy *back = p->default_backend.by ? cfg_proxy_find(cfg, p->default_backend.text) : NULL;
	const struct cfg_proxy *const from[] = { p, back };

	for (size_t i = 0; i < 2; i++) {
		const struct cfg_header *h = from[i] ? cfg_header_find(from[i], SLICE("traceparent")) : NULL;

		if (h && ids_of(through_variable(p, h->value), trace, span))
			return true;
	}
	return false;
}

/* ---- converters -------------------------------------------------------------------------------------------- */

/* Split `fetch(…),converter,…` at the first comma outside parentheses. */
static struct slice fetch_of(struct slice expr, struct slice *converters)
{
	int depth = 0;

	for (size_t i = 0; i < expr.len; i++) {
		depth += expr.p[i] == '(' ? 1 : expr.p[i] == ')' ? -1 : 0;
		if (expr.p[i] == ',' && depth == 0) {
			*converters = slice_skip(expr, i + 1);
			return slice_of(expr.p, i);
		}
	}
	*converters = slice_of("", 0);
	return expr;
}

/* Do these converters change the spelling only? */
static bool only_spelling(struct slice converters)
{
	while (converters.p && converters.len) {
		struct slice one = slice_cut(&converters, ',');

		/* A traceparent, without what a later version may say behind it (doc/ids.md). */
		if (slice_eq(one, SLICE("bytes(0")) && slice_eq(slice_cut(&converters, ','), SLICE("55)")))
			continue;

		if (!slice_eq(one, SLICE("lower")) && !slice_eq(one, SLICE("upper")) && !slice_starts(one, SLICE("json")))
			return false;
	}
	return true;
}

/* The second field of a traceparent is its trace id. */
static bool is_second_field(struct slice converters)
{
	struct slice arg, rest;

	if (!cfg_call(converters, "field", &arg, &rest) || (!slice_eq(arg, SLICE("2,-")) && !slice_eq(arg, SLICE("2, -"))))
		return false;
	return rest.len == 0 || (*rest.p == ',' && only_spelling(slice_skip(rest, 1)));
}

/* ---- expressions ------------------------------------------------------------------------------------------- */

static struct slice attribute_of(struct arena *arena, const char *prefix, struct slice header)
{
	size_t n = strlen(prefix);
	char *p = arena_alloc(arena, n + header.len + 1);

	memcpy(p, prefix, n);
	for (size_t i = 0; i < header.len; i++)
		p[n + i] = slice_lower(header.p[i]);
	return slice_of(p, n + header.len);
}

/* A fetch that keeps its meaning in a variable: a header, or the unique id. Not a time, which would be another one. */
static struct slice lasting(const struct cfg *cfg, struct slice fetch)
{
	static const struct { const char *name; const char *prefix; } headers[] = {
		{ "req.hdr", "http.request.header." }, { "req.fhdr", "http.request.header." },
		{ "hdr", "http.request.header." }, { "fhdr", "http.request.header." },
		{ "res.hdr", "http.response.header." }, { "res.fhdr", "http.response.header." },
	};
	struct slice arg, rest;

	if (slice_eq(fetch, SLICE("unique-id")))
		return SLICE("ID");
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (cfg_call(fetch, headers[i].name, &arg, &rest) && rest.len == 0) {
			struct slice header = slice_trim(slice_cut(&arg, ','));
			int slot = i < 4 ? slot_of_header(header) : -1;

			if (!header_is_token(header))
				return slice_of("", 0);
			return slot >= 0 ? slot_info[slot].name : attribute_of(cfg->arena, headers[i].prefix, header);
		}
	return slice_of("", 0);
}

/* What a variable holds: where its rules agree, that; where one of several takes the caller's trace id, a trace id. */
static struct slice variable_meaning(const struct cfg *cfg, const struct cfg_proxy *p, struct slice name, unsigned depth)
{
	struct slice found = slice_of("", 0);
	bool agree = true, any = false;

	for (uint32_t i = 0; i < p->nvariables; i++) {
		const struct cfg_variable *v = &p->variable[i];
		struct slice m, expr;
		size_t at = 0;

		if (!slice_eq(v->name, name))
			continue;
		expr = v->value;
		/* set-var-fmt of one expression and nothing else is that expression */
		if (v->format && (!cfg_next_expr(v->value, &at, &expr) || expr.len + 3 != v->value.len))
			expr = slice_of("", 0);
		m = meaning(cfg, p, expr, depth + 1);
		if (slice_eq(m, SLICE("trace_id")))
			return m;
		agree &= !any || slice_eq(m, found);
		any = true;
		found = m;
	}
	return agree ? found : slice_of("", 0);
}

static struct slice meaning(const struct cfg *cfg, const struct cfg_proxy *p, struct slice expr, unsigned depth)
{
	struct slice converters, fetch = fetch_of(expr, &converters), name, rest, m;

	if (expr.len == 0 || depth > DEPTH_MAX)
		return slice_of("", 0);
	if (cfg_call(fetch, "var", &name, &rest) && rest.len == 0)
		m = variable_meaning(cfg, p, slice_trim(slice_cut(&name, ',')), depth);
	else
		m = lasting(cfg, fetch);
	if (slice_eq(m, SLICE("traceparent")) && is_second_field(converters))
		return SLICE("trace_id");
	return only_spelling(converters) ? m : slice_of("", 0);
}

struct slice cfg_meaning(const struct cfg *cfg, const struct cfg_proxy *p, struct slice expr)
{
	struct slice trace, span, converters, fetch = fetch_of(expr, &converters), plain;

	plain = only_spelling(converters) ? fetch : expr;
	if (sent_ids(cfg, p, &trace, &span)) {
		if (slice_eq(expr, trace) || slice_eq(plain, trace))
			return SLICE("trace_id");
		if (slice_eq(expr, span) || slice_eq(plain, span))
			return SLICE("span_id");
	}
	/* A header by itself is known without haproxy.cfg. */
	return cfg_call(fetch, "var", &plain, &converters) || is_second_field(converters) ?
	       meaning(cfg, p, expr, 0) : slice_of("", 0);
}

/* ---- unique ids ------------------------------------------------------------------------------------------ */

static bool mentions(struct slice text, const char *what)
{
	return text.len && memmem(text.p, text.len, what, strlen(what)) != NULL;
}

bool cfg_id_unique(struct slice format)
{
	return mentions(format, "uuid") || mentions(format, "%rt") || mentions(format, "[txn.id32") ||
	       mentions(format, "}rt") || mentions(format, "rand(") || mentions(format, "%lc");
}

bool cfg_ids_unique(const struct cfg_proxy *p)
{
	struct slice text = p->unique_id_format.text;

	bool found = false;

	if (!p->unique_id_format.by || cfg_id_unique(text))
		return true;
	for (uint32_t i = 0; i < p->nvariables; i++) {
		const struct cfg_variable *v = &p->variable[i];

		if (!memmem(text.p, text.len, v->name.p, v->name.len))
			continue;
		if (!cfg_id_unique(v->value))
			return false;
		found |= !v->conditional;
	}
	return found;
}

bool cfg_id_chosen(struct slice format)
{
	return !cfg_id_unique(format) && (mentions(format, "hdr(") || mentions(format, "cook(") || mentions(format, "url_param("));
}
