#include "core/json.h"

#include "core/copy.h"

/* 1: has an escape of its own or needs \u; 2: may begin U+2028 or U+2029. */
static const unsigned char special[256] = {
	[0 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1, [0x7f] = 1, [0xe2] = 2,
};

size_t json_plain(struct slice s)
{
	size_t i = 0;

#ifdef COPY_WIDE
	const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'), del = _mm_set1_epi8(0x7f);
	const __m128i space = _mm_set1_epi8(0x20);

	for (; s.len - i >= 16; i += 16) {
		__m128i got = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		/* Signed: control bytes and all above 0x7f are below the blank; the latter get a second look. */
		__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(got, quote), _mm_cmpeq_epi8(got, back)),
					   _mm_or_si128(_mm_cmpeq_epi8(got, del), _mm_cmplt_epi8(got, space)));

		if (_mm_movemask_epi8(hit))
			break;
	}
#endif
	while (i < s.len && !special[(unsigned char)s.p[i]])
		i++;
	return i;
}

static char *unicode(char *p, unsigned c)
{
	static const char digits[] = "0123456789abcdef";

	*p++ = '\\';
	*p++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*p++ = digits[c >> shift & 15];
	return p;
}

/* The byte at the front needs care: write it, return how many bytes it took. */
static size_t escape_one(struct buf *out, struct slice s)
{
	static const char letters[] = "btnvfr";		/* 8 to 13; \v is not JSON's */
	unsigned char c = (unsigned char)*s.p;
	char *p = buf_room(out, 8);

	if (c == 0xe2) {
		if (s.len >= 3 && (unsigned char)s.p[1] == 0x80 && ((unsigned char)s.p[2] | 1) == 0xa9) {
			out->len = (size_t)(unicode(p, 0x2028u + ((unsigned char)s.p[2] & 1u)) - out->p);
			return 3;
		}
		*p = *s.p;
		out->len++;
		return 1;
	}
	if (c == '"' || c == '\\' || (c >= 8 && c <= 13 && c != 11)) {
		*p++ = '\\';
		*p = c < 0x20 ? letters[c - 8] : (char)c;
		out->len += 2;
		return 1;
	}
	out->len = (size_t)(unicode(p, c) - out->p);
	return 1;
}

void json_escape(struct buf *out, struct slice s)
{
	while (s.len) {
		size_t n = json_plain(s);

		if (n) {
			copy_short(buf_room(out, n), s.p, n);
			out->len += n;
			s = slice_skip(s, n);
		}
		if (s.len)
			s = slice_skip(s, escape_one(out, s));
	}
}

void json_pair(struct buf *out, const char *key, struct slice s)
{
	buf_printf(out, "\"%s\":\"", key);
	json_escape(out, s);
	buf_char(out, '"');
}
