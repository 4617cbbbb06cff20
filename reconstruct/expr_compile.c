/*
 * reconstruct/expr_compile.c - the text of an expression to its program.
 */
#include "reconstruct/expr_private.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* ---- reading the text -------------------------------------------------------------------------------- */

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_OP };

/* Of a token's number: nine decimals. */
#define NUMBER_SCALE INT64_C(1000000000)

struct token {
	enum token_kind kind;
	size_t at;			/* byte of the text */
	struct slice text;		/* of a string: what it means */
	__int128 number;		/* billionths of the unit that was given, or of one */
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

/* Counted in billionths this is far from what 128 bits hold, in hours too. */
#define NUMBER_DIGITS 15

static bool read_number(struct reader *x, struct token *t)
{
	size_t start = x->at, digits = 0, n = 0;
	bool minus = peek(x, 0) == '-';
	__int128 value = 0;
	int64_t scale = NUMBER_SCALE;

	x->at += minus;
	for (; peek(x, 0) >= '0' && peek(x, 0) <= '9' && digits <= NUMBER_DIGITS; x->at++, digits++)
		value = value * 10 + (peek(x, 0) - '0');
	if (digits > NUMBER_DIGITS)
		return wrong(x, start, "this number is too large: 999999999999999 at most");
	value *= NUMBER_SCALE;
	if (digits && peek(x, 0) == '.')
		for (x->at++; peek(x, 0) >= '0' && peek(x, 0) <= '9'; x->at++) {
			scale /= 10;
			value += (peek(x, 0) - '0') * scale;
			if (scale == 0)
				return wrong(x, start, "expected at most nine decimals");
		}
	while (((peek(x, 0) | 0x20) >= 'a' && (peek(x, 0) | 0x20) <= 'z') && n < sizeof(t->unit) - 1)
		t->unit[n++] = x->text.p[x->at++];
	t->unit[n] = '\0';
	if (digits == 0 || is_name_byte(peek(x, 0), false))
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
	if (*rest.p == '/' && t->at == 0)
		return wrong(x, t->at, "expected an expression, as in path ~ \"^/healthz\"");
	if (*rest.p == '/')
		return wrong(x, t->at, "put quotes around it, as in \"/healthz\"");
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
	if (!expr_name(name, x->text.p[x->token.at] == '`', x->names, v)) {
		nearest = expr_nearest_name(name, x->names);
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
		if (t->number % NUMBER_SCALE)
			return wrong(x, t->at, "expected a whole number");
		*out = (int64_t)(t->number / NUMBER_SCALE);
		return true;
	}
	for (size_t i = 0; i < COUNT(units); i++)
		if (strcmp(units[i].unit, t->unit) == 0) {
			__int128 us = t->number * units[i].us;

			if (us % NUMBER_SCALE)
				return wrong(x, t->at, "expected whole microseconds: no timer is finer");
			if (us / NUMBER_SCALE > INT64_MAX || us / NUMBER_SCALE < -INT64_MAX)
				return wrong(x, t->at, "this time is too long");
			*out = (int64_t)(us / NUMBER_SCALE);
			return true;
		}
	return wrong(x, t->at, "unknown unit: expected us, ms, s, m or h");
}

/* The token as a value for `v`. */
static bool read_constant(struct reader *x, const struct expr_value *v, struct constant *c, bool *number)
{
	struct token t = x->token;

	*number = t.kind == TOKEN_NUMBER;
	if (t.kind != TOKEN_NUMBER && t.kind != TOKEN_TEXT)
		return wrong(x, t.at, v->kind != EXPR_TEXT ? "expected a number" : t.kind == TOKEN_NAME ?
			     "expected a string: put quotes around it" : "expected a string in quotes");
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
	bool number = false, more = true;

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
	bool number = false;
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

/* Rounded down, also below 0. */
static int64_t thousandths(int64_t us)
{
	return us / 1000 - (us % 1000 < 0);
}

/*
 * A comparison with a number as a range of the field's own units; false: nothing is in it. A time is a field of whole
 * milliseconds from 0 on: -1 means that the phase was not reached.
 */
static bool range(struct insn *x, const struct test *t)
{
	bool time = t->value.kind == EXPR_TIME;
	int64_t max = time ? INT64_MAX / 1000 : INT64_MAX, low = time ? 0 : INT64_MIN, high = max;
	int64_t floor = time ? thousandths(t->number) : t->number;
	bool whole = !time || floor * 1000 == t->number;

	x->least = low;
	x->room = (uint64_t)max - (uint64_t)low;
	x->turned = t->op == OP_NE;
	if ((t->op == OP_EQ || t->op == OP_NE) && !whole)
		return false;
	if (t->op == OP_EQ || t->op == OP_NE || t->op == OP_GE)
		low = floor + !whole > low ? floor + !whole : low;
	else if (t->op == OP_GT && floor + 1 > low)
		low = floor + 1;
	if (t->op == OP_EQ || t->op == OP_NE || t->op == OP_LE)
		high = floor;
	else if (t->op == OP_LT)
		high = floor - whole;
	if (t->op == OP_HAS && t->value.kind == EXPR_BOOL) {
		low = high = 0;
		x->turned = true;
	}
	x->low = low;
	x->span = (uint64_t)high - (uint64_t)low;
	return high >= low;
}

/* A comparison of texts, of which the first bytes decide nearly always. */
static bool whole_text(struct insn *x, const struct test *t)
{
	size_t n = t->text.len < HEAD_BYTES ? t->text.len : HEAD_BYTES;
	char head[HEAD_BYTES] = { 0 }, mask[HEAD_BYTES] = { 0 };

	if (t->op != OP_BEGINS && t->op != OP_EQ && t->op != OP_NE)
		return false;
	x->turned = t->turned != (t->op == OP_NE);
	if (n)
		memcpy(head, t->text.p, n);
	memset(mask, 0xff, n);
	x->text = t->text;
	x->head = expr_head(head);
	x->mask = expr_head(mask);
	return true;
}

/* The shortest way to find out what `t` asks. */
static void instruct(struct insn *x, const struct test *t)
{
	enum slot slot = t->value.slot;

	*x = (struct insn){ .how = HOW_TEST, .test = t, .word = (uint8_t)(slot >> 6), .slot = (uint8_t)slot,
			    .bit = UINT64_C(1) << (slot & 63) };
	if (t->value.from != FROM_A_SLOT || t->op == OP_IN)
		return;
	if (t->op == OP_HAS && (t->value.kind == EXPR_TEXT || t->value.kind == EXPR_NUMBER))
		x->how = HOW_HAS;
	else if (t->value.kind != EXPR_TEXT && range(x, t))
		x->how = HOW_RANGE;
	else if (t->value.kind == EXPR_TEXT && whole_text(x, t))
		x->how = t->op == OP_BEGINS ? HOW_BEGINS : HOW_IS;
}

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
	instruct(&e->insn[e->n], &n->test);
	e->insn[e->n].yes = yes;
	e->insn[e->n].no = no;
	e->insn[e->n].denied = denied;
	return e->n++;
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
	e->insn = arena_alloc(arena, x.ntests * sizeof(*e->insn));
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
