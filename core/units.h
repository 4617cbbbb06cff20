/*
 * core/units.h - numbers with a unit behind them, as in 8M or 10s.
 */
#ifndef CORE_UNITS_H
#define CORE_UNITS_H

#include "core/slice.h"

#define TIME_UNITS "ms=1 s=1000 m=60000 h=3600000"
#define SIZE_UNITS "K=1024 M=1048576 G=1073741824 k=1000 KiB=1024 MiB=1048576 GiB=1073741824"

/*
 * `text` is a decimal number, alone or with one of `units` ("ms=1 s=1000 …"): true with `*n` and what its unit is worth in
 * `*scale`, which is left as it was where there is none. false: `*at` is the first byte that does not belong there.
 */
bool units_read(struct slice text, const char *units, uint64_t *n, uint64_t *scale, size_t *at);

/* So many bytes for a person: "312 bytes", "4.1 KB", "1.2 MB", "3.0 GB". Returns `out`. */
const char *units_bytes(uint64_t n, char out[32]);

#endif
