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
		return p[2] >= 0x8b && p[2] <= 0xaf;		/* U+200B to U+202F */
	return n == 3 && p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf;	/* U+2060 to U+206F */
}

unsigned term_text(struct buf *out, struct slice s, unsigned max)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned columns = 0;
	bool bad;

	for (size_t at = 0, n; at < s.len; at += n, columns++) {
		n = utf8_sequence(p + at, s.len - at);
		if (n == 0) {
			n = 1;
			bad = true;
		} else {
			bad = is_hostile(p + at, n);
		}
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
