#include "core/log.h"

#include "core/err.h"
#include "core/term.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum log_level log_max = LOG_LEVEL_INFO;

void log_say(enum log_level level, const char *fmt, ...)
{
	static const char *const word[] = { "error: ", "warning: ", "", "debug: " };
	char line[1024];
	const char *hint = err_denied(fmt, errno);
	va_list args;
	int n;

	if (level > log_max)
		return;
	n = snprintf(line, sizeof(line), "haspan: %s", word[level]);
	va_start(args, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n - 2, fmt, args);
	va_end(args);
	n = (int)strlen(line);
	snprintf(line + n, sizeof(line) - (size_t)n - 2, "%s", hint);
	n = (int)strlen(line);
	term_mask(line, (size_t)n, "");
	memcpy(line + n, "\n", 2);
	/* One write per message: lines of several threads do not mix. */
	fputs(line, stderr);
}

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool log_due(int64_t *last_ms, int64_t every_ms)
{
	int64_t now = clock_ms();

	if (*last_ms != 0 && now - *last_ms < every_ms)
		return false;
	*last_ms = now;
	return true;
}
