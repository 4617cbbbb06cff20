#include "core/term.h"

#include "core/utf8.h"

/* Characters that must not reach a terminal: C0, DEL, C1, and what changes the direction of writing. */
static bool is_hostile(const unsigned char *p, size_t n)
{
	if (n == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (n == 2)
		return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);	/* not dashes, quotes, … */
	return n == 3 && p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf;	/* U+2060 to U+206F */
}

/* The character at `p`: its length, and whether it must not reach a terminal. */
static size_t next_character(const unsigned char *p, size_t left, bool *bad)
{
	size_t n = utf8_sequence(p, left);

	*bad = n == 0 || is_hostile(p, n);
	return n ? n : 1;
}

void term_mask(char *p, size_t n, const char *keep)
{
	bool bad;

	for (size_t at = 0, len; at < n; at += len) {
		len = next_character((const unsigned char *)p + at, n - at, &bad);
		if (bad && (p[at] == '\0' || !strchr(keep, p[at])))
			memset(p + at, '?', len);
	}
}

unsigned term_text(struct buf *out, struct slice s, unsigned max)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned columns = 0;
	bool bad;

	for (size_t at = 0, n; at < s.len; at += n, columns++) {
		n = next_character(p + at, s.len - at, &bad);
		if (columns + 1 >= max && s.len - at > n) {
			buf_lit(out, "…");
			return columns + 1;
		}
		if (bad)
			buf_char(out, '?');
		else
			buf_add(out, s.p + at, n);
	}
	return columns;
}
