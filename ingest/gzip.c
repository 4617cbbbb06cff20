/*
 * ingest/gzip.c - files that gzip wrote, several members in a row included. zlib's reading half lives here.
 *
 * Not by gzread: it takes whatever is broken behind a member for the end, and a log that was appended to loses its rest
 * without a word.
 */
#include "ingest/reader.h"

#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

/* inflateInit2: the largest window, and gzip's header and sum. */
#define GZIP_WINDOW (15 + 16)

struct gzip {
	struct reader reader;
	int fd;
	z_stream stream;
	bool between;		/* members; at the file's end that is the end */
	Bytef buf[64 * 1024];
};

static ssize_t broken(struct err *err, const char *why)
{
	err_set(err, EXIT_INPUT, "the gzip data is broken or cut: %s", why);
	return -1;
}

/* More bytes into `buf`, which is empty: 1, 0 at the end of the file, -1 with `err` filled. */
static int refill(struct gzip *z, struct err *err)
{
	ssize_t got = read(z->fd, z->buf, sizeof(z->buf));

	if (got < 0) {
		err_set(err, EXIT_INPUT, "cannot read: %m");
		return -1;
	}
	z->stream.next_in = z->buf;
	z->stream.avail_in = (uInt)got;
	return got > 0;
}

/* Zeros behind a member are padding (gzip(1)); anything else begins another one. */
static void begin_member(struct gzip *z)
{
	while (z->stream.avail_in && *z->stream.next_in == 0) {
		z->stream.next_in++;
		z->stream.avail_in--;
	}
	if (z->stream.avail_in) {
		inflateReset(&z->stream);
		z->between = false;
	}
}

static ssize_t gzip_read(struct reader *r, char *p, size_t n, struct err *err)
{
	struct gzip *z = (struct gzip *)r;
	uInt room = n > INT32_MAX ? INT32_MAX : (uInt)n;

	z->stream.next_out = (Bytef *)p;
	z->stream.avail_out = room;
	while (z->stream.avail_out == room) {
		int more = z->stream.avail_in ? 1 : refill(z, err), code;

		if (more < 0)
			return -1;
		if (more == 0)
			return z->between ? 0 : broken(err, "unexpected end of file");
		if (z->between)
			begin_member(z);
		if (z->between)
			continue;
		code = inflate(&z->stream, Z_NO_FLUSH);
		z->between = code == Z_STREAM_END;
		/* What came before is given; the next call finds the same again. */
		if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR && z->stream.avail_out == room)
			return broken(err, z->stream.msg ? z->stream.msg : zError(code));
	}
	return (ssize_t)(room - z->stream.avail_out);
}

static void gzip_close(struct reader *r)
{
	struct gzip *z = (struct gzip *)r;

	inflateEnd(&z->stream);
	close(z->fd);
	free(z);
}

struct reader *reader_gzip(int fd, struct err *err)
{
	struct gzip *z = calloc(1, sizeof(*z));

	if (!z || inflateInit2(&z->stream, GZIP_WINDOW) != Z_OK) {
		free(z);
		close(fd);
		err_set(err, EXIT_INPUT, "out of memory");
		return NULL;
	}
	z->reader = (struct reader){ gzip_read, gzip_close };
	z->fd = fd;
	return &z->reader;
}
