/*
 * ingest/gzip.c - files that gzip wrote, several members in a row included. zlib's reading half lives here.
 */
#include "ingest/reader.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

struct gzip {
	struct reader reader;
	gzFile file;
};

static ssize_t gzip_read(struct reader *r, char *p, size_t n, struct err *err)
{
	struct gzip *z = (struct gzip *)r;
	int got = gzread(z->file, p, n > INT_MAX ? INT_MAX : (unsigned)n), code;
	const char *why;

	if (got > 0)
		return got;
	why = gzerror(z->file, &code);
	if (got == 0 && code == Z_OK)
		return 0;
	if (strncmp(why, "<fd:", 4) == 0 && strstr(why, ": "))	/* zlib's name of the file */
		why = strstr(why, ": ") + 2;
	err_set(err, EXIT_INPUT, "the gzip data is broken or cut: %s", why);
	return -1;
}

static void gzip_close(struct reader *r)
{
	gzclose(((struct gzip *)r)->file);
	free(r);
}

struct reader *reader_gzip(int fd, struct err *err)
{
	struct gzip *z = malloc(sizeof(*z));
	gzFile file = z ? gzdopen(fd, "rb") : NULL;

	if (!file) {
		free(z);
		close(fd);
		err_set(err, EXIT_INPUT, "out of memory");
		return NULL;
	}
	*z = (struct gzip){ { gzip_read, gzip_close }, file };
	return &z->reader;
}
