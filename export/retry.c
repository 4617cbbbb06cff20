#include "export/retry.h"

/* No row: refused. The first row that holds the status decides. */
static const struct {
	int from, to;
	enum answer_action action;
} answers[] = {
	{ 0, 0, ANSWER_RETRY },		/* not reached, reset, timed out */
	{ 200, 299, ANSWER_ACCEPT },	/* OTLP says 200; some services say 202 and mean it */
	{ 307, 308, ANSWER_FOLLOW },	/* the only redirects that keep method and body */
	{ 401, 401, ANSWER_HOLD },
	{ 403, 403, ANSWER_HOLD },
	{ 413, 413, ANSWER_SPLIT },
	{ 429, 429, ANSWER_RETRY },
	{ 502, 504, ANSWER_RETRY },
};

enum answer_action retry_action(int status)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (status >= answers[i].from && status <= answers[i].to)
			return answers[i].action;
	return ANSWER_REFUSE;
}

uint32_t retry_backoff_ms(const struct retry_timing *t, unsigned tries, uint64_t random)
{
	uint64_t ceiling = t->first_ms;

	while (tries-- && ceiling < t->max_ms)
		ceiling *= 2;
	if (ceiling > t->max_ms)
		ceiling = t->max_ms;
	return (uint32_t)(random % (ceiling + 1));
}

static bool only_digits(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.len > 0;
}

/* Every form of an HTTP-date begins with the name of a day (RFC 9110 section 5.6.7). */
static bool looks_like_date(struct slice s)
{
	return s.len >= 20 && slice_lower(s.p[0]) >= 'a' && slice_lower(s.p[0]) <= 'z';
}

int64_t retry_after_ms(const struct retry_timing *t, struct slice text, int64_t date_s,
		       int64_t now_s)
{
	int64_t max_s = t->after_max_ms / 1000 + 1, seconds, ms;
	uint64_t n;

	text = slice_trim(text);
	if (only_digits(text))
		seconds = slice_uint(text, &n) && n < (uint64_t)max_s ? (int64_t)n : max_s;
	else if (looks_like_date(text) && date_s >= now_s)
		seconds = date_s - now_s < max_s ? date_s - now_s : max_s;
	else
		return -1;
	ms = seconds * 1000;
	/* `0` means at once; a server that says it for ever must not be asked in a tight loop. */
	if (ms < (int64_t)t->after_min_ms)
		return t->after_min_ms;
	return ms < (int64_t)t->after_max_ms ? ms : (int64_t)t->after_max_ms;
}
