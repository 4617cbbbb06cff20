/*
 * parse/cfg_cond.c - the conditions of .if and .elif (configuration manual, section 2.4).
 */
#include "parse/cfg_lex.h"

struct cond {
	const struct cfg_lexer *lx;
	struct slice in;
	size_t at;
	unsigned depth;
	bool guessed;
	const char *wrong;
};

static void skip_blanks(struct cond *c)
{
	while (c->at < c->in.len && (c->in.p[c->at] == ' ' || c->in.p[c->at] == '\t'))
		c->at++;
}

static bool take(struct cond *c, struct slice what)
{
	skip_blanks(c);
	if (!slice_starts(slice_skip(c->in, c->at), what))
		return false;
	c->at += what.len;
	return true;
}

/* One argument of a predicate, up to the comma or the parenthesis; quotes may stand around it. */
static struct slice argument(struct cond *c)
{
	char quote = c->at < c->in.len ? c->in.p[c->at] : '\0';
	struct slice arg;
	size_t start;

	if (quote != '"' && quote != '\'')
		quote = '\0';
	start = c->at += quote != '\0';
	while (c->at < c->in.len && (quote ? c->in.p[c->at] != quote : c->in.p[c->at] != ',' && c->in.p[c->at] != ')'))
		c->at++;
	arg = slice_of(c->in.p + start, c->at - start);
	c->at += quote && c->at < c->in.len;
	return arg;
}

static bool contains(struct slice s, struct slice what)
{
	return what.len == 0 || (s.len && memmem(s.p, s.len, what.p, what.len));
}

/* What only the HAProxy that runs knows: as the newest with everything in it would say. */
static bool guess(struct cond *c, struct slice name)
{
	static const char *const truths[] = { "version_atleast", "feature", "openssl_version_atleast", "enabled",
					      "ssllib_name_startswith", "awslc_api_atleast" };
	static const char *const lies[] = { "version_before", "openssl_version_before", "awslc_api_before",
					    "fips_mode" };

	c->guessed = true;
	for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++)
		if (slice_eq(slice_str(truths[i]), name))
			return true;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (slice_eq(slice_str(lies[i]), name))
			return false;
	c->wrong = "an unknown predicate";
	return false;
}

static bool predicate(struct cond *c, struct slice name)
{
	struct slice arg[2] = { { "", 0 }, { "", 0 } }, value;
	uint32_t n = 0;

	if (take(c, SLICE("("))) {
		do {
			skip_blanks(c);
			value = argument(c);
			if (n < 2)
				arg[n++] = value;
		} while (take(c, SLICE(",")));
		if (!take(c, SLICE(")"))) {
			c->wrong = "expected ')'";
			return false;
		}
	}
	if (slice_eq(name, SLICE("defined")))
		return cfg_env(c->lx, arg[0], &value);
	if (slice_eq(name, SLICE("streq")))
		return slice_eq(arg[0], arg[1]);
	if (slice_eq(name, SLICE("strneq")))
		return !slice_eq(arg[0], arg[1]);
	if (slice_eq(name, SLICE("strstr")))
		return contains(arg[0], arg[1]);
	return guess(c, name);
}

static bool expression(struct cond *c);

static bool term(struct cond *c)
{
	bool negated = false, truth;
	struct slice word;
	size_t start;
	uint64_t n;

	while (take(c, SLICE("!")))
		negated = !negated;
	if (take(c, SLICE("("))) {
		if (++c->depth > CFG_NEST_MAX)
			c->wrong = "too many parentheses";
		truth = !c->wrong && expression(c);
		if (!c->wrong && !take(c, SLICE(")")))
			c->wrong = "expected ')'";
		c->depth--;
		return truth != negated;
	}
	start = c->at;
	while (c->at < c->in.len && !strchr(" \t()&|!,", c->in.p[c->at]))
		c->at++;
	word = slice_of(c->in.p + start, c->at - start);
	if (word.len == 0) {
		c->wrong = "expected a condition";
		return false;
	}
	truth = slice_uint(word, &n) ? n != 0 : predicate(c, word);
	return truth != negated;
}

static bool conjunction(struct cond *c)
{
	bool truth = term(c);

	while (!c->wrong && take(c, SLICE("&&")))
		truth &= term(c);
	return truth;
}

static bool expression(struct cond *c)
{
	bool truth = conjunction(c);

	while (!c->wrong && take(c, SLICE("||")))
		truth |= conjunction(c);
	return truth;
}

const char *cfg_condition(const struct cfg_lexer *lx, struct slice text, bool *truth, bool *guessed)
{
	struct cond c = { .lx = lx, .in = text };

	*truth = *guessed = false;
	skip_blanks(&c);
	if (c.at == text.len)
		return NULL;
	*truth = expression(&c);
	*guessed = c.guessed;
	skip_blanks(&c);
	return c.wrong ? c.wrong : c.at < text.len ? "expected && or ||" : NULL;
}
