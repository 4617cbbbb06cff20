/*
 * core/err.h - how a bad world is reported: configuration, formats, files, brokers, collectors.
 *
 * The last parameter of every function that can fail is a `struct err *`; it is filled once (the first error
 * wins), with the place and what was expected, and printed by main. Bad input lines are values, not errors;
 * our own bugs abort.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* The exit codes of haspan(1); the highest that applies wins. */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_CHECK = 1,		/* a check failed, or lines were rejected under --strict */
	EXIT_USAGE = 2,
	EXIT_CONFIG = 3,	/* configuration or format */
	EXIT_INPUT = 4,
	EXIT_EXPORT = 5,	/* export gave up; spans refused, dropped or still held */
};

struct err {
	enum exit_code code;	/* EXIT_DONE: no error yet */
	char text[512];		/* one line, no control bytes, no newline */
	char where[256];	/* the option, file or variable; may be empty */
	char quoted[256];	/* the text at fault, shortened around `column`; may be empty */
	unsigned line;		/* from 1; 0 when it makes no sense */
	unsigned column;	/* from 1, into `quoted`'s original; 0 when it makes no sense */
	unsigned caret;		/* from 0, into `quoted` */
};

/* Fill `e` if it is still empty. Always returns false, so that callers can `return err_set(…)`. */
bool err_set(struct err *e, enum exit_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, pointing at byte `at` (from 0) of `text`, which is quoted. */
bool err_at(struct err *e, enum exit_code code, const char *text, size_t len, size_t at,
	    const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/*
 * From now on "permission denied" may have a second reason: messages that say so by a %m end with `hint`, which is
 * lent for ever. While there is one thread.
 */
void err_explain_denied(const char *hint);

/* What a message of this format, made with this errno, ends with: the hint, or nothing. */
const char *err_denied(const char *fmt, int error);

/* Say where it happened, unless that is known already. Always returns false. */
bool err_where(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Print it on stderr: `haspan: where:line:column: text`, the quoted text, and a caret below it. */
void err_print(const struct err *e);

#endif
