#include "core/err.h"

#include "core/buf.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/term.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *denied;

void err_explain_denied(const char *hint)
{
	denied = hint;
}

const char *err_denied(const char *fmt, int error)
{
	return denied && error == EACCES && strstr(fmt, "%m") ? denied : "";
}

/* False when an earlier error holds the place: the first one wins. */
static bool take(struct err *e, enum exit_code code, const char *fmt, va_list args)
{
	const char *hint = err_denied(fmt, errno);
	size_t n;

	if (e->code != EXIT_DONE)
		return false;
	e->code = code;
	n = (size_t)vsnprintf(e->text, sizeof(e->text), fmt, args);
	if (n < sizeof(e->text))
		snprintf(e->text + n, sizeof(e->text) - n, "%s", hint);
	term_mask(e->text, strlen(e->text), "");
	return true;
}

bool err_set(struct err *e, enum exit_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	take(e, code, fmt, args);
	va_end(args);
	return false;
}

bool err_at(struct err *e, enum exit_code code, const char *text, size_t len, size_t at,
	    const char *fmt, ...)
{
	size_t from, n;
	va_list args;
	bool taken;

	va_start(args, fmt);
	taken = take(e, code, fmt, args);
	va_end(args);
	if (!taken)
		return false;

	/* A window of 100 bytes around the place is what fits a terminal. */
	from = at > 60 ? at - 60 : 0;
	n = len - from > 100 ? 100 : len - from;
	memcpy(e->quoted, text + from, n);
	e->quoted[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)e->quoted[i] < 0x20 || (unsigned char)e->quoted[i] >= 0x7f)
			e->quoted[i] = '?';
	e->caret = (unsigned)(at - from);
	e->column = (unsigned)at + 1;
	return false;
}

bool err_where(struct err *e, const char *fmt, ...)
{
	va_list args;

	if (e->where[0])
		return false;
	va_start(args, fmt);
	vsnprintf(e->where, sizeof(e->where), fmt, args);
	va_end(args);
	term_mask(e->where, strlen(e->where), "");
	return false;
}

void err_print(const struct err *e)
{
	struct buf out = { .max = LOG_TEXT_MAX };

	buf_printf(&out, "haspan: ");
	if (e->where[0]) {
		buf_printf(&out, "%s:", e->where);
		if (e->line)
			buf_printf(&out, "%u:", e->line);
		if (e->column)
			buf_printf(&out, "%u:", e->column);
		buf_char(&out, ' ');
	} else if (e->column) {
		buf_printf(&out, "column %u: ", e->column);
	}
	buf_printf(&out, "%s\n", e->text);
	if (e->quoted[0])
		buf_printf(&out, "    %s\n    %*s^\n", e->quoted, (int)e->caret, "");
	log_lines(LOG_LEVEL_ERROR, out.p, out.len);
	buf_free(&out);
}
