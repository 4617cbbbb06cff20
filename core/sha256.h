/*
 * core/sha256.h - SHA-256 of short strings, for ids that HAProxy computes too (converter digest(sha256)).
 */
#ifndef CORE_SHA256_H
#define CORE_SHA256_H

#include "core/slice.h"

/* The digest of `a` followed by `b`, as four big-endian words. Any thread; takes no memory. Pure. */
void sha256(struct slice a, struct slice b, uint64_t out[4]);

#endif
