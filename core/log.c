#include "core/log.h"

#include "core/buf.h"
#include "core/err.h"
#include "core/limits.h"
#include "core/term.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

_Atomic enum log_level log_max = LOG_LEVEL_INFO;

static bool journal;		/* stderr is the journal's: each line begins with its priority */

void log_init(void)
{
	const char *said = getenv("JOURNAL_STREAM");
	struct stat st;
	char mine[64];

	if (!said || fstat(STDERR_FILENO, &st) != 0)
		return;
	snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	journal = strcmp(said, mine) == 0;
}

/* syslog's priorities, as sd-daemon(3) writes them. */
static const char *priority(enum log_level level)
{
	static const char *const prefix[] = { "<3>", "<4>", "<6>", "<7>" };

	return journal ? prefix[level] : "";
}

/* A passing line stands on the terminal. */
static atomic_bool passing;

void log_passing(const char *text)
{
	atomic_store(&passing, true);
	fprintf(stderr, "\r%s\033[K", text);
}

/* What is said for good begins at the left margin, where a passing line was. */
static void end_passing(void)
{
	if (atomic_exchange(&passing, false))
		fputs("\r\033[K", stderr);
}

void log_say(enum log_level level, const char *fmt, ...)
{
	static const char *const word[] = { "error: ", "warning: ", "", "debug: " };
	const char *hint = err_denied(fmt, errno);
	char line[LOG_LINE_MAX];
	va_list args;
	int n;

	if (level > log_max)
		return;
	n = snprintf(line, sizeof(line), "%shaspan: %s", priority(level), word[level]);
	va_start(args, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n - 2, fmt, args);
	va_end(args);
	n = (int)strlen(line);
	snprintf(line + n, sizeof(line) - (size_t)n - 2, "%s", hint);
	n = (int)strlen(line);
	term_mask(line, (size_t)n, "");
	memcpy(line + n, "\n", 2);
	/* One write per message: lines of several threads do not mix. */
	end_passing();
	fputs(line, stderr);
}

void log_lines(enum log_level level, const char *text, size_t len)
{
	struct buf out = { .max = LOG_TEXT_MAX };
	struct slice rest = slice_of(text, len < LOG_TEXT_MAX / 2 ? len : LOG_TEXT_MAX / 2);

	end_passing();
	while (rest.len) {
		struct slice line = slice_cut(&rest, '\n');

		if (out.len + line.len + 8 > LOG_TEXT_MAX)
			break;
		buf_slice(&out, slice_str(priority(level)));
		buf_slice(&out, line);
		buf_char(&out, '\n');
	}
	fwrite(out.p, 1, out.len, stderr);
	buf_free(&out);
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
