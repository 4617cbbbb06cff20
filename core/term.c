#include "core/term.h"

#include "core/utf8.h"

#include <stdint.h>

/*
 * Characters that must not reach a terminal: controls, what changes the direction of writing, and what is not seen, so that
 * two texts look alike or one says what nobody reads. Joiners of emoji among them, but no variation selectors.
 */
static const struct { uint32_t first, last; } hostile[] = {
	{ 0x00, 0x1f },	    { 0x7f, 0x9f },	{ 0xad, 0xad },	    { 0x61c, 0x61c },	{ 0x115f, 0x1160 }, { 0x180e, 0x180e },
	{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
	{ 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
};

/* The number of the character whose well-formed sequence is at `p`. */
static uint32_t number_of(const unsigned char *p, size_t n)
{
	uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));

	for (size_t k = 1; k < n; k++)
		c = c << 6 | (p[k] & 0x3f);
	return c;
}

static bool is_hostile(const unsigned char *p, size_t n)
{
	uint32_t c = number_of(p, n);

	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]) && c >= hostile[i].first; i++)
		if (c <= hostile[i].last)
			return true;
	return false;
}

/* ---- commands of a CI runner ------------------------------------------------------------------------------ */

/* From a `::` on nothing but an address: ::1, ::ffff:10.0.0.1 */
static bool is_address(const unsigned char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] && strchr("0123456789abcdefABCDEF:.", p[i]))
		i++;
	return i == n || (p[i] && strchr(" \t\r\n,;)]/%", p[i]));
}

/* Is the byte at `at` what makes a command of what stands around it? `leading`: a line may begin with it. */
static bool is_command(const unsigned char *p, size_t at, size_t n, bool leading)
{
	if (p[at] == '#')
		return at && p[at - 1] == '#' && (at + 1 == n || p[at + 1] == '[');
	return leading && p[at] == ':' && at + 1 < n && p[at + 1] == ':' && !is_address(p + at, n - at);
}

/* ---- characters -------------------------------------------------------------------------------------------- */

/* Where we are in a text. */
struct walk {
	const unsigned char *p;
	size_t at, n;
	bool inside;			/* a line no longer begins here */
};

/* The character there: its length, and whether it must not be shown. */
static size_t look(struct walk *w, bool *bad)
{
	const unsigned char *p = w->p + w->at;
	size_t len = utf8_sequence(p, w->n - w->at);

	*bad = len == 0 || is_hostile(p, len) || is_command(w->p, w->at, w->n, !w->inside);
	/* A runner skips blanks, those beyond ASCII too. */
	if (*p == '\n')
		w->inside = false;
	else if (*p < 0x80 && *p != ' ' && *p != '\t')
		w->inside = true;
	return len ? len : 1;
}

void term_mask(char *p, size_t n, const char *keep)
{
	struct walk w = { .p = (const unsigned char *)p, .n = n };
	bool bad;

	for (size_t len; w.at < n; w.at += len) {
		len = look(&w, &bad);
		if (bad && (p[w.at] == '\0' || !strchr(keep, p[w.at])))
			memset(p + w.at, '?', len);
	}
}

unsigned term_text(struct buf *out, struct slice s, unsigned max)
{
	struct walk w = { .p = (const unsigned char *)s.p, .n = s.len };
	unsigned columns = 0;
	bool bad;

	for (size_t n; w.at < s.len; w.at += n, columns++) {
		n = look(&w, &bad);
		if (columns + 1 >= max && s.len - w.at > n) {
			buf_lit(out, "…");
			return columns + 1;
		}
		if (bad)
			buf_char(out, '?');
		else
			buf_add(out, s.p + w.at, n);
	}
	return columns;
}
