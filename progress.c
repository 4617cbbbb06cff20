#include "progress.h"

#include "core/log.h"

#include <stdio.h>
#include <unistd.h>

/* What was seen at the last look. Rates are over the last few seconds: each look weighs a fifth. */
static struct {
	int64_t start_ms, last_ms;
	uint64_t lines, spans, done;
	double lines_s, spans_s, done_s;
} seen;

/* Does somebody look at stderr, who does not see spans there? */
static bool watched;

void progress_init(const struct config *c)
{
	bool spans = false;

	for (uint32_t k = 0; k < c->nsinks; k++)
		spans |= slice_eq(c->sinks[k], SLICE("tree")) || slice_eq(c->sinks[k], SLICE("-"));
	watched = isatty(STDERR_FILENO) && !(spans && isatty(STDOUT_FILENO));
}

/* 1234567 as 1,234,567; 28 bytes. */
static const char *grouped(char out[28], double n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%.0f", n < 0 ? 0 : n > 1e15 ? 1e15 : n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

static double rate(double before, uint64_t from, uint64_t to, int64_t ms, bool first)
{
	double now = (double)(to - from) * 1000 / (double)ms;

	return first ? now : before * 0.8 + now * 0.2;
}

static void show(const struct progress *p)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	char text[200], lines[28], spans[28];
	double scale = 1, most = (double)(p->total ? p->total : p->done);
	size_t unit = 0, n = 0, size = sizeof(text);

	for (; most / scale >= 1000 && unit < 4; unit++)
		scale *= 1000;
	if (p->total)
		n += (size_t)snprintf(text, size, "%3.0f %%  ", 100.0 * (double)p->done / (double)p->total);
	if (p->bytes && p->total)
		n += (size_t)snprintf(text + n, size - n, "%.1f of %.1f %s  ", (double)p->done / scale, most / scale, units[unit]);
	else if (p->bytes)
		n += (size_t)snprintf(text + n, size - n, "%.1f %s  ", (double)p->done / scale, units[unit]);
	n += (size_t)snprintf(text + n, size - n, "%s lines/s  %s spans/s", grouped(lines, seen.lines_s),
			      grouped(spans, seen.spans_s));
	if (p->total > p->done && seen.done_s >= 1) {
		double left = (double)(p->total - p->done) / seen.done_s;

		if (left < 360000)
			snprintf(text + n, size - n, "  %d:%02d left", (int)left / 60, (int)left % 60);
	}
	log_passing(text);
}

void progress_turn(struct pipeline *pipeline)
{
	int64_t now = watched ? clock_ms() : 0, ms = now - seen.last_ms;
	struct progress p;
	bool first = seen.lines_s == 0 && seen.done_s == 0;

	if (!watched)
		return;
	if (seen.start_ms == 0) {
		seen.start_ms = seen.last_ms = now;
		return;
	}
	if (ms < 400 || !pipeline_progress(pipeline, &p))
		return;
	seen.lines_s = rate(seen.lines_s, seen.lines, p.lines, ms, first);
	seen.spans_s = rate(seen.spans_s, seen.spans, p.spans, ms, first);
	seen.done_s = rate(seen.done_s, seen.done < p.done ? seen.done : p.done, p.done, ms, first);
	seen.lines = p.lines;
	seen.spans = p.spans;
	seen.done = p.done;
	seen.last_ms = now;
	if (now - seen.start_ms >= 1000)
		show(&p);
}
