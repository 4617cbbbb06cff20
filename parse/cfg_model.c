/*
 * parse/cfg_model.c - what the directives of a haproxy.cfg mean: proxies after inheritance, profiles, log lines.
 *
 * Which directive counts where is what HAProxy's cfgparse-listen.c, proxy.c and log.c do: a proxy begins as a copy of
 * its defaults, and every directive works on that copy.
 */
#include "parse/cfg_private.h"
#include "parse/program.h"

/* A list that grows; what was inherited is shared until something is added. */
struct list {
	void *p;
	uint32_t n, cap;
};

/* What directives work on: a proxy, or the defaults that proxies begin with. */
struct builder {
	struct cfg *cfg;
	struct cfg_proxy px;
	struct list logs, capture[CAPTURE_SIDES], variables, headers;
};

static void *list_add(struct arena *arena, struct list *l, size_t size)
{
	if (l->n >= l->cap) {
		uint32_t cap = l->n < 4 ? 8 : 2 * l->n;
		void *p = arena_alloc(arena, cap * size);

		if (l->n)
			memcpy(p, l->p, l->n * size);
		l->p = p;
		l->cap = cap;
	}
	return (char *)l->p + l->n++ * size;
}

/* ---- values ---------------------------------------------------------------------------------------------- */

/* The one word of the directive; more of them, or none, is what HAProxy refuses. */
static void set(struct builder *b, struct cfg_setting *to, const struct cfg_directive *d)
{
	if (d->no) {
		*to = (struct cfg_setting){ 0 };
	} else if (d->n != 2) {
		cfg_note(b->cfg, d->place, d->n < 2 ? "%s wants a value" :
			 "%s takes one word: blanks want quotes or backslashes", d->word[0].p);
	} else {
		*to = (struct cfg_setting){ d->word[1], d };
	}
}

static uint64_t number(struct slice text, uint64_t otherwise)
{
	uint64_t n;

	return slice_uint(text, &n) ? n : otherwise;
}

/* Words `from` up to `to`, joined by blanks. */
static struct slice join(struct arena *arena, const struct cfg_directive *d, uint32_t from, uint32_t to)
{
	size_t len = 0;
	char *p;

	if (to == from + 1)
		return d->word[from];
	for (uint32_t i = from; i < to; i++)
		len += d->word[i].len + 1;
	p = arena_alloc(arena, len + 1);
	len = 0;
	for (uint32_t i = from; i < to; i++) {
		if (i > from)
			p[len++] = ' ';
		memcpy(p + len, d->word[i].p, d->word[i].len);
		len += d->word[i].len;
	}
	return slice_of(p, len);
}

/* Where the condition of a rule begins, or d->n. */
static uint32_t condition_at(const struct cfg_directive *d, uint32_t from)
{
	uint32_t i = from;

	while (i < d->n && !cfg_is(d, i, "if") && !cfg_is(d, i, "unless"))
		i++;
	return i;
}

bool cfg_call(struct slice s, const char *function, struct slice *arg, struct slice *rest)
{
	size_t n = strlen(function);
	int depth = 0;

	if (!slice_starts(s, slice_of(function, n)) || s.len <= n || s.p[n] != '(')
		return false;
	for (size_t i = n; i < s.len; i++) {
		depth += s.p[i] == '(' ? 1 : s.p[i] == ')' ? -1 : 0;
		if (depth == 0) {
			*arg = slice_of(s.p + n + 1, i - n - 1);
			*rest = slice_skip(s, i + 1);
			return true;
		}
	}
	return false;
}

/* A header's name in lower case; empty when it is none. */
static struct slice header_name(struct arena *arena, struct slice s)
{
	char *p = arena_alloc(arena, s.len + 1);

	for (size_t i = 0; i < s.len; i++)
		p[i] = slice_lower(s.p[i]);
	return slice_of(p, header_is_token(s) ? s.len : 0);
}

/* ---- options --------------------------------------------------------------------------------------------- */

static void log_option(struct builder *b, const struct cfg_directive *d, enum cfg_log_kind plain,
		       enum cfg_log_kind clf)
{
	bool is_clf = cfg_is(d, 2, "clf");

	if (d->no) {
		cfg_note(b->cfg, d->place, "HAProxy knows no `no option %s`", d->word[1].p);
		return;
	}
	if (d->n > 2 && (!is_clf || clf == CFG_LOG_NONE))
		cfg_note(b->cfg, d->place, "option %s does not take %s", d->word[1].p, d->word[2].p);
	b->px.log_kind = is_clf && clf != CFG_LOG_NONE ? clf : plain;
	b->px.log_format = (struct cfg_setting){ { "", 0 }, d };
}

static void option(struct builder *b, const struct cfg_directive *d)
{
	const struct cfg_directive *flag = d->no || d->reset ? NULL : d;

	if (cfg_is(d, 1, "httplog"))
		log_option(b, d, CFG_LOG_HTTP, CFG_LOG_HTTP_CLF);
	else if (cfg_is(d, 1, "tcplog"))
		log_option(b, d, CFG_LOG_TCP, CFG_LOG_TCP_CLF);
	else if (cfg_is(d, 1, "httpslog"))
		log_option(b, d, CFG_LOG_HTTPS, CFG_LOG_NONE);
	else if (cfg_is(d, 1, "logasap"))
		b->px.logasap = flag;
	else if (cfg_is(d, 1, "dontlognull"))
		b->px.dontlognull = flag;
	else if (cfg_is(d, 1, "dontlog-normal"))
		b->px.dontlog_normal = flag;
	else if (cfg_is(d, 1, "http-buffer-request"))
		b->px.http_buffer_request = flag;
}

static void log_format(struct builder *b, const struct cfg_directive *d)
{
	const struct cfg_directive *was = b->px.log_format.by;

	set(b, &b->px.log_format, d);
	if (b->px.log_format.by != was)
		b->px.log_kind = b->px.log_format.by ? CFG_LOG_CUSTOM : CFG_LOG_NONE;
}

static void log_format_sd(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.log_format_sd, d);
}

static void error_log_format(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.error_log_format, d);
}

static void unique_id_format(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.unique_id_format, d);
}

static void unique_id_header(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.unique_id_header, d);
}

static void log_tag(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.log_tag, d);
}

static void default_backend(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.default_backend, d);
}

static void log_steps(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.log_steps, d);
}

static void mode(struct builder *b, const struct cfg_directive *d)
{
	set(b, &b->px.mode, d);
	b->px.http = slice_eq(b->px.mode.text, SLICE("http"));
}

static void bind(struct builder *b, const struct cfg_directive *d)
{
	bool ssl = slice_starts(cfg_word(d, 1), SLICE("quic"));

	for (uint32_t i = 2; i < d->n; i++)
		ssl |= cfg_is(d, i, "ssl");
	b->px.bound = true;
	b->px.ssl |= ssl;
	b->px.plain |= !ssl;
}

/* ---- log lines --------------------------------------------------------------------------------------------- */

static bool logs_to(const struct list *l, const struct cfg_directive *by)
{
	const struct cfg_log *v = l->p;

	for (uint32_t i = 0; i < l->n; i++)
		if (v[i].by == by)
			return true;
	return false;
}

/* `log ADDRESS [len N] [format F] [sample R] [profile P] FACILITY [LEVEL [MIN]]`, in this order and no other. */
static bool log_line(struct cfg *cfg, struct cfg_log *log, const struct cfg_directive *d)
{
	uint32_t i = 2;

	*log = (struct cfg_log){ .address = cfg_word(d, 1), .len = 1024, .by = d, .format = SLICE("") };
	if (cfg_is(d, i, "len")) {
		log->len = number(cfg_word(d, i + 1), 0);
		if (log->len < 80 || log->len > 65535) {
			cfg_note(cfg, d->place, "the length of a log line is 80 to 65535");
			log->len = 1024;
		}
		i += 2;
	}
	if (cfg_is(d, i, "format")) {
		log->format = cfg_word(d, i + 1);
		i += 2;
	}
	i += cfg_is(d, i, "sample") ? 2 : 0;
	if (cfg_is(d, i, "profile")) {
		log->profile_name = cfg_word(d, i + 1);
		i += 2;
	}
	log->facility = cfg_word(d, i);
	if (log->facility.len == 0) {
		cfg_note(cfg, d->place, "a log line wants an address and a facility, or `global`");
		return false;
	}
	for (const struct cfg_profile *p = cfg->profile; p && log->profile_name.len; p = p->next)
		if (slice_eq(p->name, log->profile_name))
			log->profile = p;
	if (log->profile_name.len && !log->profile)
		cfg_note(cfg, d->place, "no log-profile has the name %s", log->profile_name.p);
	return true;
}

static void log_directive(struct builder *b, const struct cfg_directive *d)
{
	struct cfg_log log;

	if (d->no) {
		b->logs = (struct list){ 0 };
	} else if (d->n == 2 && cfg_is(d, 1, "global")) {
		for (uint32_t i = 0; i < b->cfg->nlogs; i++)
			if (!logs_to(&b->logs, b->cfg->log[i].by))
				*(struct cfg_log *)list_add(b->cfg->arena, &b->logs, sizeof(log)) = b->cfg->log[i];
	} else if (log_line(b->cfg, &log, d)) {
		*(struct cfg_log *)list_add(b->cfg->arena, &b->logs, sizeof(log)) = log;
	}
}

/* ---- captures ------------------------------------------------------------------------------------------------ */

static void add_slot(struct builder *b, int side, struct cfg_capture slot)
{
	if (b->capture[side].n == CAPTURES_MAX) {
		cfg_note(b->cfg, slot.by->place, "more than %d captures: this one has no name", CAPTURES_MAX);
		return;
	}
	*(struct cfg_capture *)list_add(b->cfg->arena, &b->capture[side], sizeof(slot)) = slot;
}

/* The header that `expr` is, in lower case: nothing but its value, whatever its spelling. */
static struct slice header_of(struct arena *arena, struct slice expr)
{
	static const char *const fetch[] = { "req.hdr", "req.fhdr", "hdr", "fhdr", "res.hdr", "res.fhdr" };
	struct slice arg, rest;

	for (size_t i = 0; i < sizeof(fetch) / sizeof(fetch[0]); i++)
		if (cfg_call(expr, fetch[i], &arg, &rest) &&
		    (rest.len == 0 || slice_eq(rest, SLICE(",lower")) || slice_eq(rest, SLICE(",upper"))))
			return header_name(arena, slice_trim(slice_cut(&arg, ',')));
	return slice_of("", 0);
}

static void capture(struct builder *b, const struct cfg_directive *d)
{
	bool request = cfg_is(d, 1, "request"), response = cfg_is(d, 1, "response");

	if (cfg_is(d, 1, "cookie") && d->n > 2)
		b->px.capture_cookie = (struct cfg_setting){ d->word[2], d };
	else if ((request || response) && cfg_is(d, 2, "header") && d->n > 3)
		add_slot(b, response, (struct cfg_capture){
			.name = header_name(b->cfg->arena, d->word[3]), .expr = SLICE(""),
			.len = number(cfg_word(d, 5), 0), .by = d,
		});
	else
		cfg_note(b->cfg, d->place, "expected capture cookie NAME, or capture request|response header NAME");
}

static void declare(struct builder *b, const struct cfg_directive *d)
{
	bool response = cfg_is(d, 2, "response");

	if (cfg_is(d, 1, "capture") && (response || cfg_is(d, 2, "request")))
		add_slot(b, response, (struct cfg_capture){ .name = SLICE(""), .expr = SLICE(""),
							    .len = number(cfg_word(d, 4), 0), .by = d });
}

/* `capture EXPR len N` makes a slot, `capture EXPR id N` fills one that was declared. */
static void capture_rule(struct builder *b, const struct cfg_directive *d, uint32_t at, int side)
{
	struct cfg_capture *slot = b->capture[side].p;
	uint32_t end = at;
	struct slice expr;
	uint64_t n;

	while (end < d->n && !cfg_is(d, end, "len") && !cfg_is(d, end, "id"))
		end++;
	if (end == at || end + 1 >= d->n || !slice_uint(d->word[end + 1], &n)) {
		cfg_note(b->cfg, d->place, "expected capture EXPRESSION len BYTES, or id NUMBER");
		return;
	}
	expr = join(b->cfg->arena, d, at, end);
	if (cfg_is(d, end, "len")) {
		add_slot(b, side, (struct cfg_capture){ header_of(b->cfg->arena, expr), expr, n, d });
		return;
	}
	if (n >= b->capture[side].n) {
		cfg_note(b->cfg, d->place, "no capture slot has the id %llu here", (unsigned long long)n);
	} else if (slot[n].expr.len && !slice_eq(slot[n].expr, expr)) {
		/* Two rules fill it, each under its own condition: nobody knows which did. */
		slot[n].name = SLICE("");
		cfg_note(b->cfg, d->place, "the capture slot %llu is filled in two ways: it stays without a name",
			 (unsigned long long)n);
	} else {
		slot[n].name = header_of(b->cfg->arena, expr);
		slot[n].expr = expr;
	}
}

/* ---- rules --------------------------------------------------------------------------------------------------- */

static void variable_rule(struct builder *b, const struct cfg_directive *d, uint32_t at, struct slice name,
			  bool format)
{
	uint32_t end = condition_at(d, at);
	struct slice scoped = slice_cut(&name, ',');

	if (end == at)
		return;
	*(struct cfg_variable *)list_add(b->cfg->arena, &b->variables, sizeof(struct cfg_variable)) =
		(struct cfg_variable){ slice_trim(scoped), join(b->cfg->arena, d, at, end), format,
				       end < d->n || name.p, d };
}

static void header_rule(struct builder *b, const struct cfg_directive *d, uint32_t at)
{
	if (at + 2 < d->n)
		*(struct cfg_header *)list_add(b->cfg->arena, &b->headers, sizeof(struct cfg_header)) =
			(struct cfg_header){ d->word[at + 1], d->word[at + 2], cfg_is(d, at, "add-header"),
					     condition_at(d, at + 3) < d->n, d };
}

static void rule(struct builder *b, const struct cfg_directive *d)
{
	bool tcp = slice_starts(d->word[0], SLICE("tcp-")), response = slice_eq(d->word[0], SLICE("http-response")) ||
		   slice_eq(d->word[0], SLICE("http-after-response")) || slice_eq(d->word[0], SLICE("tcp-response"));
	uint32_t at = tcp ? 2 : 1;
	struct slice action = cfg_word(d, at), arg, rest;

	if (slice_eq(action, SLICE("capture")))
		capture_rule(b, d, at + 1, response);
	else if (cfg_call(action, "set-var", &arg, &rest))
		variable_rule(b, d, at + 1, arg, false);
	else if (cfg_call(action, "set-var-fmt", &arg, &rest))
		variable_rule(b, d, at + 1, arg, true);
	else if (!tcp && !response && (slice_eq(action, SLICE("set-header")) || slice_eq(action, SLICE("add-header"))))
		header_rule(b, d, at);
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

/* What counts only in a section that clients connect to, and in defaults unless HAProxy refuses it there. */
enum where { ANYWHERE, FRONT, FRONT_ALONE };

static const struct {
	const char *keyword;
	void (*take)(struct builder *b, const struct cfg_directive *d);
	enum where where;
} keywords[] = {
	{ "mode", mode, ANYWHERE }, { "option", option, ANYWHERE }, { "log", log_directive, ANYWHERE },
	{ "log-tag", log_tag, ANYWHERE }, { "log-format", log_format, FRONT },
	{ "log-format-sd", log_format_sd, FRONT }, { "error-log-format", error_log_format, FRONT },
	{ "log-steps", log_steps, FRONT }, { "unique-id-format", unique_id_format, ANYWHERE },
	{ "unique-id-header", unique_id_header, ANYWHERE }, { "default_backend", default_backend, FRONT },
	{ "bind", bind, FRONT_ALONE }, { "capture", capture, FRONT_ALONE }, { "declare", declare, FRONT_ALONE },
	{ "http-request", rule, ANYWHERE }, { "http-response", rule, ANYWHERE },
	{ "http-after-response", rule, ANYWHERE }, { "tcp-request", rule, ANYWHERE },
	{ "tcp-response", rule, ANYWHERE },
};

bool cfg_wanted(struct slice keyword)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (slice_eq(keyword, slice_str(keywords[i].keyword)))
			return true;
	return slice_eq(keyword, SLICE("on")) || slice_eq(keyword, SLICE("setenv")) ||
	       slice_eq(keyword, SLICE("presetenv"));
}

static void apply(struct builder *b, const struct cfg_section *s)
{
	bool back = s->kind == CFG_BACKEND, defaults = s->kind == CFG_DEFAULTS;

	for (const struct cfg_directive *d = s->first; d; d = d->next)
		for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
			if (!slice_eq(d->word[0], slice_str(keywords[i].keyword)))
				continue;
			if ((back && keywords[i].where != ANYWHERE) || (defaults && keywords[i].where == FRONT_ALONE))
				cfg_note(b->cfg, d->place, "%s says nothing in a %s", d->word[0].p, s->keyword.p);
			else
				keywords[i].take(b, d);
			break;
		}
}

/* ---- sections ------------------------------------------------------------------------------------------------- */

/* The state of a defaults section, made once, for all that begin with it. */
struct inherited {
	const struct cfg_section *section;
	struct builder state;
	struct inherited *next;
};

static void inherit(struct builder *b, const struct inherited *list, const struct cfg_section *from)
{
	for (; from && list; list = list->next)
		if (list->section == from) {
			struct cfg *cfg = b->cfg;

			*b = list->state;
			b->cfg = cfg;
			/* Shared from here on: whoever adds makes a copy. Captures are not inherited. */
			b->logs.cap = b->variables.cap = b->headers.cap = 0;
			b->capture[0] = b->capture[1] = (struct list){ 0 };
			return;
		}
}

/* What an option stands for, and what of it HAProxy can't do in mode tcp (proxy_cfg_ensure_no_http). */
static void settle_format(struct builder *b)
{
	static const char *const builtin[] = {
		[CFG_LOG_HTTP] = "httplog", [CFG_LOG_HTTP_CLF] = "httplog-clf", [CFG_LOG_HTTPS] = "httpslog",
		[CFG_LOG_TCP] = "tcplog", [CFG_LOG_TCP_CLF] = "tcplog-clf",
	};
	struct cfg_proxy *p = &b->px;

	if (!p->http && (p->log_kind == CFG_LOG_HTTP || p->log_kind == CFG_LOG_HTTPS ||
			 p->log_kind == CFG_LOG_HTTP_CLF)) {
		if (p->front)
			cfg_note(b->cfg, p->log_format.by->place,
				 "%s wants mode http: %s %s writes option tcplog instead",
				 cfg_log_kind_name(p->log_kind), p->section->keyword.p, p->name.p);
		p->log_kind = p->log_kind == CFG_LOG_HTTP_CLF ? CFG_LOG_TCP_CLF : CFG_LOG_TCP;
	}
	if (p->log_kind != CFG_LOG_NONE && p->log_kind != CFG_LOG_CUSTOM)
		p->log_format.text = formats_builtin(slice_str(builtin[p->log_kind]));
}

static uint32_t name_bucket(struct slice name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)name.p[i]) * 16777619u;
	return h % CFG_BUCKETS;
}

const struct cfg_proxy *cfg_proxy_find(const struct cfg *cfg, struct slice name)
{
	const struct cfg_proxy *p = cfg->bucket[name_bucket(name)];

	while (p && !slice_eq(p->name, name))
		p = p->same_hash;
	return p;
}

static struct cfg_proxy *make_proxy(struct builder *b)
{
	struct cfg_proxy *p = arena_alloc(b->cfg->arena, sizeof(*p)), **bucket;

	settle_format(b);
	*p = b->px;
	p->log = b->logs.p;
	p->nlogs = b->logs.n;
	for (int side = 0; side < CAPTURE_SIDES; side++) {
		p->capture[side] = b->capture[side].p;
		p->ncaptures[side] = b->capture[side].n;
	}
	p->variable = b->variables.p;
	p->nvariables = b->variables.n;
	p->header = b->headers.p;
	p->nheaders = b->headers.n;
	bucket = &b->cfg->bucket[name_bucket(p->name)];
	p->same_hash = *bucket;
	*bucket = p;
	b->cfg->nproxies++;
	return p;
}

static enum step step_of(struct slice word)
{
	static const struct { const char *word; enum step step; } steps[] = {
		{ "accept", STEP_ACCEPT }, { "request", STEP_REQUEST }, { "connect", STEP_CONNECT },
		{ "response", STEP_RESPONSE }, { "close", STEP_CLOSE }, { "error", STEP_ERROR }, { "any", STEP_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (slice_eq(word, slice_str(steps[i].word)))
			return steps[i].step;
	return STEP_OTHER;
}

/* `on STEP [drop] [format F] [sd F]` */
static void add_step(struct cfg *cfg, struct list *steps, const struct cfg_directive *d)
{
	struct cfg_step step = { .step = step_of(cfg_word(d, 1)), .word = cfg_word(d, 1), .by = d };

	for (uint32_t i = 2; i < d->n; i++) {
		if (cfg_is(d, i, "drop"))
			step.drop = true;
		else if (cfg_is(d, i, "format") && i + 1 < d->n)
			step.format = (struct cfg_setting){ d->word[++i], d };
		else if (cfg_is(d, i, "sd") && i + 1 < d->n)
			step.sd = (struct cfg_setting){ d->word[++i], d };
		else
			cfg_note(cfg, d->place, "expected drop, format or sd, not %s", d->word[i].p);
	}
	if (d->n > 1)
		*(struct cfg_step *)list_add(cfg->arena, steps, sizeof(step)) = step;
}

static struct cfg_profile *make_profile(struct cfg *cfg, const struct cfg_section *s)
{
	struct cfg_profile *p = arena_alloc(cfg->arena, sizeof(*p));
	struct list steps = { 0 };

	*p = (struct cfg_profile){ .section = s, .name = s->name };
	for (const struct cfg_directive *d = s->first; d; d = d->next)
		if (cfg_is(d, 0, "on"))
			add_step(cfg, &steps, d);
		else if (cfg_is(d, 0, "log-tag") && d->n > 1)
			p->log_tag = (struct cfg_setting){ d->word[1], d };
	p->step = steps.p;
	p->nsteps = steps.n;
	return p;
}

static void read_global(struct builder *b, const struct cfg_section *s)
{
	for (const struct cfg_directive *d = s->first; d; d = d->next)
		if (cfg_is(d, 0, "log") && !(d->n == 2 && cfg_is(d, 1, "global")))
			log_directive(b, d);
		else if (cfg_is(d, 0, "log-tag"))
			log_tag(b, d);
	b->cfg->log = b->logs.p;
	b->cfg->nlogs = b->logs.n;
	b->cfg->log_tag = b->px.log_tag;
}

void cfg_model(struct cfg *cfg)
{
	struct builder global = { .cfg = cfg };
	const struct cfg_profile **profile_end = &cfg->profile;
	struct cfg_proxy **proxy_end = &cfg->proxy;
	struct inherited *inherited = NULL;

	/* HAProxy looks for profiles when it has read everything. */
	for (const struct cfg_section *s = cfg->section; s; s = s->next)
		if (s->kind == CFG_LOG_PROFILE) {
			struct cfg_profile *p = make_profile(cfg, s);

			*profile_end = p;
			profile_end = &p->next;
		}
	for (const struct cfg_section *s = cfg->section; s; s = s->next) {
		struct builder b = { .cfg = cfg };

		if (s->kind == CFG_GLOBAL)
			read_global(&global, s);
		if (s->kind != CFG_DEFAULTS && s->kind != CFG_FRONTEND && s->kind != CFG_LISTEN &&
		    s->kind != CFG_BACKEND)
			continue;
		inherit(&b, inherited, s->from);
		b.px.section = s;
		b.px.name = s->name;
		b.px.front = s->kind == CFG_FRONTEND || s->kind == CFG_LISTEN;
		b.px.back = s->kind == CFG_BACKEND || s->kind == CFG_LISTEN;
		apply(&b, s);
		if (s->kind == CFG_DEFAULTS) {
			struct inherited *i = arena_alloc(cfg->arena, sizeof(*i));

			*i = (struct inherited){ s, b, inherited };
			inherited = i;
		} else {
			*proxy_end = make_proxy(&b);
			proxy_end = &(*proxy_end)->next;
		}
	}
}

const char *cfg_log_kind_name(enum cfg_log_kind kind)
{
	static const char *const names[] = {
		[CFG_LOG_NONE] = "no log option", [CFG_LOG_HTTP] = "option httplog",
		[CFG_LOG_HTTP_CLF] = "option httplog clf", [CFG_LOG_HTTPS] = "option httpslog",
		[CFG_LOG_TCP] = "option tcplog", [CFG_LOG_TCP_CLF] = "option tcplog clf",
		[CFG_LOG_CUSTOM] = "log-format",
	};

	return names[kind];
}

uint64_t cfg_log_len(const struct cfg *cfg)
{
	uint64_t least = 0;

	for (const struct cfg_proxy *p = cfg->proxy; p; p = p->next)
		for (uint32_t i = 0; p->front && i < p->nlogs; i++)
			if (!least || p->log[i].len < least)
				least = p->log[i].len;
	return least;
}
