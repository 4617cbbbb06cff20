/*
 * parse/text.c - what a client wrote becomes a string that may leave: escapes decoded, valid UTF-8.
 */
#include "parse/parse.h"

#include "core/utf8.h"

static int hex_upper(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int hex_any(char c)
{
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : hex_upper(c);
}

bool text_valid(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	for (size_t at = 0, n; at < s.len; at += n)
		if ((n = utf8_sequence(p + at, s.len - at)) == 0)
			return false;
	return true;
}

static size_t utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	out[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

/* \uXXXX of the json converter: it writes code units of the basic plane only. 0: not one. */
static size_t unicode_escape(const char *p, size_t left, char *out, size_t *n)
{
	uint32_t c = 0;

	if (left < 6)
		return 0;
	for (int k = 2; k < 6; k++) {
		int digit = hex_any(p[k]);

		if (digit < 0)
			return 0;
		c = c * 16 + (uint32_t)digit;
	}
	*n += utf8_put(c >= 0xd800 && c <= 0xdfff ? 0xfffd : c, out);
	return 6;
}

/* Decode escapes; the result may be any bytes. Never longer than the input. */
static size_t unescape(struct slice in, bool hash, bool backslash, char *out)
{
	static const char letters[] = "bfnrt", plain[] = "\b\f\n\r\t";
	size_t n = 0, used;

	for (size_t at = 0; at < in.len; at++) {
		char c = in.p[at];
		size_t left = in.len - at;

		if (hash && c == '#' && left >= 3 && hex_upper(in.p[at + 1]) >= 0 && hex_upper(in.p[at + 2]) >= 0) {
			out[n++] = (char)(hex_upper(in.p[at + 1]) * 16 + hex_upper(in.p[at + 2]));
			at += 2;
		} else if (backslash && c == '\\' && left >= 2) {
			const char *known = memchr(letters, in.p[at + 1], 5);

			if (in.p[at + 1] == 'u' && (used = unicode_escape(in.p + at, left, out + n, &n)) != 0) {
				at += used - 1;
				continue;
			}
			at++;
			out[n++] = known ? plain[known - letters] : in.p[at];
		} else {
			out[n++] = c;
		}
	}
	return n;
}

size_t text_clean(struct slice in, bool hash, bool backslash, char *out)
{
	/* Decode into the upper two thirds, then repair downwards: the writer can't overtake the reader. */
	char *decoded = out + 2 * in.len;
	size_t len = unescape(in, hash, backslash, decoded), n = 0;

	for (size_t at = 0, step; at < len; at += step) {
		step = utf8_sequence((const unsigned char *)decoded + at, len - at);
		if (step == 0) {
			memcpy(out + n, "\xef\xbf\xbd", 3);
			n += 3;
			step = 1;
		} else {
			memmove(out + n, decoded + at, step);
			n += step;
		}
	}
	return n;
}
