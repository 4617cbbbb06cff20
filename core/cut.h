/*
 * core/cut.h - names that are too long for what is kept of them.
 */
#ifndef CORE_CUT_H
#define CORE_CUT_H

#include "core/slice.h"

/* `…` and eight digits. */
#define CUT_SIGN 11

/*
 * Write `name` to `to`, which has room for `max` bytes, at least 16; returns how many it took. Of a longer one it is the
 * beginning, whole characters of it, then `…` and eight hex digits of the whole name's hash: two that begin alike stay two.
 */
size_t cut_name(char *to, size_t max, struct slice name);

#endif
