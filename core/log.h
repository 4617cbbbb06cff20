/*
 * core/log.h - what haspan says about itself, on stderr, one line each, control bytes masked.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * Once, before the first message: when stderr is the journal's (JOURNAL_STREAM names it), each line begins with its
 * priority from now on, as sd-daemon(3) says.
 */
void log_init(void);

/* Messages above this level are dropped; LOG_LEVEL_INFO unless -v says more. A new configuration may say so, too. */
extern _Atomic enum log_level log_max;

void log_say(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Several lines that belong together, as they are but for the priority; in one write. At most LOG_TEXT_MAX bytes. */
void log_lines(enum log_level level, const char *text, size_t len);

/* A line for a terminal that the next message, or the next of its kind, takes the place of. No newline in it. */
void log_passing(const char *text);

#define log_error(...) log_say(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_say(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_say(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_say(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * A message that may repeat: `*last_ms` (zero at first) is the caller's. Returns true at most once in
 * `every_ms`, and then the caller says it.
 */
bool log_due(int64_t *last_ms, int64_t every_ms);

/* Milliseconds of a clock that never goes back. */
int64_t clock_ms(void);

#endif
