/*
 * parse/cfg_lex.c - a line of haproxy.cfg to words, as parse_line() of HAProxy's src/tools.c does it.
 */
#include "parse/cfg_lex.h"

#include "core/hex.h"
#include "parse/program.h"

#include <stdio.h>
#include <stdlib.h>

struct lex {
	struct cfg_lexer *to;
	struct slice in;
	size_t at;			/* next byte of `in` */
	size_t used, start;		/* of `out`; where the current word began */
	size_t quote_at;
	char quote;			/* '"', '\'' or none */
	bool in_word;
	bool empty_quote;		/* nothing since the quote was opened: "" is a word too */
	const char *wrong;
};

static const char too_long[] = "this line is too long";

/* ---- words ------------------------------------------------------------------------------------------- */

static void emit(struct lex *x, char c)
{
	x->in_word = true;
	x->empty_quote = false;
	if (x->used + 2 > CFG_LINE_MAX)
		x->wrong = too_long;
	else
		x->to->out[x->used++] = c;
}

static void end_word(struct lex *x)
{
	if (!x->in_word)
		return;
	x->in_word = false;
	if (x->to->n == CFG_WORDS_MAX) {
		x->wrong = "a line with more words than HAProxy takes";
		return;
	}
	x->to->word[x->to->n++] = slice_of(x->to->out + x->start, x->used - x->start);
	x->to->out[x->used++] = '\0';
	x->start = x->used;
	if (x->used + 2 > CFG_LINE_MAX)
		x->wrong = too_long;
}

static char ahead(const struct lex *x, size_t n)
{
	return x->at + n < x->in.len ? x->in.p[x->at + n] : '\0';
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* ---- backslashes --------------------------------------------------------------------------------------- */

/* What stands behind a backslash only counts where it would else mean something; other pairs stay as they are. */
static void escape(struct lex *x)
{
	char c = ahead(x, 1);

	if (c == 'x') {
		int high = hex_value(ahead(x, 2)), low = high < 0 ? -1 : hex_value(ahead(x, 3));

		if (low < 0) {
			x->wrong = "expected two hexadecimal digits behind \\x";
			return;
		}
		emit(x, (char)(high * 16 + low));
		x->at += 4;
		return;
	}
	if (c == 't' || c == 'n' || c == 'r') {
		emit(x, c == 't' ? '\t' : c == 'n' ? '\n' : '\r');
		x->at += 2;
	} else if (c && (strchr(" \\#'\"", c) || (c == '$' && x->quote == '"'))) {
		emit(x, c);
		x->at += 2;
	} else {
		emit(x, '\\');
		x->at++;
	}
}

/* ---- variables ----------------------------------------------------------------------------------------- */

static bool is_name(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* HAProxy sets these itself (3.1 has all five), so that a format can be extended. */
static bool own_variable(struct slice name, struct slice *value)
{
	static const struct { const char *name, *format; } own[] = {
		{ "HAPROXY_HTTP_LOG_FMT", "httplog" }, { "HAPROXY_HTTP_CLF_LOG_FMT", "httplog-clf" },
		{ "HAPROXY_HTTPS_LOG_FMT", "httpslog" }, { "HAPROXY_TCP_LOG_FMT", "tcplog" },
		{ "HAPROXY_TCP_CLF_LOG_FMT", "tcplog-clf" },
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (slice_eq(slice_str(own[i].name), name)) {
			*value = formats_builtin(slice_str(own[i].format));
			return true;
		}
	return false;
}

bool cfg_env(const struct cfg_lexer *lx, struct slice name, struct slice *value)
{
	char text[256];
	const char *of_process;

	for (const struct cfg_variable_env *v = lx->env; v; v = v->next)
		if (slice_eq(v->name, name)) {
			*value = v->value;
			return v->set;
		}
	if (own_variable(name, value))
		return true;
	if (name.len >= sizeof(text))
		return false;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	of_process = getenv(text);
	*value = slice_str(of_process);
	return of_process != NULL;
}

void cfg_setenv(struct cfg_lexer *lx, struct slice name, struct slice value, bool set)
{
	struct cfg_variable_env *v = arena_alloc(lx->arena, sizeof(*v));

	*v = (struct cfg_variable_env){ arena_copy(lx->arena, name), arena_copy(lx->arena, value), set, lx->env };
	lx->env = v;
}

/* .FILE, .LINE and .SECTION; `number` has room for the line. */
static bool pseudo(const struct lex *x, struct slice name, char *number, struct slice *value)
{
	*value = x->to->file;
	if (slice_eq(name, SLICE(".FILE")))
		return true;
	*value = x->to->section;
	if (slice_eq(name, SLICE(".SECTION")))
		return true;
	*value = slice_of(number, (size_t)snprintf(number, 16, "%u", x->to->line));
	return slice_eq(name, SLICE(".LINE"));
}

/* With `split`, blanks of the value end words (${NAME[*]}). */
static void expand(struct lex *x, struct slice value, bool split)
{
	for (size_t i = 0; i < value.len && !x->wrong; i++)
		if (split && is_blank(value.p[i]))
			end_word(x);
		else
			emit(x, value.p[i]);
}

/* The name of a variable at x->at; empty when there is none. */
static struct slice variable_name(struct lex *x)
{
	size_t start = x->at;

	x->at += ahead(x, 0) == '.';
	if (ahead(x, 0) >= '0' && ahead(x, 0) <= '9')
		return slice_of("", 0);
	while (is_name(ahead(x, 0)))
		x->at++;
	return slice_of(x->in.p + start, x->at - start);
}

/* The rest of ${NAME…}: [*], then a default behind '-', then the brace. */
static bool braces(struct lex *x, size_t open, bool *split, struct slice *otherwise)
{
	size_t start;

	if (ahead(x, 0) == '[') {
		if (ahead(x, 1) != '*' || ahead(x, 2) != ']') {
			x->wrong = "expected [*], which makes words of a list";
			return false;
		}
		*split = true;
		x->at += 3;
	}
	if (ahead(x, 0) == '-') {
		start = ++x->at;
		while (x->at < x->in.len && x->in.p[x->at] != '}')
			x->at++;
		*otherwise = slice_of(x->in.p + start, x->at - start);
	}
	if (ahead(x, 0) != '}') {
		x->at = open;
		x->wrong = "this '{' is never closed";
		return false;
	}
	x->at++;
	return true;
}

static void variable(struct lex *x)
{
	size_t open = x->at + 1;
	bool brace = ahead(x, 1) == '{', split = false, found;
	struct slice name, value, otherwise = { NULL, 0 };
	char number[16];

	x->at += 1 + brace;
	name = variable_name(x);
	if (name.len == 0) {
		x->wrong = "expected the name of a variable behind '$' (a '$' by itself is \\$ in double quotes)";
		return;
	}
	if (brace && !braces(x, open, &split, &otherwise))
		return;
	if (split)
		x->empty_quote = false;
	found = *name.p == '.' ? pseudo(x, name, number, &value) : cfg_env(x->to, name, &value);
	if (!found && otherwise.p) {
		value = otherwise;
		found = true;
	}
	if (found) {
		expand(x, value, split);
		return;
	}
	x->in_word |= !split;
	if (!x->to->unset.len)
		x->to->unset = name;
}

/* ---- the line ------------------------------------------------------------------------------------------ */

static void quote(struct lex *x, char c)
{
	if (x->quote) {
		x->in_word |= x->empty_quote;
		x->quote = '\0';
	} else {
		x->quote = c;
		x->quote_at = x->at;
		x->empty_quote = true;
	}
	x->at++;
}

const char *cfg_lex(struct cfg_lexer *lx, struct slice line, size_t *at)
{
	struct lex x = { .to = lx, .in = line };

	lx->n = 0;
	lx->unset = slice_of("", 0);
	while (x.at < line.len && !x.wrong) {
		char c = line.p[x.at];

		if (c == '\0' || c == '\n' || c == '\r' || (c == '#' && !x.quote)) {
			break;
		} else if ((c == '"' && x.quote != '\'') || (c == '\'' && x.quote != '"')) {
			quote(&x, c);
		} else if (c == '\\' && x.quote != '\'') {
			escape(&x);
		} else if (is_blank(c) && !x.quote) {
			end_word(&x);
			x.at++;
		} else if (c == '$' && x.quote == '"') {
			variable(&x);
		} else {
			emit(&x, c);
			x.at++;
		}
	}
	if (!x.wrong && x.quote) {
		x.wrong = "this quote is never closed";
		x.at = x.quote_at;
	}
	*at = x.at < line.len ? x.at : line.len ? line.len - 1 : 0;
	if (x.wrong != too_long)
		end_word(&x);
	return x.wrong;
}
