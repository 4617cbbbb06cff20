/*
 * parse/notice.c - lines of HAProxy's that are no traffic.
 */
#include "parse/parse.h"

static const struct slice notices[] = {
#define NOTICE(pattern, meaning) { pattern, sizeof(pattern) - 1 },
#include "formats/notices.def"
#undef NOTICE
};

/* '*' matches any run of bytes. Linear in the text for each star: the last star alone is ever moved. */
static bool glob(struct slice pattern, struct slice text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.p[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern.len && pattern.p[p] == text.p[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.p[p] == '*')
		p++;
	return p == pattern.len;
}

bool notice_match(struct slice msg)
{
	/* The longest notice has names, a reason and counters: far below this. */
	if (msg.len > 4096)
		return false;
	for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++)
		if (glob(notices[i], msg))
			return true;
	return false;
}
