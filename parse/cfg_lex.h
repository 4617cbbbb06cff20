/*
 * parse/cfg_lex.h - private to parse/: a line of haproxy.cfg to words, and the conditions of .if.
 *
 * What HAProxy does with quotes, backslashes and variables: configuration manual, sections 2.2 to 2.4.
 */
#ifndef PARSE_CFG_LEX_H
#define PARSE_CFG_LEX_H

#include "core/arena.h"
#include "core/limits.h"

/* What setenv and its like say in the file; the newest first. */
struct cfg_variable_env {
	struct slice name, value;
	bool set;				/* false: unsetenv */
	struct cfg_variable_env *next;
};

struct cfg_lexer {
	struct arena *arena;			/* of `env` */
	struct cfg_variable_env *env;
	struct slice file, section;		/* of ${.FILE} and ${.SECTION} */
	unsigned line;				/* of ${.LINE} */
	char *out;				/* CFG_LINE_MAX bytes, owned by the caller */
	struct slice word[CFG_WORDS_MAX];	/* of the last line, NUL-terminated, in `out` */
	uint32_t n;
	struct slice unset;			/* a variable of the last line that is not set; empty: none */
};

/*
 * Cut `line` (without its newline) into words. NULL: done; else what is wrong, at byte `*at`; the words before it are
 * there all the same.
 */
const char *cfg_lex(struct cfg_lexer *lx, struct slice line, size_t *at);

/* The value of a variable: of setenv, of HAProxy's own, or of haspan's environment. false: not set. */
bool cfg_env(const struct cfg_lexer *lx, struct slice name, struct slice *value);
void cfg_setenv(struct cfg_lexer *lx, struct slice name, struct slice value, bool set);

/*
 * The condition of an .if, its words joined by blanks. What depends on the HAProxy that runs is taken as a new one
 * with all features would say, and `*guessed` is set. NULL: `*truth` is set; else what is wrong.
 */
const char *cfg_condition(const struct cfg_lexer *lx, struct slice text, bool *truth, bool *guessed);

#endif
