/*
 * reconstruct/mix.h - private to reconstruct/: what ids are stirred with.
 */
#ifndef RECONSTRUCT_MIX_H
#define RECONSTRUCT_MIX_H

#include <stdint.h>

/* splitmix64's finisher: a bijection, so that different inputs never meet. */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* All zero is no id (W3C Trace Context, section 3.2.2.3). */
static inline uint64_t nonzero(uint64_t id)
{
	return id ? id : 1;
}

#endif
