/*
 * core/scan.h - find one or two bytes, fast, in short fields.
 *
 * All functions may READ up to 15 bytes behind `end` (never before `p`): buffers carry BLOCK_PAD for that.
 * They never return anything beyond `end`. tests/test_guard.c proves the bound.
 */
#ifndef CORE_SCAN_H
#define CORE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#define SCAN_WIDE 1
#endif

/* The first `c` in [p, end), or `end`. */
static inline const char *scan_byte(const char *p, const char *end, char c)
{
#ifdef SCAN_WIDE
	const __m128i want = _mm_set1_epi8(c);

	for (; p < end; p += 16) {
		__m128i got = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(got, want));

		if (hits) {
			p += __builtin_ctz(hits);
			return p < end ? p : end;
		}
	}
	return end;
#else
	while (p < end && *p != c)
		p++;
	return p;
#endif
}

/* The first `a` or `b` in [p, end), or `end`. */
static inline const char *scan_either(const char *p, const char *end, char a, char b)
{
#ifdef SCAN_WIDE
	const __m128i wa = _mm_set1_epi8(a), wb = _mm_set1_epi8(b);

	for (; p < end; p += 16) {
		__m128i got = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i eq = _mm_or_si128(_mm_cmpeq_epi8(got, wa), _mm_cmpeq_epi8(got, wb));
		unsigned hits = (unsigned)_mm_movemask_epi8(eq);

		if (hits) {
			p += __builtin_ctz(hits);
			return p < end ? p : end;
		}
	}
	return end;
#else
	while (p < end && *p != a && *p != b)
		p++;
	return p;
#endif
}

/* The first '{', '|', '}' or '"' in [p, end), or `end`: what can stand in a block of captures and is no text. */
static inline const char *scan_block(const char *p, const char *end)
{
#ifdef SCAN_WIDE
	const __m128i brace = _mm_set1_epi8('{'), quote = _mm_set1_epi8('"'), two = _mm_set1_epi8(2);

	for (; p < end; p += 16) {
		__m128i got = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i above = _mm_sub_epi8(got, brace);	/* '{', '|' and '}' are neighbours */
		__m128i eq = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(above, two), above), _mm_cmpeq_epi8(got, quote));
		unsigned hits = (unsigned)_mm_movemask_epi8(eq);

		if (hits) {
			p += __builtin_ctz(hits);
			return p < end ? p : end;
		}
	}
	return end;
#else
	while (p < end && *p != '{' && *p != '|' && *p != '}' && *p != '"')
		p++;
	return p;
#endif
}

/* Is all of [p, end) made of what addresses are: hexadecimal digits, '.' and ':'? */
static inline bool scan_address(const char *p, const char *end)
{
#ifdef SCAN_WIDE
	for (; p < end; p += 16) {
		__m128i got = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i digit = _mm_sub_epi8(got, _mm_set1_epi8('0'));		/* ':' follows '9' */
		__m128i letter = _mm_sub_epi8(_mm_or_si128(got, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
		__m128i good = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(10)), digit),
					    _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter));
		unsigned bad;

		good = _mm_or_si128(good, _mm_cmpeq_epi8(got, _mm_set1_epi8('.')));
		bad = ~(unsigned)_mm_movemask_epi8(good) & 0xffff;
		if (end - p < 16)
			bad &= (1u << (end - p)) - 1;
		if (bad)
			return false;
	}
	return true;
#else
	for (; p < end; p++)
		if (!(*p >= '0' && *p <= ':') && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f') && *p != '.')
			return false;
	return true;
#endif
}

/*
 * The decimal number of 1 to 7 digits at `p`, of which 8 bytes are readable: its value, and in `*digits` its
 * length; 0 when there is no digit or there are more than 7. No loop and no branch: log lines are full of numbers
 * whose length nobody can predict.
 */
static inline uint64_t scan_number(const char *p, unsigned *digits)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t v, other;
	unsigned n;

	__builtin_memcpy(&v, p, 8);
	v ^= UINT64_C(0x3030303030303030);
	/* The high bit of each byte that is no digit; the lowest of them ends the number. */
	other = ((v + UINT64_C(0x7676767676767676)) | v) & UINT64_C(0x8080808080808080);
	n = other ? (unsigned)__builtin_ctzll(other) >> 3 : 8;
	if (n - 1 > 6) {
		*digits = 0;
		return 0;
	}
	*digits = n;
	v <<= 64 - 8 * n;		/* leading zeros instead of what stands behind */
	v = (v * 10 + (v >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
	v = (v * 100 + (v >> 16)) & UINT64_C(0x0000ffff0000ffff);
	return (v * 10000 + (v >> 32)) & UINT32_MAX;
#else
	uint64_t n = 0;
	unsigned len = 0;

	for (; len < 8 && p[len] >= '0' && p[len] <= '9'; len++)
		n = n * 10 + (unsigned)(p[len] - '0');
	*digits = len < 8 ? len : 0;
	return n;
#endif
}

/* What a line contains that needs a second look before it may leave as a string. */
enum scan_dirt {
	SCAN_HIGH = 1,		/* a byte >= 0x80: may be invalid UTF-8 */
	SCAN_HASH = 2,		/* '#': may be one of HAProxy's #XX escapes */
	SCAN_LINE = 4,		/* a newline: it is two lines that were sent as one */
};

/* The `enum scan_dirt` bits of [p, end). */
static inline unsigned scan_dirt(const char *p, const char *end)
{
	unsigned dirt = 0;
#ifdef SCAN_WIDE
	if (end - p >= 16) {
		const __m128i hash = _mm_set1_epi8('#'), newline = _mm_set1_epi8('\n');
		const char *last = end - 16;
		__m128i high = _mm_setzero_si128(), hashes = high, newlines = high;

		for (;; p = p + 16 < last ? p + 16 : last) {	/* the last bytes, some of them twice */
			__m128i got = _mm_loadu_si128((const __m128i *)(const void *)p);

			high = _mm_or_si128(high, got);
			hashes = _mm_or_si128(hashes, _mm_cmpeq_epi8(got, hash));
			newlines = _mm_or_si128(newlines, _mm_cmpeq_epi8(got, newline));
			if (p == last)
				break;
		}
		dirt |= _mm_movemask_epi8(high) ? SCAN_HIGH : 0;
		dirt |= _mm_movemask_epi8(hashes) ? SCAN_HASH : 0;
		dirt |= _mm_movemask_epi8(newlines) ? SCAN_LINE : 0;
		return dirt;
	}
#endif
	for (; p < end; p++) {
		dirt |= (unsigned char)*p >= 0x80 ? SCAN_HIGH : 0;
		dirt |= *p == '#' ? SCAN_HASH : 0;
		dirt |= *p == '\n' ? SCAN_LINE : 0;
	}
	return dirt;
}

#endif
