/*
 * export/gzip.h - a body, compressed. zlib lives here.
 */
#ifndef EXPORT_GZIP_H
#define EXPORT_GZIP_H

#include "core/buf.h"

/*
 * Append `in` as one gzip member (RFC 1952), fast rather than small. `out->max` must hold
 * GZIP_BOUND(in.len).
 */
void gzip_pack(struct slice in, struct buf *out);

/* What incompressible bytes become at most: deflate's stored blocks, header and trailer. */
#define GZIP_BOUND(n) ((n) + (n) / 1024 + 4096)

#endif
