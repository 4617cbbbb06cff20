/*
 * core/copy.h - copy a short string: most are below 32 bytes, and a call of memcpy costs more than the copy.
 */
#ifndef CORE_COPY_H
#define CORE_COPY_H

#include "core/slice.h"

#if defined(__SSE2__) && !defined(__SANITIZE_ADDRESS__)
#if defined(__has_feature)
#if !__has_feature(address_sanitizer)
#define COPY_WIDE 1
#endif
#else
#define COPY_WIDE 1
#endif
#endif

#ifdef COPY_WIDE
#include <emmintrin.h>
#endif

/*
 * Write the `n` bytes at `p` to `out`, which has room for n + 32. Up to 32 bytes are copied as one piece; that
 * may read behind the string, so it is done only where no page border lies between (as libc's strlen does).
 * Returns where the copy ends.
 */
static inline char *copy_short(char *out, const char *p, size_t n)
{
#ifdef COPY_WIDE
	if (__builtin_expect(n - 1 < 32 && ((uintptr_t)p & 4095) <= 4096 - 32, 1)) {	/* not 0: p may be NULL */
		__m128i a, b;

		__asm__("" : "+r"(p));	/* the compiler need not know that this may read behind the string */
		a = _mm_loadu_si128((const __m128i *)(const void *)p);
		b = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));

		_mm_storeu_si128((__m128i *)(void *)out, a);
		_mm_storeu_si128((__m128i *)(void *)(out + 16), b);
		return out + n;
	}
#endif
	if (n)
		memcpy(out, p, n);
	return out + n;
}

#endif
