#include "reconstruct/expr.h"

#include "core/pattern.h"

#include <stdio.h>
#include <stdlib.h>

/* Where a value comes from. */
enum from { FROM_A_SLOT, FROM_STATE, FROM_DURATION, FROM_FAILED, FROM_ERROR, FROM_HEADER, FROM_NAMED };

struct expr_value {
	enum from from;
	enum expr_kind kind;
	enum slot slot;
	enum capture_side side;
	struct slice name;		/* of a header, or of a field without a known meaning */
	uint32_t memo;
};

enum op {
	OP_HAS, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_MATCH, OP_IN,
	OP_BEGINS, OP_ENDS, OP_HOLDS,		/* patterns that say no more than that */
};

/* One test, and where to go on: at another one, or at an end. */
struct test {
	struct expr_value value;
	enum op op;
	bool turned;			/* !~, not in */
	bool denied;			/* it stands below an odd number of `not` */
	bool numbers;			/* of `in`: `set` are numbers */
	uint16_t yes, no;
	int64_t number;			/* a time is in microseconds */
	struct slice text;
	const struct pattern *pattern;
	const struct constant *set;	/* `nset` of them */
	uint32_t nset;
};

struct constant {
	int64_t number;
	struct slice text;
};

struct expr {
	struct test *test;
	uint16_t ntests, first;
};

#define END_TRUE UINT16_MAX
#define END_FALSE ((uint16_t)(UINT16_MAX - 1))

/* ---- names ------------------------------------------------------------------------------------------- */

#define SLOT(name) FROM_A_SLOT, SLOT_##name
#define STATE FROM_STATE, SLOT_ts
#define DURATION FROM_DURATION, SLOT_Ta
#define FAILED FROM_FAILED, SLOT_ts
#define ERROR FROM_ERROR, SLOT_ts
static const struct term {
	struct slice name;
	enum from from;
	enum slot slot;
	enum expr_kind kind;
	const char *meaning;
} terms[] = {
#define TERM(name, from, kind, meaning) { { name, sizeof(name) - 1 }, from, EXPR_##kind, meaning },
#include "formats/terms.def"
#undef TERM
};
#undef SLOT
#undef STATE
#undef DURATION
#undef FAILED
#undef ERROR

static const struct { struct slice name; enum field_type type; } fields[] = {
#define FIELD(alias, type, since, meaning) [SLOT_##alias] = { { #alias, sizeof(#alias) - 1 }, TYPE_##type },
#define NAMED(name, type, meaning) [SLOT_##name] = { { #name, sizeof(#name) - 1 }, TYPE_##type },
#include "formats/fields.def"
#undef FIELD
#undef NAMED
};

/* What kinds of attributes are as values. */
enum { KIND_OF_TEXT = EXPR_TEXT, KIND_OF_INT = EXPR_NUMBER, KIND_OF_TIMER = EXPR_TIME, KIND_OF_BOOL = EXPR_BOOL };

static const struct { struct slice key; enum slot slot; enum expr_kind kind; } keys[] = {
#define S 1
#define C 2
#define L 4
#define ATTR(key, slot, type, spans) { { key, sizeof(key) - 1 }, SLOT_##slot, (enum expr_kind)KIND_OF_##type },
#include "formats/attrs.def"
#undef ATTR
#undef S
#undef C
#undef L
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool kind_of(enum field_type type, enum expr_kind *kind)
{
	switch (type) {
	case TYPE_INT:
	case TYPE_PORT:
	case TYPE_MSEC:
	case TYPE_SEC:
	case TYPE_US:
		*kind = EXPR_NUMBER;
		return true;
	case TYPE_MS:
		*kind = EXPR_TIME;
		return true;
	case TYPE_NAME:
	case TYPE_RAW:
	case TYPE_ESC:
	case TYPE_REQ:
	case TYPE_IP:
	case TYPE_STATE:
	case TYPE_FT:
		*kind = EXPR_TEXT;
		return true;
	default:
		return false;		/* dates, captures as a whole */
	}
}

static bool known_name(struct slice name, struct expr_value *v)
{
	for (size_t i = 0; i < COUNT(terms); i++)
		if (slice_eq(terms[i].name, name)) {
			*v = (struct expr_value){ .from = terms[i].from, .slot = terms[i].slot, .kind = terms[i].kind };
			return true;
		}
	for (size_t i = 0; i < COUNT(fields); i++)
		if (slice_eq(fields[i].name, name) && kind_of(fields[i].type, &v->kind)) {
			*v = (struct expr_value){ .from = FROM_A_SLOT, .slot = (enum slot)i, .kind = v->kind };
			return true;
		}
	for (size_t i = 0; i < COUNT(keys); i++)
		if (slice_eq(keys[i].key, name)) {
			*v = (struct expr_value){ .from = FROM_A_SLOT, .slot = keys[i].slot, .kind = keys[i].kind };
			return true;
		}
	return false;
}

static bool header_name(struct slice name, struct expr_value *v)
{
	static const struct slice prefix[CAPTURE_SIDES] = { { "http.request.header.", 20 }, { "http.response.header.", 21 } };

	for (int side = 0; side < CAPTURE_SIDES; side++)
		if (slice_starts(name, prefix[side]) && name.len > prefix[side].len) {
			*v = (struct expr_value){ .from = FROM_HEADER, .kind = EXPR_TEXT, .side = (enum capture_side)side,
						  .name = slice_skip(name, prefix[side].len) };
			return true;
		}
	return false;
}

/*
 * A field that some format names itself: --map, %(name)[…]. What members a line of JSON or key=value will have is not
 * known: in backquotes any name may be one of them, else a slip of the pen would be.
 */
static bool own_name(struct slice name, bool quoted, const struct expr_names *names, struct expr_value *v)
{
	bool found = false;

	for (uint32_t i = 0; i < names->nformats && !found; i++) {
		const struct format *f = names->format[i];

		found = quoted && f->pairs;
		for (uint32_t k = 0; k < f->nextra && !found; k++)
			found = slice_eq(f->extra[k].name, name) || slice_eq(f->extra[k].key, name);
	}
	*v = (struct expr_value){ .from = FROM_NAMED, .kind = EXPR_TEXT, .name = name };
	return found;
}

/* Edit distance, as far as `most`. */
static unsigned distance(struct slice a, struct slice b, unsigned most)
{
	unsigned row[64], diagonal, above;

	if (a.len >= 63 || b.len >= 63 || a.len > b.len + most || b.len > a.len + most)
		return most + 1;
	for (unsigned k = 0; k <= b.len; k++)
		row[k] = k;
	for (unsigned i = 0; i < a.len; i++) {
		diagonal = i;
		row[0] = i + 1;
		for (unsigned k = 0; k < b.len; k++) {
			unsigned same = slice_lower(a.p[i]) == slice_lower(b.p[k]) ? 0 : 1, best = diagonal + same;

			above = row[k + 1];
			best = best < above + 1 ? best : above + 1;
			row[k + 1] = best < row[k] + 1 ? best : row[k] + 1;
			diagonal = above;
		}
	}
	return row[b.len];
}

static void nearer(struct slice name, struct slice candidate, struct slice *nearest, unsigned *best)
{
	unsigned d = distance(name, candidate, *best);

	if (d < *best) {
		*best = d;
		*nearest = candidate;
	}
}

/* The known name that is most like it; empty: none is. */
static struct slice nearest_name(struct slice name, const struct expr_names *names)
{
	unsigned best = name.len < 4 ? 2 : 4;
	struct slice nearest = { "", 0 };

	for (size_t i = 0; i < COUNT(terms); i++)
		nearer(name, terms[i].name, &nearest, &best);
	for (size_t i = 0; i < COUNT(fields); i++)
		nearer(name, fields[i].name, &nearest, &best);
	for (size_t i = 0; i < COUNT(keys); i++)
		nearer(name, keys[i].key, &nearest, &best);
	for (uint32_t i = 0; i < names->nformats; i++)
		for (uint32_t k = 0; k < names->format[i]->nextra; k++)
			nearer(name, names->format[i]->extra[k].name, &nearest, &best);
	return nearest;
}

/* ---- reading the text -------------------------------------------------------------------------------- */

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_OP };

struct token {
	enum token_kind kind;
	size_t at;			/* byte of the text */
	struct slice text;		/* of a string: what it means */
	int64_t number;			/* thousandths of the unit that was given, or of one */
	char unit[4];			/* "", or us, ms, s, m, h */
};

struct node {
	enum node_kind { NODE_TEST, NODE_AND, NODE_OR, NODE_NOT } kind;
	struct node *left, *right;
	struct test test;
};

struct reader {
	struct slice text;
	size_t at;			/* behind `token` */
	struct token token;
	unsigned depth, ntests;
	const struct expr_names *names;
	uint32_t *nmemos;
	struct arena *arena;
	struct err *err;
};

static bool wrong(struct reader *x, size_t at, const char *what)
{
	return err_at(x->err, EXIT_USAGE, x->text.p, x->text.len, at, "%s", what);
}

static bool is_name_byte(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && ((c >= '0' && c <= '9') || c == '.' || c == '-'));
}

static char peek(const struct reader *x, size_t ahead)
{
	return x->at + ahead < x->text.len ? x->text.p[x->at + ahead] : '\0';
}

/* "…" or '…'; a backslash before a quote or a backslash takes its meaning away, before all else it stays. */
static bool read_text(struct reader *x, struct token *t)
{
	char quote = peek(x, 0), *to = arena_alloc(x->arena, x->text.len - x->at + 1);
	size_t n = 0;

	for (x->at++; x->at < x->text.len && peek(x, 0) != quote; x->at++) {
		char c = peek(x, 0);

		if (c == '\\' && (peek(x, 1) == quote || peek(x, 1) == '\\')) {
			/* A pattern's own backslashes are kept two by two: \\ means one of the text's, \d is \d. */
			c = peek(x, 1);
			x->at++;
		}
		to[n++] = c;
	}
	if (x->at == x->text.len)
		return wrong(x, t->at, "this string has no end: expected a closing quote");
	x->at++;
	t->kind = TOKEN_TEXT;
	t->text = slice_of(to, n);
	return true;
}

static bool read_number(struct reader *x, struct token *t)
{
	size_t start = x->at, digits = 0, n = 0;
	bool minus = peek(x, 0) == '-';
	int64_t value = 0, scale = 1000;

	x->at += minus;
	for (; peek(x, 0) >= '0' && peek(x, 0) <= '9' && digits < 15; x->at++, digits++)
		value = value * 10 + (peek(x, 0) - '0');
	value *= 1000;
	if (digits && peek(x, 0) == '.')
		for (x->at++; peek(x, 0) >= '0' && peek(x, 0) <= '9'; x->at++)
			value += (peek(x, 0) - '0') * (scale /= 10);
	while (((peek(x, 0) | 0x20) >= 'a' && (peek(x, 0) | 0x20) <= 'z') && n < sizeof(t->unit) - 1)
		t->unit[n++] = x->text.p[x->at++];
	t->unit[n] = '\0';
	if (digits == 0 || digits == 15 || is_name_byte(peek(x, 0), false))
		return wrong(x, start, "expected a number, with us, ms, s, m or h behind it when it is a time");
	t->kind = TOKEN_NUMBER;
	t->number = minus ? -value : value;
	return true;
}

static bool next(struct reader *x)
{
	static const struct slice ops[] = { { "==", 2 }, { "!=", 2 }, { "<=", 2 }, { ">=", 2 }, { "!~", 2 }, { "&&", 2 },
					    { "||", 2 }, { "=", 1 },  { "<", 1 },  { ">", 1 },	{ "~", 1 },  { "(", 1 },
					    { ")", 1 },	 { ",", 1 },  { "!", 1 } };
	struct token *t = &x->token;
	struct slice rest;

	while (x->at < x->text.len && strchr(" \t\r\n", x->text.p[x->at]))
		x->at++;
	*t = (struct token){ .kind = TOKEN_END, .at = x->at };
	if (x->at == x->text.len)
		return true;
	if (peek(x, 0) == '"' || peek(x, 0) == '\'')
		return read_text(x, t);
	if ((peek(x, 0) >= '0' && peek(x, 0) <= '9') || peek(x, 0) == '-')
		return read_number(x, t);
	rest = slice_skip(x->text, x->at);
	if (is_name_byte(peek(x, 0), true)) {
		while (is_name_byte(peek(x, 0), false))
			x->at++;
		t->kind = TOKEN_NAME;
		t->text = slice_of(rest.p, x->at - t->at);
		return true;
	}
	if (peek(x, 0) == '`') {
		size_t n = slice_find(slice_skip(rest, 1), '`');

		if (n + 1 >= rest.len)
			return wrong(x, t->at, "this name has no end: expected a closing `");
		t->kind = TOKEN_NAME;
		t->text = slice_of(rest.p + 1, n);
		x->at += n + 2;
		return true;
	}
	for (size_t i = 0; i < COUNT(ops); i++)
		if (slice_starts(rest, ops[i])) {
			t->kind = TOKEN_OP;
			t->text = ops[i];
			x->at += ops[i].len;
			return true;
		}
	return wrong(x, t->at, "expected a name, a number, a string in quotes or an operator");
}

static bool is_op(const struct reader *x, const char *op)
{
	return x->token.kind == TOKEN_OP && slice_eq(x->token.text, slice_str(op));
}

static bool is_word(const struct reader *x, const char *word, const char *op)
{
	return is_op(x, op) || (x->token.kind == TOKEN_NAME && x->text.p[x->token.at] != '`' &&
				slice_eq(x->token.text, slice_str(word)));
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static bool read_name(struct reader *x, struct expr_value *v)
{
	struct slice name = x->token.text, nearest;

	if (x->token.kind != TOKEN_NAME)
		return wrong(x, x->token.at, "expected a name, as in status, Ta or backend");
	if (!known_name(name, v) && !header_name(name, v) && !own_name(name, x->text.p[x->token.at] == '`', x->names, v)) {
		nearest = nearest_name(name, x->names);
		if (nearest.len)
			return err_at(x->err, EXIT_USAGE, x->text.p, x->text.len, x->token.at,
				      "no such name: did you mean %.*s?", (int)nearest.len, nearest.p);
		return wrong(x, x->token.at, "no such name: expected an alias of HAProxy's, a field, an attribute or a "
					     "word like status, path, backend (haspan(1), EXPRESSIONS)");
	}
	v->name = arena_copy(x->arena, v->name);
	v->memo = v->from == FROM_HEADER || v->from == FROM_NAMED ? (*x->nmemos)++ : 0;
	return next(x);
}

/* The number in `t` as the value `v` is compared: a time in microseconds, HAProxy's milliseconds without a unit. */
static bool scaled(struct reader *x, const struct expr_value *v, const struct token *t, int64_t *out)
{
	static const struct { const char *unit; int64_t us; } units[] = {
		{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 }, { "", 1000 },
	};

	if (v->kind != EXPR_TIME) {
		if (*t->unit)
			return wrong(x, t->at, "this is no time: expected a number without a unit");
		if (t->number % 1000)
			return wrong(x, t->at, "expected a whole number");
		*out = t->number / 1000;
		return true;
	}
	for (size_t i = 0; i < COUNT(units); i++)
		if (strcmp(units[i].unit, t->unit) == 0) {
			if (__builtin_mul_overflow(t->number, units[i].us, out))
				return wrong(x, t->at, "this time is too long");
			*out /= 1000;
			return true;
		}
	return wrong(x, t->at, "unknown unit: expected us, ms, s, m or h");
}

/* The token as a value for `v`. */
static bool read_constant(struct reader *x, const struct expr_value *v, struct constant *c, bool *number)
{
	struct token t = x->token;

	if (t.kind != TOKEN_NUMBER && t.kind != TOKEN_TEXT)
		return wrong(x, t.at, v->kind == EXPR_TEXT ? "expected a string in quotes" : "expected a number");
	*number = t.kind == TOKEN_NUMBER;
	if (v->kind == EXPR_TEXT && *number && v->from != FROM_NAMED && v->from != FROM_HEADER)
		return wrong(x, t.at, "this is a text: expected a string in quotes");
	if (v->kind != EXPR_TEXT && !*number)
		return wrong(x, t.at, v->kind == EXPR_TIME ? "this is a time: expected a number, as in 500ms" :
							     "this is a number: expected one without quotes");
	if (*number && !scaled(x, v, &t, &c->number))
		return false;
	c->text = t.text;
	return next(x);
}

static bool read_set(struct reader *x, struct test *test)
{
	struct constant set[EXPR_SET_MAX], *kept;
	bool number, more = true;

	if (!is_op(x, "("))
		return wrong(x, x->token.at, "expected '(' and a list of values");
	while (more) {
		if (test->nset == EXPR_SET_MAX)
			return wrong(x, x->token.at, "too many values in one list");
		if (!next(x) || !read_constant(x, &test->value, &set[test->nset], &number))
			return false;
		if (test->nset++ && number != test->numbers)
			return wrong(x, x->token.at, "expected values of one kind");
		test->numbers = number;
		more = is_op(x, ",");
	}
	if (!is_op(x, ")"))
		return wrong(x, x->token.at, "expected ',' or ')'");
	kept = arena_alloc(x->arena, test->nset * sizeof(*kept));
	memcpy(kept, set, test->nset * sizeof(*kept));
	test->set = kept;
	test->op = OP_IN;
	return next(x);
}

/* Most patterns are `^/api/` or a word: these need no machine. */
static bool plain_pattern(struct slice p, struct test *test)
{
	bool begins = p.len && p.p[0] == '^', ends = p.len && p.p[p.len - 1] == '$';

	p = slice_of(p.p + begins, p.len - begins - (ends && p.len > begins));
	for (size_t i = 0; i < p.len; i++)
		if (strchr("\\^$.[]|()?*+{}\n", p.p[i]) || p.p[i] == '\0')
			return false;
	test->text = p;
	test->op = begins ? ends ? OP_EQ : OP_BEGINS : ends ? OP_ENDS : OP_HOLDS;
	return true;
}

static bool read_pattern(struct reader *x, struct test *test)
{
	struct pattern_fault fault;

	if (test->value.kind != EXPR_TEXT)
		return wrong(x, x->token.at, "this is no text: a pattern can't fit it");
	if (!next(x))
		return false;
	if (x->token.kind != TOKEN_TEXT)
		return wrong(x, x->token.at, "expected a pattern in quotes, as in \"^/api/\"");
	/* `$` also fits before a newline at the end, which none of the texts has: HAProxy escapes it. */
	if (plain_pattern(x->token.text, test))
		return next(x);
	test->pattern = pattern_compile(x->token.text, 0, x->arena, &fault);
	if (!test->pattern)
		return err_at(x->err, EXIT_USAGE, x->text.p, x->text.len, x->token.at + 1 + fault.at, "%s", fault.text);
	test->op = OP_MATCH;
	return next(x);
}

/* The operator and what stands behind it. */
static bool read_comparison(struct reader *x, struct test *test)
{
	static const struct { const char *text; enum op op; } ops[] = {
		{ "==", OP_EQ }, { "=", OP_EQ }, { "!=", OP_NE }, { "<", OP_LT }, { "<=", OP_LE }, { ">", OP_GT },
		{ ">=", OP_GE },
	};
	struct constant c = { 0 };
	bool number;
	size_t i = 0;

	while (i < COUNT(ops) && !is_op(x, ops[i].text))
		i++;
	if (i == COUNT(ops)) {
		test->op = OP_HAS;
		return true;
	}
	if (test->value.kind == EXPR_BOOL)
		return wrong(x, x->token.at, "this is true or false: expected `and`, `or` or the end");
	if (!next(x))
		return false;
	test->op = ops[i].op;
	if (x->token.kind == TOKEN_TEXT && test->value.kind == EXPR_TEXT && test->op > OP_NE)
		return wrong(x, x->token.at, "texts have no order: expected ==, !=, ~, !~ or in");
	if (!read_constant(x, &test->value, &c, &number))
		return false;
	test->numbers = number;
	test->number = c.number;
	test->text = c.text;
	return true;
}

static bool read_test(struct reader *x, struct test *test)
{
	*test = (struct test){ 0 };
	if (!read_name(x, &test->value))
		return false;
	if (is_op(x, "~") || is_op(x, "!~")) {
		test->turned = is_op(x, "!~");
		return read_pattern(x, test);
	}
	if (is_word(x, "not", "\n")) {
		test->turned = true;
		if (!next(x))
			return false;
		if (!is_word(x, "in", "\n"))
			return wrong(x, x->token.at, "expected `in`");
	}
	if (is_word(x, "in", "\n"))
		return next(x) && read_set(x, test);
	return read_comparison(x, test);
}

/* ---- the grammar ------------------------------------------------------------------------------------- */

static struct node *read_or(struct reader *x);

static struct node *node_new(struct reader *x, enum node_kind kind, struct node *left, struct node *right)
{
	struct node *n = arena_alloc(x->arena, sizeof(*n));

	n->kind = kind;
	n->left = left;
	n->right = right;
	return n;
}

static struct node *read_not(struct reader *x)
{
	struct node *n = NULL;
	bool turn = is_word(x, "not", "!");

	if (++x->depth > EXPR_DEPTH_MAX) {
		wrong(x, x->token.at, "too many parentheses inside each other");
		return NULL;
	}
	if (turn) {
		n = next(x) ? read_not(x) : NULL;
		n = n ? node_new(x, NODE_NOT, n, NULL) : NULL;
	} else if (is_op(x, "(")) {
		n = next(x) ? read_or(x) : NULL;
		if (n && !is_op(x, ")")) {
			wrong(x, x->token.at, "expected `and`, `or` or ')'");
			return NULL;
		}
		n = n && next(x) ? n : NULL;
	} else if (++x->ntests > EXPR_TESTS_MAX) {
		wrong(x, x->token.at, "too many tests in one expression");
	} else {
		n = node_new(x, NODE_TEST, NULL, NULL);
		n = read_test(x, &n->test) ? n : NULL;
	}
	x->depth--;
	return n;
}

static struct node *read_and(struct reader *x)
{
	struct node *n = read_not(x), *right;

	while (n && is_word(x, "and", "&&")) {
		right = next(x) ? read_not(x) : NULL;
		n = right ? node_new(x, NODE_AND, n, right) : NULL;
	}
	return n;
}

static struct node *read_or(struct reader *x)
{
	struct node *n = read_and(x), *right;

	while (n && is_word(x, "or", "||")) {
		right = next(x) ? read_and(x) : NULL;
		n = right ? node_new(x, NODE_OR, n, right) : NULL;
	}
	return n;
}

/* ---- to a program ------------------------------------------------------------------------------------ */

/* From the last test to the first, so that where to go on is known. Returns where `n` begins. */
static uint16_t emit(struct expr *e, const struct node *n, uint16_t yes, uint16_t no, bool denied)
{
	/* A row of `and` or `or` leans to the left: no recursion along it. */
	for (; n->kind != NODE_TEST; n = n->left) {
		if (n->kind == NODE_NOT) {
			uint16_t was = yes;

			yes = no;
			no = was;
			denied = !denied;
		} else if (n->kind == NODE_AND) {
			yes = emit(e, n->right, yes, no, denied);
		} else {
			no = emit(e, n->right, yes, no, denied);
		}
	}
	e->test[e->ntests] = n->test;
	e->test[e->ntests].yes = yes;
	e->test[e->ntests].no = no;
	e->test[e->ntests].denied = denied;
	return e->ntests++;
}

struct expr *expr_compile(struct slice text, const struct expr_names *names, uint32_t *nmemos, struct arena *arena,
			  struct err *err)
{
	struct reader x = { .text = text, .names = names, .nmemos = nmemos, .arena = arena, .err = err };
	struct node *n = next(&x) ? read_or(&x) : NULL;
	struct expr *e;

	if (n && x.token.kind != TOKEN_END) {
		wrong(&x, x.token.at, "expected `and`, `or` or the end");
		return NULL;
	}
	if (!n)
		return NULL;
	e = arena_alloc(arena, sizeof(*e));
	e->test = arena_alloc(arena, x.ntests * sizeof(*e->test));
	e->first = emit(e, n, END_TRUE, END_FALSE, false);
	return e;
}

struct expr_value *expr_value(struct slice name, const struct expr_names *names, uint32_t *nmemos, struct arena *arena,
			      struct err *err)
{
	struct reader x = { .text = name, .names = names, .nmemos = nmemos, .arena = arena, .err = err };
	struct expr_value *v = arena_alloc(arena, sizeof(*v));

	if (!next(&x) || !read_name(&x, v))
		return NULL;
	if (x.token.kind != TOKEN_END) {
		wrong(&x, x.token.at, "expected the end of the name");
		return NULL;
	}
	return v;
}

enum expr_kind expr_kind(const struct expr_value *v)
{
	return v->kind;
}

bool expr_may_be_number(const struct expr_value *v)
{
	return v->kind != EXPR_TEXT || v->from == FROM_NAMED || v->from == FROM_HEADER;
}

/* ---- values of a request ----------------------------------------------------------------------------- */

static int find_header(const struct format *f, const struct expr_value *v)
{
	for (uint32_t k = 0; k < f->ncap[v->side]; k++)
		if (slice_ieq(f->cap[v->side][k].name, v->name))
			return (int)k;
	return -1;
}

static int find_extra(const struct format *f, const struct expr_value *v)
{
	for (uint32_t k = 0; k < f->nextra; k++)
		if (slice_eq(f->extra[k].name, v->name) || slice_eq(f->extra[k].key, v->name))
			return (int)k;
	return -1;
}

/* Where this request's format keeps it, or -1. */
static int where(const struct expr_value *v, const struct format *f, struct expr_memo *memo)
{
	struct expr_memo *m = &memo[v->memo];

	if (m->format != f) {
		m->format = f;
		m->at = (int16_t)(v->from == FROM_HEADER ? find_header(f, v) : find_extra(f, v));
	}
	return m->at;
}

/* The attribute of a member without a known meaning is named after it (doc/json.md). */
static bool is_member(struct slice key, struct slice name)
{
	static const struct slice prefix = { "haproxy.log.", 12 };

	return slice_starts(key, prefix) && slice_eq(slice_skip(key, prefix.len), name);
}

static bool named_text(const struct expr_value *v, const struct record *r, struct expr_memo *memo, struct slice *out)
{
	int at = where(v, r->format, memo);

	if (v->from == FROM_HEADER) {
		if (at < 0 || (uint32_t)at >= r->cap[v->side].n || r->cap[v->side].v[at].len == 0)
			return false;
		*out = r->cap[v->side].v[at];
		return true;
	}
	if (at >= 0 && r->have_extra >> at & 1) {
		*out = r->extra[at];
		return true;
	}
	for (uint32_t k = 0; (r->flags & RECORD_PAIRS) && k < r->npairs; k++)
		if (slice_eq(r->pair[k].key, v->name) || is_member(r->pair[k].key, v->name)) {
			*out = r->pair[k].value;
			return true;
		}
	return false;
}

static bool failed_phase(const struct trace *t, struct slice *out)
{
	static const struct slice names[ROLE_MAX] = {
		[ROLE_REQUEST] = { "request", 7 },   [ROLE_QUEUE] = { "queue", 5 }, [ROLE_CONNECT] = { "connect", 7 },
		[ROLE_RESPONSE] = { "response", 8 }, [ROLE_DATA] = { "data", 4 },
	};

	*out = names[t->failed];
	return out->len > 0;
}

bool expr_text(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo,
	       struct slice *out)
{
	switch (v->from) {
	case FROM_A_SLOT:
		*out = record_text(r, v->slot);
		return record_has(r, v->slot);
	case FROM_STATE:
		*out = record_text(r, record_has(r, SLOT_tsc) ? SLOT_tsc : SLOT_ts);
		return out->len > 0;
	case FROM_FAILED:
		return failed_phase(t, out);
	case FROM_ERROR:
		*out = t->n ? t->span[0].error_type : slice_of("", 0);
		return out->len > 0;
	case FROM_HEADER:
	case FROM_NAMED:
		return named_text(v, r, memo, out);
	default:
		return false;
	}
}

/* A number that a line wrote as text: whole, as all of HAProxy's are. */
static bool text_number(struct slice s, int64_t *out)
{
	bool minus = s.len && *s.p == '-';
	uint64_t n;

	if (!slice_uint(slice_skip(s, minus), &n) || n > INT64_MAX)
		return false;
	*out = minus ? -(int64_t)n : (int64_t)n;
	return true;
}

bool expr_number(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo,
		 int64_t *out)
{
	struct slice s;

	if (v->from == FROM_DURATION) {
		*out = t->n ? (int64_t)((t->span[0].end_ns - t->span[0].start_ns) / 1000) : 0;
		return t->n > 0;
	}
	if (v->from != FROM_A_SLOT)
		return expr_text(v, r, t, memo, &s) && text_number(s, out);
	if (!record_has(r, v->slot))
		return false;
	*out = r->v[v->slot].num;
	if (v->kind != EXPR_TIME)
		return true;
	/* -1 is no time: the phase was not reached. */
	if (*out < 0 || *out > INT64_MAX / 1000)
		return false;
	*out *= 1000;
	return true;
}

/* ---- truth ------------------------------------------------------------------------------------------- */

static bool compare(enum op op, int64_t a, int64_t b)
{
	switch (op) {
	case OP_EQ:
		return a == b;
	case OP_NE:
		return a != b;
	case OP_LT:
		return a < b;
	case OP_LE:
		return a <= b;
	case OP_GT:
		return a > b;
	default:
		return a >= b;
	}
}

static bool has(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	struct slice s;
	int64_t n;

	if (v->kind == EXPR_TEXT)
		return expr_text(v, r, t, memo, &s);
	return expr_number(v, r, t, memo, &n) && (v->kind != EXPR_BOOL || n != 0);
}

static bool in_numbers(const struct test *x, int64_t n)
{
	for (uint32_t i = 0; i < x->nset; i++)
		if (x->set[i].number == n)
			return true;
	return false;
}

static bool in_texts(const struct test *x, struct slice s)
{
	for (uint32_t i = 0; i < x->nset; i++)
		if (slice_eq(x->set[i].text, s))
			return true;
	return false;
}

/* What a test says of a request that does not have what it asks for. */
#define MISSING (-1)

/* 1, 0 or MISSING. */
static int test_answer(const struct test *x, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	struct slice s;
	int64_t n;

	if (x->op == OP_HAS)
		return has(&x->value, r, t, memo);
	if (x->numbers) {
		if (!expr_number(&x->value, r, t, memo, &n))
			return MISSING;
		return x->op == OP_IN ? in_numbers(x, n) != x->turned : compare(x->op, n, x->number);
	}
	if (!expr_text(&x->value, r, t, memo, &s))
		return MISSING;
	switch (x->op) {
	case OP_IN:
		return in_texts(x, s) != x->turned;
	case OP_MATCH:
		return pattern_match(x->pattern, s, NULL, NULL) != x->turned;
	case OP_BEGINS:
		return slice_starts(s, x->text) != x->turned;
	case OP_ENDS:
		return (s.len >= x->text.len && memcmp(s.p + s.len - x->text.len, x->text.p, x->text.len) == 0) != x->turned;
	case OP_HOLDS:
		return (memmem(s.p, s.len, x->text.p, x->text.len) != NULL) != x->turned;
	default:
		return (slice_eq(s, x->text) == (x->op == OP_EQ)) != x->turned;
	}
}

bool expr_true(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	uint16_t at = e->first;

	while (at < END_FALSE) {
		const struct test *x = &e->test[at];

		at = test_answer(x, r, t, memo) > 0 ? x->yes : x->no;
	}
	return at == END_TRUE;
}

/* The same with every missing test as it makes the whole rather true (`kindly`), or rather false. */
static bool run(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo, bool kindly)
{
	uint16_t at = e->first;

	while (at < END_FALSE) {
		const struct test *x = &e->test[at];
		int answer = test_answer(x, r, t, memo);

		at = (answer == MISSING ? x->denied != kindly : answer) ? x->yes : x->no;
	}
	return at == END_TRUE;
}

enum expr_answer expr_answer(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	if (run(e, r, t, memo, false))
		return EXPR_TRUE;
	return run(e, r, t, memo, true) ? EXPR_UNKNOWN : EXPR_FALSE;
}
