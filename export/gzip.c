#include "export/gzip.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

/* Windows of 2^15 bytes; 16 more asks zlib for a gzip frame instead of its own. */
#define GZIP_WINDOW (15 + 16)

/* Level 6 costs twice the time for a tenth less bytes. */
#define GZIP_LEVEL 1

/* zlib's default use of memory. */
#define GZIP_MEMORY 8

/* Only a lack of memory or a bug of ours gets here. */
static void gzip_fail(const z_stream *z, int code)
{
	fprintf(stderr, "haspan: gzip: %s (%d)\n", z->msg ? z->msg : "failed", code);
	abort();
}

void gzip_pack(struct slice in, struct buf *out)
{
	z_stream z = { 0 };
	uLong bound;
	int code = deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
				Z_DEFAULT_STRATEGY);

	if (code != Z_OK)
		gzip_fail(&z, code);
	bound = deflateBound(&z, in.len);
	/* zlib does not write through next_in; its type only says so with ZLIB_CONST. */
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.len;
	z.next_out = (Bytef *)buf_room(out, bound);
	z.avail_out = (uInt)bound;
	code = deflate(&z, Z_FINISH);
	if (code != Z_STREAM_END)
		gzip_fail(&z, code);
	out->len += z.total_out;
	deflateEnd(&z);
}
