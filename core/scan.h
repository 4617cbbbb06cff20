/*
 * core/scan.h - find one or two bytes, fast, in short fields.
 *
 * All functions may READ up to 15 bytes behind `end` (never before `p`): buffers carry BLOCK_PAD for that.
 * They never return anything beyond `end`. With HASPAN_SANITIZE a plain loop is used, so that tools which
 * know the exact size of a test's buffer stay quiet; tests/guard.h proves the bound of the wide one.
 */
#ifndef CORE_SCAN_H
#define CORE_SCAN_H

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

/* What a line contains that needs a second look before it may leave as a string. */
enum scan_dirt {
	SCAN_HIGH = 1,		/* a byte >= 0x80: may be invalid UTF-8 */
	SCAN_HASH = 2,		/* '#': may be one of HAProxy's #XX escapes */
	SCAN_BACKSLASH = 4,	/* '\': may be an escape of +E */
};

/* The `enum scan_dirt` bits of [p, end). */
static inline unsigned scan_dirt(const char *p, const char *end)
{
	unsigned dirt = 0;
#ifdef SCAN_WIDE
	if (end - p >= 16) {
		const __m128i hash = _mm_set1_epi8('#'), back = _mm_set1_epi8('\\');
		__m128i high = _mm_setzero_si128(), hashes = high, backs = high;

		for (;; p += 16) {
			__m128i got;

			if (end - p < 16)
				p = end - 16;	/* the last bytes, some of them twice */
			got = _mm_loadu_si128((const __m128i *)(const void *)p);
			high = _mm_or_si128(high, got);
			hashes = _mm_or_si128(hashes, _mm_cmpeq_epi8(got, hash));
			backs = _mm_or_si128(backs, _mm_cmpeq_epi8(got, back));
			if (p + 16 == end)
				break;
		}
		dirt |= _mm_movemask_epi8(high) ? SCAN_HIGH : 0;
		dirt |= _mm_movemask_epi8(hashes) ? SCAN_HASH : 0;
		dirt |= _mm_movemask_epi8(backs) ? SCAN_BACKSLASH : 0;
		return dirt;
	}
#endif
	for (; p < end; p++) {
		dirt |= (unsigned char)*p >= 0x80 ? SCAN_HIGH : 0;
		dirt |= *p == '#' ? SCAN_HASH : 0;
		dirt |= *p == '\\' ? SCAN_BACKSLASH : 0;
	}
	return dirt;
}

#endif
