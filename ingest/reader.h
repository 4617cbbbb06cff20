/*
 * ingest/reader.h - private to ingest/: bytes of one file, whatever compresses it.
 */
#ifndef INGEST_READER_H
#define INGEST_READER_H

#include <sys/types.h>

#include "core/err.h"
#include "core/slice.h"

/* Nothing yet, and wake_input (core/stop.h) was called. */
#define READ_LATER (-2)

/* First member of every reader's own struct. */
struct reader {
	/* Up to `n` bytes: how many, 0 at the end, -1 with `err` filled (EXIT_INPUT), or READ_LATER. */
	ssize_t (*read)(struct reader *r, char *p, size_t n, struct err *err);
	void (*close)(struct reader *r);	/* frees it, closes its descriptor */
};

/* All take `fd` over, also when they fail. NULL: out of memory, `err` filled. */
struct reader *reader_plain(int fd, struct err *err);
struct reader *reader_gzip(int fd, struct err *err);	/* zlib */
struct reader *reader_zstd(int fd, struct err *err);	/* libzstd */
struct reader *reader_xz(int fd, struct err *err);	/* liblzma */

/*
 * The same by a file's first bytes: of a compressed one a reader, `*packed` is set and `fd` taken over. Of another NULL,
 * and `fd` stays the caller's.
 */
struct reader *reader_packed(int fd, bool *packed, struct err *err);

#endif
