/*
 * ingest/xz.c - files that xz wrote, several streams in a row included. liblzma lives here.
 */
#include "ingest/reader.h"

#include <lzma.h>
#include <stdlib.h>
#include <unistd.h>

/* Enough for every preset of xz (-9 needs 65 MiB), and a bound for a hostile file. */
#define XZ_MEMORY (UINT64_C(128) << 20)

struct xz {
	struct reader reader;
	int fd;
	lzma_stream stream;
	lzma_action action;
	uint8_t buf[64 * 1024];
};

static ssize_t xz_read(struct reader *r, char *p, size_t n, struct err *err)
{
	struct xz *z = (struct xz *)r;
	lzma_ret code = LZMA_OK;

	z->stream.next_out = (uint8_t *)p;
	z->stream.avail_out = n;
	while (z->stream.avail_out == n && code == LZMA_OK) {
		if (z->stream.avail_in == 0 && z->action == LZMA_RUN) {
			ssize_t got = read(z->fd, z->buf, sizeof(z->buf));

			if (got < 0) {
				err_set(err, EXIT_INPUT, "cannot read: %m");
				return -1;
			}
			if (got == 0)
				z->action = LZMA_FINISH;
			z->stream.next_in = z->buf;
			z->stream.avail_in = (size_t)got;
		}
		code = lzma_code(&z->stream, z->action);
	}
	if (z->stream.avail_out < n)
		return (ssize_t)(n - z->stream.avail_out);
	if (code == LZMA_STREAM_END)
		return 0;
	err_set(err, EXIT_INPUT, "the xz data is %s (liblzma says %d)",
		code == LZMA_MEMLIMIT_ERROR ? "greedy: it wants too much memory" : "broken or cut", (int)code);
	return -1;
}

static void xz_close(struct reader *r)
{
	struct xz *z = (struct xz *)r;

	lzma_end(&z->stream);
	close(z->fd);
	free(z);
}

struct reader *reader_xz(int fd, struct err *err)
{
	struct xz *z = calloc(1, sizeof(*z));

	if (z)
		z->stream = (lzma_stream)LZMA_STREAM_INIT;
	if (!z || lzma_stream_decoder(&z->stream, XZ_MEMORY, LZMA_CONCATENATED) != LZMA_OK) {
		free(z);
		close(fd);
		err_set(err, EXIT_INPUT, "out of memory");
		return NULL;
	}
	z->reader = (struct reader){ xz_read, xz_close };
	z->fd = fd;
	z->action = LZMA_RUN;
	return &z->reader;
}
