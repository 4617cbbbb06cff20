/*
 * ingest/zstd.c - files that zstd wrote, several frames in a row included. libzstd lives here.
 */
#include "ingest/reader.h"

#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

struct zstd {
	struct reader reader;
	int fd;
	ZSTD_DStream *stream;
	ZSTD_inBuffer in;
	size_t expect;		/* 0: between frames */
	char buf[64 * 1024];
};

static ssize_t zstd_read(struct reader *r, char *p, size_t n, struct err *err)
{
	struct zstd *z = (struct zstd *)r;
	ZSTD_outBuffer out = { p, n, 0 };

	while (out.pos == 0) {
		if (z->in.pos == z->in.size) {
			ssize_t got = read(z->fd, z->buf, sizeof(z->buf));

			if (got < 0) {
				err_set(err, EXIT_INPUT, "cannot read: %m");
				return -1;
			}
			if (got == 0 && z->expect == 0)
				return 0;
			if (got == 0) {
				err_set(err, EXIT_INPUT, "the zstd data is cut");
				return -1;
			}
			z->in = (ZSTD_inBuffer){ z->buf, (size_t)got, 0 };
		}
		z->expect = ZSTD_decompressStream(z->stream, &out, &z->in);
		if (ZSTD_isError(z->expect)) {
			err_set(err, EXIT_INPUT, "the zstd data is broken: %s", ZSTD_getErrorName(z->expect));
			return -1;
		}
	}
	return (ssize_t)out.pos;
}

static void zstd_close(struct reader *r)
{
	struct zstd *z = (struct zstd *)r;

	ZSTD_freeDStream(z->stream);
	close(z->fd);
	free(z);
}

struct reader *reader_zstd(int fd, struct err *err)
{
	struct zstd *z = calloc(1, sizeof(*z));
	ZSTD_DStream *stream = z ? ZSTD_createDStream() : NULL;

	if (!stream) {
		free(z);
		close(fd);
		err_set(err, EXIT_INPUT, "out of memory");
		return NULL;
	}
	z->reader = (struct reader){ zstd_read, zstd_close };
	z->fd = fd;
	z->stream = stream;
	return &z->reader;
}
