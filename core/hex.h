/*
 * core/hex.h - hex digits to numbers, and back: one, and lower-case ones sixteen at once.
 */
#ifndef CORE_HEX_H
#define CORE_HEX_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The value of a hex digit of either case; -1: it is none. */
static inline int hex_value(char c)
{
	unsigned d = (unsigned char)c, letter = (d | 0x20) - 'a';

	return d - '0' <= 9 ? (int)(d - '0') : letter <= 5 ? (int)letter + 10 : -1;
}

/*
 * The 16 bytes at `p` as digits 0-9a-f (upper case is refused: W3C Trace Context section 2.2.2, HEXDIGLC):
 * false, `*out` untouched, when one of them is none.
 */
static inline bool hex16(const char *p, uint64_t *out)
{
#if defined(__SSE2__)
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0')), letter = _mm_sub_epi8(v, _mm_set1_epi8('a'));
	__m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
	__m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);
	__m128i nibbles, bytes;
	uint64_t n;

	if (_mm_movemask_epi8(_mm_or_si128(is_digit, is_letter)) != 0xffff)
		return false;
	letter = _mm_add_epi8(letter, _mm_set1_epi8(10));
	nibbles = _mm_or_si128(_mm_and_si128(is_digit, digit), _mm_and_si128(is_letter, letter));
	/* Each pair is a 16-bit lane, its high nibble in the low byte. */
	bytes = _mm_or_si128(_mm_slli_epi16(_mm_and_si128(nibbles, _mm_set1_epi16(0xff)), 4),
			     _mm_srli_epi16(nibbles, 8));
	_mm_storel_epi64((__m128i *)(void *)&n, _mm_packus_epi16(bytes, bytes));
	*out = __builtin_bswap64(n);
	return true;
#else
	uint64_t n = 0;

	for (int i = 0; i < 16; i++) {
		unsigned d = (unsigned char)p[i], x = d - '0' <= 9 ? d - '0' : d - 'a' <= 5 ? d - 'a' + 10 : 16;

		if (x > 15)
			return false;
		n = n << 4 | x;
	}
	*out = n;
	return true;
#endif
}

/* Eight nibbles to hex digits at once, first digit in the lowest byte. */
static inline uint64_t hex_digits8(uint32_t n)
{
	uint64_t v = __builtin_bswap32(n), letters;

	v = (v | v << 16) & UINT64_C(0x0000ffff0000ffff);
	v = (v | v << 8) & UINT64_C(0x00ff00ff00ff00ff);
	v = (v >> 4 | v << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	letters = (v + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
	return v + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
}

/* 16 lower-case digits at `p`, first digit the most significant. Returns where they end. */
static inline char *hex_put64(char *p, uint64_t n)
{
	uint64_t hi = hex_digits8((uint32_t)(n >> 32)), lo = hex_digits8((uint32_t)n);

	memcpy(p, &hi, 8);
	memcpy(p + 8, &lo, 8);
	return p + 16;
}

#endif
