/*
 * core/hash.h - xxHash, header only: for what nobody else has to compute. XXH3 goes through memory as fast as it comes.
 */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop

#endif
