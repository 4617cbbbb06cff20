/*
 * report/rules_read.c - rules files: a line, its name and severity, the rule, its clauses. Tests and names are the
 * expressions' own business.
 */
#include "report/rules_private.h"

#include "core/cut.h"
#include "core/limits.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *const compare_names[COMPARE_MAX] = { "<", "<=", ">", ">=", "==", "!=" };

struct line {
	struct ruleset *set;
	struct slice text;		/* without its comment */
	const char *path;
	unsigned number;
	struct err *err;
};

static bool wrong(struct line *l, size_t at, const char *what)
{
	l->err->line = l->number;
	err_at(l->err, EXIT_CONFIG, l->text.p, l->text.len, at, "%s", what);
	return err_where(l->err, "%s", l->path);
}

/* What the expressions said about a piece of the line that begins at `at`, as of the whole line. */
static bool wrong_within(struct line *l, size_t at)
{
	char text[sizeof(l->err->text)];

	memcpy(text, l->err->text, sizeof(text));
	at += l->err->column ? l->err->column - 1 : 0;
	*l->err = (struct err){ 0 };
	return wrong(l, at < l->text.len ? at : l->text.len, text);
}

/* ---- words --------------------------------------------------------------------------------------------- */

static bool is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Behind what stands at `at`: a string with its quotes, a word, or one byte. */
static size_t past(struct slice s, size_t at)
{
	char quote = s.p[at];

	if (quote == '"' || quote == '\'' || quote == '`') {
		for (at++; at < s.len && s.p[at] != quote; at++)
			if (quote != '`' && s.p[at] == '\\' && at + 1 < s.len && (s.p[at + 1] == quote || s.p[at + 1] == '\\'))
				at++;
		return at < s.len ? at + 1 : s.len;
	}
	if (!is_word_byte(quote))
		return at + 1;
	while (at < s.len && is_word_byte(s.p[at]))
		at++;
	return at;
}

static size_t skip_blanks(struct slice s, size_t at)
{
	while (at < s.len && is_blank(s.p[at]))
		at++;
	return at;
}

/* If the word `w` is the next one, go behind it. */
static bool take(struct slice s, size_t *at, const char *w)
{
	size_t from = skip_blanks(s, *at), to = from < s.len ? past(s, from) : from;

	if (!slice_eq(slice_of(s.p + from, to - from), slice_str(w)))
		return false;
	*at = to;
	return true;
}

/* All words of `words`, which have one blank between them. */
static bool take_all(struct slice s, size_t *at, const char *words)
{
	size_t here = *at;

	while (*words) {
		char word[16] = "";
		size_t n = strcspn(words, " ");

		memcpy(word, words, n);
		if (!take(s, &here, word))
			return false;
		words += n + (words[n] == ' ');
	}
	*at = here;
	return true;
}

/* From `at` on, the first clause that stands neither in a string nor in parentheses; the end when there is none. */
static size_t find_clause(struct slice s, size_t at)
{
	static const char *const words[] = { "where", "by", "may" };
	int depth = 0;

	while (at < s.len) {
		for (size_t k = 0; depth == 0 && k < sizeof(words) / sizeof(words[0]); k++) {
			size_t end = at;

			if (is_word_byte(s.p[at]) && take(s, &end, words[k]))
				return at;
		}
		depth += s.p[at] == '(' ? 1 : s.p[at] == ')' ? -1 : 0;
		at = past(s, at);
	}
	return s.len;
}

/* The end of [from, to) without blanks. */
static size_t trim_end(struct slice s, size_t from, size_t to)
{
	while (to > from && is_blank(s.p[to - 1]))
		to--;
	return to;
}

/* ---- names and severities ------------------------------------------------------------------------------ */

static bool read_severity(struct line *l, size_t from, size_t to, enum severity *out)
{
	struct slice word = slice_trim(slice_of(l->text.p + from, to - from));

	for (int s = 0; s < SEVERITY_MAX; s++)
		if (slice_eq(word, slice_str(severity_name((enum severity)s)))) {
			*out = (enum severity)s;
			return true;
		}
	return wrong(l, from, "expected a severity: error, warning or note");
}

/* What stands before the first ':' is a name: a rule itself has one only in a string. */
static bool read_head(struct line *l, struct check_rule *r, size_t *at)
{
	size_t from = *at, colon = from, end;

	r->severity = SEVERITY_ERROR;
	while (colon < l->text.len && l->text.p[colon] != ':')
		colon = past(l->text, colon);
	if (colon == l->text.len)
		return true;
	end = trim_end(l->text, from, colon);
	if (end > from && l->text.p[end - 1] == ']') {
		size_t open = end - 1;

		while (open > from && l->text.p[open] != '[')
			open--;
		if (!read_severity(l, open + (l->text.p[open] == '['), end - 1, &r->severity))
			return false;
		end = trim_end(l->text, from, open);
		if (end > from && l->text.p[end - 1] == ']')
			return wrong(l, end - 1, "a rule has one severity, behind its name");
	}
	if (end - from > CHECK_NAME_MAX)
		return wrong(l, from + CHECK_NAME_MAX, "this name is too long");
	r->name = slice_of(l->text.p + from, end - from);
	*at = skip_blanks(l->text, colon + 1);
	return true;
}

/* ---- measures ------------------------------------------------------------------------------------------ */

static const struct { const char *name; enum measure measure; uint32_t ppm; } measures[] = {
	{ "min", MEASURE_MIN, 0 },	   { "max", MEASURE_MAX, 0 }, { "mean", MEASURE_MEAN, 0 },
	{ "avg", MEASURE_MEAN, 0 },	   { "sum", MEASURE_SUM, 0 }, { "median", MEASURE_QUANTILE, 500000 },
};

#define RUN_COUNTER(name) { #name, offsetof(struct run_counts, name), UNIT_LINES }
static const struct { const char *name; size_t at; enum unit unit; } counters[] = {
	RUN_COUNTER(lines), RUN_COUNTER(merged), RUN_COUNTER(other), RUN_COUNTER(rejected), RUN_COUNTER(lost),
	{ "requests", offsetof(struct run_counts, requests), UNIT_REQUESTS },
	{ "truncated", offsetof(struct run_counts, truncated), UNIT_REQUESTS },
	{ "invalid_contexts", offsetof(struct run_counts, invalid_contexts), UNIT_NUMBER },
	{ "spans", offsetof(struct run_counts, spans), UNIT_SPANS },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* p99, p99.9, p99.99 */
static bool quantile(struct slice name, uint32_t *ppm)
{
	struct slice fraction = slice_skip(name, 1), whole = slice_cut(&fraction, '.');
	uint64_t n, part = 0;

	if (*name.p != 'p' || !slice_uint(whole, &n) || n > 100 ||
	    (fraction.p && (fraction.len > 4 || !slice_uint(fraction, &part))))
		return false;
	for (size_t i = fraction.len; i < 4; i++)
		part *= 10;
	*ppm = (uint32_t)(n * 10000 + part);
	return *ppm <= 1000000;
}

static bool find_measure(struct slice name, struct check_rule *r)
{
	for (size_t i = 0; i < COUNT(measures); i++)
		if (slice_eq(slice_str(measures[i].name), name)) {
			r->measure = measures[i].measure;
			r->ppm = measures[i].ppm;
			return true;
		}
	r->measure = MEASURE_QUANTILE;
	return quantile(name, &r->ppm);
}

static struct expr *compile(struct line *l, size_t from, size_t to)
{
	struct ruleset *s = l->set;
	struct expr *e = expr_compile(slice_of(l->text.p + from, to - from), s->names, &s->nmemos, s->arena, l->err);

	if (!e)
		wrong_within(l, from);
	return e;
}

static struct expr_value *value(struct line *l, size_t from, size_t to)
{
	struct ruleset *s = l->set;
	struct expr_value *v = expr_value(slice_of(l->text.p + from, to - from), s->names, &s->nmemos, s->arena, l->err);

	if (!v)
		wrong_within(l, from);
	return v;
}

/* What stands in the parentheses of `name(…)`. */
static bool read_argument(struct line *l, struct check_rule *r, struct slice name, size_t from, size_t to)
{
	if (slice_eq(name, SLICE("count")) || slice_eq(name, SLICE("rate"))) {
		r->subject = *name.p == 'c' ? ABOUT_COUNT : ABOUT_RATE;
		r->unit = *name.p == 'c' ? UNIT_REQUESTS : UNIT_SHARE;
		return (r->test = compile(l, from, to)) != NULL;
	}
	if (!find_measure(name, r))
		return wrong(l, (size_t)(name.p - l->text.p),
			     "no such measure: expected min, max, mean, sum, median, p0 to p100 (p99.9), count or rate");
	r->subject = ABOUT_VALUE;
	r->value = value(l, from, to);
	if (!r->value)
		return false;
	if (!expr_may_be_number(r->value))
		return wrong(l, from, "this is a text: expected a time or a number, as Tr, duration, bytes");
	r->unit = expr_kind(r->value) == EXPR_TIME ? UNIT_TIME : UNIT_NUMBER;
	return true;
}

/* ---- limits -------------------------------------------------------------------------------------------- */

static bool read_compare(struct line *l, struct check_rule *r, size_t *at)
{
	static const struct { const char *text; enum compare op; } ops[] = {
		{ "<=", COMPARE_LE }, { ">=", COMPARE_GE }, { "==", COMPARE_EQ }, { "!=", COMPARE_NE },
		{ "<", COMPARE_LT },  { ">", COMPARE_GT },  { "=", COMPARE_EQ },
	};
	struct slice rest;

	*at = skip_blanks(l->text, *at);
	rest = slice_skip(l->text, *at);
	for (size_t i = 0; i < COUNT(ops); i++)
		if (slice_starts(rest, slice_str(ops[i].text))) {
			r->op = ops[i].op;
			*at += strlen(ops[i].text);
			return true;
		}
	return wrong(l, *at, "expected <, <=, >, >=, == or != and a limit");
}

/* What one of `unit` is worth in what limits are kept in, as a fraction. */
static bool limit_unit(struct line *l, const struct check_rule *r, struct slice unit, int64_t *num, int64_t *den)
{
	static const struct { const char *name; int64_t us; } times[] = {
		{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", INT64_C(3600000000) }, { "", 1000 },
	};
	size_t at = (size_t)(unit.p - l->text.p);

	*num = *den = 1;
	if (r->unit == UNIT_SHARE) {
		*den = unit.len ? 100 : 1;
		return unit.len == 0 || slice_eq(unit, SLICE("%")) || wrong(l, at, "this is a share: expected %, as in 0.1%");
	}
	if (r->unit != UNIT_TIME)
		return unit.len == 0 || wrong(l, at, "this is no time: expected a number without a unit");
	for (size_t i = 0; i < COUNT(times); i++)
		if (slice_eq(unit, slice_str(times[i].name))) {
			*num = times[i].us;
			return true;
		}
	return wrong(l, at, "this is a time: expected us, ms, s, m or h, as in 200ms");
}

/* So many fit into `whole`. */
#define LIMIT_DIGITS 18
#define LIMIT_MOST ((__int128)UINT64_MAX * LIMIT_SCALE)

/* `< 5` is meant as 5 %, and would hold for ever; so would `< 1`. The number is [start, unit), its unit ends at `to`. */
static bool is_share(struct line *l, const struct check_rule *r, size_t start, size_t unit, size_t to)
{
	bool most = r->op == COMPARE_LT || r->op == COMPARE_LE, bare = unit == to;
	int len = (int)(trim_end(l->text, start, unit) - start);
	char text[160];

	if (r->limit < LIMIT_SCALE || (r->limit == LIMIT_SCALE && !(bare && most)))
		return true;
	if (bare)
		snprintf(text, sizeof(text), "a bare number is a fraction: did you mean %.*s%%? (1 is all of them, 100%%)",
			 len > 20 ? 20 : len, l->text.p + start);
	else
		snprintf(text, sizeof(text), "no share is above 100%%");
	return wrong(l, start, text);
}

static bool read_limit(struct line *l, struct check_rule *r, size_t *at, size_t to)
{
	const char *p = l->text.p;
	int64_t whole = 0, fraction = 0, scale = LIMIT_SCALE, num, den;
	size_t start = *at = skip_blanks(l->text, *at), digits = 0, unit;
	bool minus = *at < to && p[*at] == '-';

	for (*at += minus; *at < to && p[*at] >= '0' && p[*at] <= '9' && digits <= LIMIT_DIGITS; (*at)++, digits++)
		whole = whole * 10 + (p[*at] - '0');
	if (digits && *at < to && p[*at] == '.')
		for ((*at)++; *at < to && p[*at] >= '0' && p[*at] <= '9'; (*at)++)
			fraction += (p[*at] - '0') * (scale /= 10);
	if (digits > LIMIT_DIGITS)
		return wrong(l, start, "this number is too large: 999999999999999999 at most");
	if (digits == 0)
		return wrong(l, start, r->unit == UNIT_TIME ? "expected a time, as in 200ms" :
				       r->unit == UNIT_SHARE ? "expected a share, as in 0.1%" : "expected a number");
	unit = *at = skip_blanks(l->text, *at);
	while (*at < to && !is_blank(p[*at]))
		(*at)++;
	if (!limit_unit(l, r, slice_of(p + unit, *at - unit), &num, &den))
		return false;
	r->limit = ((__int128)whole * LIMIT_SCALE + fraction) * num / den;
	/* No value lies beyond: a limit times the number of requests must not overflow. */
	r->limit = r->limit > LIMIT_MOST ? LIMIT_MOST : r->limit;
	r->limit = minus ? -r->limit : r->limit;
	return r->unit != UNIT_SHARE || is_share(l, r, start, unit, *at);
}

bool compare_holds(enum compare op, __int128 a, __int128 b)
{
	switch (op) {
	case COMPARE_LT:
		return a < b;
	case COMPARE_LE:
		return a <= b;
	case COMPARE_GT:
		return a > b;
	case COMPARE_GE:
		return a >= b;
	case COMPARE_EQ:
		return a == b;
	default:
		return a != b;
	}
}

bool limit_holds(const struct check_rule *r, __int128 num, __int128 den)
{
	return compare_holds(r->op, num * LIMIT_SCALE, r->limit * den);
}

bool limit_is_upper(const struct check_rule *r)
{
	return r->op != COMPARE_GT && r->op != COMPARE_GE;
}

/* ---- the rule ------------------------------------------------------------------------------------------- */

/* Where the parenthesis at `at` is closed; `to` or beyond: it is not. */
static size_t find_close(struct slice s, size_t at, size_t to)
{
	int depth = 0;

	for (; at < to; at = past(s, at)) {
		depth += s.p[at] == '(' ? 1 : s.p[at] == ')' ? -1 : 0;
		if (depth == 0)
			break;
	}
	return at;
}

/* A number of the run, or of requests. false: it is none. */
static bool read_counter(struct slice name, struct check_rule *r)
{
	if (slice_eq(name, SLICE("count"))) {
		r->subject = ABOUT_COUNT;
		r->unit = UNIT_REQUESTS;
		return true;
	}
	for (size_t i = 0; i < COUNT(counters); i++)
		if (slice_eq(slice_str(counters[i].name), name)) {
			r->subject = ABOUT_RUN;
			r->counter = counters[i].at;
			r->unit = counters[i].unit;
			return true;
		}
	return false;
}

static bool err_of_what(struct line *l, size_t at, struct slice name)
{
	char text[80];

	snprintf(text, sizeof(text), "of what? Expected %.*s(Tr), or another time or number", (int)name.len, name.p);
	return wrong(l, at, text);
}

/* `measure op limit`; `*is` is false when the text begins with none: it is a test then. */
static bool read_measure(struct line *l, struct check_rule *r, size_t from, size_t to, bool *is)
{
	size_t end = past(l->text, from), at = skip_blanks(l->text, end), close;
	struct slice name = slice_of(l->text.p + from, end - from);
	bool call = at < to && l->text.p[at] == '(';

	*is = false;
	if (!is_word_byte(*name.p) || slice_eq(name, SLICE("not")))
		return true;
	if (call) {
		close = find_close(l->text, at, to);
		*is = true;
		if (close >= to)
			return wrong(l, to, "expected ')'");
		if (!read_argument(l, r, name, skip_blanks(l->text, at + 1), close))
			return false;
		at = close + 1;
	} else if (!read_counter(name, r)) {
		uint32_t ppm;

		if (quantile(name, &ppm) || slice_eq(name, SLICE("median")))
			return err_of_what(l, from, name);
		return true;
	}
	*is = true;
	r->measured = slice_of(l->text.p + from, (call ? at : end) - from);
	if (!read_compare(l, r, &at) || !read_limit(l, r, &at, to))
		return false;
	at = skip_blanks(l->text, at);
	return at >= to || wrong(l, at, "expected `where`, `by`, `may be empty` or the end");
}

/* `every …`, `no …`: sentences. */
static bool read_sentence(struct line *l, struct check_rule *r, size_t from, size_t to, bool *is)
{
	struct slice s = slice_of(l->text.p, to);
	size_t at = from;

	*is = true;
	if (take_all(s, &at, "no phase failed")) {
		struct ruleset *set = l->set;

		r->test = expr_compile(SLICE("not failed"), set->names, &set->nmemos, set->arena, l->err);
	} else if (take_all(s, &at, "every request has parent")) {
		r->subject = ABOUT_PARENTS;
	} else if (take_all(s, &at, "every span has parent")) {
		r->subject = ABOUT_SPANS;
		r->unit = UNIT_SPANS;
	} else if (take_all(s, &at, "every request has")) {
		at = skip_blanks(s, at);
		if (!value(l, at, to) || !(r->test = compile(l, at, to)))
			return false;
		at = to;
	} else if (take(s, &at, "every") || take(s, &at, "no")) {
		return wrong(l, skip_blanks(s, at), "expected `every request has NAME`, `every request has parent`, `every span has "
						   "parent` or `no phase failed`");
	} else {
		*is = false;
		return true;
	}
	at = skip_blanks(s, at);
	return at >= to || wrong(l, at, "expected `where`, `by`, `may be empty` or the end");
}

static bool read_rule(struct line *l, struct check_rule *r, size_t from, size_t to)
{
	bool is;

	if (from >= to)
		return wrong(l, from, "expected a rule, as in status < 500 or p99(Tr) < 200ms");
	r->unit = UNIT_REQUESTS;
	if (!read_sentence(l, r, from, to, &is) || is)
		return l->err->code == EXIT_DONE;
	if (!read_measure(l, r, from, to, &is) || is)
		return l->err->code == EXIT_DONE;
	return (r->test = compile(l, from, to)) != NULL;
}

/* ---- clauses -------------------------------------------------------------------------------------------- */

static bool read_by(struct line *l, struct check_rule *r, size_t from, size_t to)
{
	if (r->by)
		return wrong(l, from, "a second `by`: expected one");
	if (!(r->by = value(l, from, to)))
		return false;
	r->by_name = slice_of(l->text.p + from, to - from);
	if (l->set->names->no_routes && (slice_eq(r->by_name, SLICE("route")) || slice_eq(r->by_name, SLICE("http.route"))))
		log_warn("%s:%u: by route: no --route names any, so that no request has one", l->path, l->number);
	if (l->set->ngrouped++ == GROUPED_RULES_MAX)
		return wrong(l, from, "too many rules with `by`");
	return true;
}

/* A clause that begins at `*at`, which goes behind it. */
static bool read_clause(struct line *l, struct check_rule *r, size_t *at)
{
	size_t word = *at, from = past(l->text, word), to = find_clause(l->text, from), end = trim_end(l->text, from, to);
	bool may = take_all(l->text, at, "may be empty"), where = l->text.p[word] == 'w';

	if (may) {
		r->may_be_empty = true;
		*at = skip_blanks(l->text, *at);
		*at += *at < l->text.len && l->text.p[*at] == ',';
		*at = skip_blanks(l->text, *at);
		return *at == l->text.len || find_clause(l->text, *at) == *at ||
		       wrong(l, *at, "expected `where`, `by` or the end");
	}
	if (l->text.p[word] == 'm')
		return wrong(l, word, "expected `may be empty`");
	if (r->subject == ABOUT_RUN)
		return wrong(l, word, "this is a number of the whole run: expected `may be empty` or the end");
	/* `, may be empty` */
	if (end > from && l->text.p[end - 1] == ',' && to < l->text.len)
		end = trim_end(l->text, from, end - 1);
	from = skip_blanks(l->text, from);
	*at = to;
	if (from >= end)
		return wrong(l, from, where ? "expected a test, as in backend == \"api\"" : "expected a name, as in route");
	if (!where)
		return read_by(l, r, from, end);
	if (r->where)
		return wrong(l, word, "a second `where`: expected `and`");
	return (r->where = compile(l, from, end)) != NULL;
}

static struct check_rule *rule_new(struct ruleset *s)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? 2 * s->cap : 64;
		struct check_rule *more = realloc(s->rule, cap * sizeof(*more));

		if (!more)
			return NULL;
		s->rule = more;
		s->cap = cap;
	}
	s->rule[s->n] = (struct check_rule){ 0 };
	return &s->rule[s->n];
}

/* `l->text` is no empty line. */
static bool read_line(struct line *l, size_t at)
{
	struct check_rule *r = l->set->n < CHECK_RULES_MAX ? rule_new(l->set) : NULL;
	char cut[CHECK_NAME_MAX];
	size_t clause, end;

	if (!r)
		return wrong(l, at, l->set->n < CHECK_RULES_MAX ? "out of memory" : "too many rules");
	if (!read_head(l, r, &at))
		return false;
	clause = find_clause(l->text, at);
	end = trim_end(l->text, at, clause);
	if (end > at && l->text.p[end - 1] == ',' && clause < l->text.len)
		end = trim_end(l->text, at, end - 1);
	r->file = slice_str(l->path);
	r->line = l->number;
	r->column = (unsigned)at + 1;
	r->text = slice_of(l->text.p + at, trim_end(l->text, at, l->text.len) - at);
	if (!read_rule(l, r, at, end))
		return false;
	while (clause < l->text.len)
		if (!read_clause(l, r, &clause))
			return false;
	if (r->name.len == 0)
		r->name = slice_of(cut, cut_name(cut, sizeof(cut), r->text));
	r->name = arena_copy(l->set->arena, r->name);
	l->set->n++;
	return true;
}

/* ---- files ---------------------------------------------------------------------------------------------- */

struct ruleset *ruleset_new(const struct expr_names *names, struct arena *arena)
{
	struct ruleset *s = arena_alloc(arena, sizeof(*s));

	s->watcher.ops = &rules_ops;
	s->names = names;
	s->arena = arena;
	return s;
}

/* Without what stands behind a # that is in no string. */
static struct slice without_comment(struct slice s)
{
	for (size_t at = 0; at < s.len; at = past(s, at))
		if (s.p[at] == '#')
			s.len = at;
	return slice_of(s.p, trim_end(s, 0, s.len));
}

bool ruleset_add(struct ruleset *s, struct slice text, const char *path, struct err *err)
{
	struct line l = { .set = s, .path = path, .err = err };

	s->files++;
	s->file = path;
	if (slice_starts(text, SLICE("\xef\xbb\xbf")))
		text = slice_skip(text, 3);
	while (text.len) {
		size_t at;

		l.text = slice_cut(&text, '\n');
		l.number++;
		if (l.text.len && l.text.p[l.text.len - 1] == '\r')
			l.text.len--;
		if (l.text.len > CHECK_LINE_MAX)
			return wrong(&l, CHECK_LINE_MAX, "this line is too long for a rule");
		l.text = without_comment(l.text);
		at = skip_blanks(l.text, 0);
		if (at < l.text.len && !read_line(&l, at))
			return false;
	}
	return true;
}

bool ruleset_add_file(struct ruleset *s, const char *path, struct err *err)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct buf all = { .max = 4 * CHECK_FILE_MAX };
	size_t n;
	bool ok = f != NULL;

	if (!ok)
		err_set(err, EXIT_CONFIG, "cannot open the rules: %m");
	while (ok && (n = fread(buf_room(&all, 16384), 1, 16384, f)) > 0) {
		all.len += n;
		if (all.len > CHECK_FILE_MAX)
			ok = err_set(err, EXIT_CONFIG, "these are no rules: longer than %zu bytes", CHECK_FILE_MAX);
	}
	if (ok && ferror(f))
		ok = err_set(err, EXIT_CONFIG, "cannot read the rules: %m");
	if (f && f != stdin)
		fclose(f);
	if (ok)
		ok = ruleset_add(s, arena_copy(s->arena, slice_of(all.p ? all.p : "", all.len)), path, err);
	else
		err_where(err, "%s", path);
	buf_free(&all);
	return ok;
}

/* ---- all of them ---------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct check_rule *x = *(const struct check_rule *const *)a, *y = *(const struct check_rule *const *)b;
	size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
	int order = memcmp(x->name.p, y->name.p, n);

	if (order == 0 && x->name.len != y->name.len)
		order = x->name.len < y->name.len ? -1 : 1;
	return order ? order : x < y ? -1 : 1;
}

/* Reports, and the names of tests in CI, tell rules apart by their names. */
static bool names_differ(struct ruleset *s, struct err *err)
{
	const struct check_rule **sorted = malloc(s->n * sizeof(const struct check_rule *));

	if (!sorted)
		return err_set(err, EXIT_CONFIG, "out of memory");
	for (uint32_t i = 0; i < s->n; i++)
		sorted[i] = &s->rule[i];
	qsort(sorted, s->n, sizeof(sorted[0]), by_name);
	for (uint32_t i = 1; i < s->n && err->code == EXIT_DONE; i++)
		if (slice_eq(sorted[i]->name, sorted[i - 1]->name)) {
			err->line = sorted[i]->line;
			err_set(err, EXIT_CONFIG, "a rule of %.*s, line %u, is called so already: %.*s",
				(int)sorted[i - 1]->file.len, sorted[i - 1]->file.p, sorted[i - 1]->line,
				(int)sorted[i]->name.len, sorted[i]->name.p);
			err_where(err, "%.*s", (int)sorted[i]->file.len, sorted[i]->file.p);
		}
	free(sorted);
	return err->code == EXIT_DONE;
}

/* Is a rule about this counter of the run, whatever it says? */
static bool is_spoken_of(const struct ruleset *s, size_t counter)
{
	bool spoken = false;

	for (uint32_t i = 0; i < s->n; i++)
		spoken |= s->rule[i].subject == ABOUT_RUN && s->rule[i].counter == counter;
	return spoken;
}

/* haspan's own: `measured`, which is `counter`, up to `most`. */
static bool own_rule(struct ruleset *s, const char *name, const char *measured, size_t counter, uint64_t most)
{
	struct check_rule *r = rule_new(s);
	char text[40];
	int n;

	if (!r)
		return false;
	*r = (struct check_rule){ .name = slice_str(name), .severity = SEVERITY_ERROR, .may_be_empty = true,
				  .subject = ABOUT_RUN, .measured = slice_str(measured), .op = COMPARE_LE, .unit = UNIT_LINES,
				  .counter = counter, .limit = (__int128)most * LIMIT_SCALE };
	n = snprintf(text, sizeof(text), "%s <= %" PRIu64, measured, most);
	r->text = arena_copy(s->arena, slice_of(text, (size_t)n));
	s->n++;
	return true;
}

/* How many of the worst requests are kept of each rule: those before others have one where there is not enough for all. */
static void share_worst(struct ruleset *s)
{
	uint32_t plain = s->n - s->ngrouped, each = plain ? WORST_ALL / plain : 0, left = WORST_ALL;

	each = each > WORST_MAX ? WORST_MAX : each ? each : 1;
	for (uint32_t i = 0; i < s->n; i++) {
		struct check_rule *r = &s->rule[i];

		if (r->by)
			r->nworst = 1;
		else if (r->subject != ABOUT_RUN && left >= each) {
			r->nworst = each;
			left -= each;
		}
	}
}

void ruleset_lossy(struct ruleset *s)
{
	s->lossy = true;
}

bool ruleset_close(struct ruleset *s, uint64_t rejected_ok, bool said, struct err *err)
{
	const size_t rejected = offsetof(struct run_counts, rejected), lost = offsetof(struct run_counts, lost);

	if (s->n == 0 && s->files)
		return err_set(err, EXIT_CONFIG, s->files > 1 ? "there is no rule in the rules files" : "there is no rule in it") ||
		       err_where(err, "%s", s->file);
	if (((said || !is_spoken_of(s, rejected)) && !own_rule(s, "rejected lines", "rejected", rejected, rejected_ok)) ||
	    (s->lossy && !is_spoken_of(s, lost) && !own_rule(s, "lost datagrams", "lost", lost, 0)))
		return err_set(err, EXIT_CONFIG, "out of memory");
	s->groups_each = s->ngrouped ? RULE_GROUPS_ALL / s->ngrouped : 0;
	if (s->groups_each < RULE_GROUPS_LEAST)
		s->groups_each = RULE_GROUPS_LEAST;
	share_worst(s);
	return names_differ(s, err);
}

struct watcher *ruleset_watcher(struct ruleset *s)
{
	return &s->watcher;
}
