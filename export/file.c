/*
 * export/file.c - sinks that write bytes somewhere local: a file, standard output, or nowhere.
 */
#include "core/log.h"
#include "export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct file_sink {
	struct sink sink;
	int fd;				/* -1: nowhere, or closed */
	pthread_mutex_t closing;	/* finish closes it while another thread may be in sync */
	pthread_mutex_t lock;		/* of tally */
	struct sink_tally tally;
};

/* All of it, or false with errno set. */
static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* A reader that has seen enough (`| head`) is no mishap; why spans were dropped must be said all the same. */
static void write_failed(struct file_sink *f)
{
	f->sink.failed = true;
	if (errno == EPIPE)
		log_info("the reader of %s went away", f->fd == STDOUT_FILENO ? "standard output" : f->sink.uri);
	else
		log_error("cannot write to %s: %m", f->sink.uri);
}

static void file_submit(struct sink *s, struct wire *w)
{
	struct file_sink *f = (struct file_sink *)s;
	bool ok = !s->failed && (f->fd < 0 || write_all(f->fd, w->bytes.p, w->bytes.len));

	if (!ok && !s->failed)
		write_failed(f);
	pthread_mutex_lock(&f->lock);
	f->tally.exported += ok ? w->spans : 0;
	f->tally.dropped += ok ? 0 : w->spans;
	pthread_mutex_unlock(&f->lock);
	w->bytes.len = 0;
	w->spans = 0;
}

static void file_finish(struct sink *s)
{
	struct file_sink *f = (struct file_sink *)s;

	pthread_mutex_lock(&f->closing);
	/* A full disk may show only now (NFS, quotas). */
	if (f->fd > STDERR_FILENO && close(f->fd) != 0 && !s->failed)
		write_failed(f);
	f->fd = -1;
	pthread_mutex_unlock(&f->closing);
}

static void file_tally(struct sink *s, struct sink_tally *out)
{
	struct file_sink *f = (struct file_sink *)s;

	pthread_mutex_lock(&f->lock);
	*out = f->tally;
	pthread_mutex_unlock(&f->lock);
}

static void file_free(struct sink *s)
{
	struct file_sink *f = (struct file_sink *)s;

	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->closing);
	free(f->sink.uri);
	free(f);
}

/* What was written is settled at once. */
static uint64_t file_unsettled(struct sink *s)
{
	(void)s;
	return UINT64_MAX;
}

static void file_sync(struct sink *s)
{
	struct file_sink *f = (struct file_sink *)s;

	pthread_mutex_lock(&f->closing);
	/* Fails on a pipe or a terminal, which keep nothing. */
	if (f->fd > STDERR_FILENO && fdatasync(f->fd) != 0)
		log_debug("%s: %m", f->sink.uri);
	pthread_mutex_unlock(&f->closing);
}

static const struct sink_ops file_ops = {
	.submit = file_submit,
	.finish = file_finish,
	.tally = file_tally,
	.unsettled = file_unsettled,
	.sync = file_sync,
	.free = file_free,
};

static struct sink *file_sink_new(int fd, const struct encoder *enc, struct err *err)
{
	struct file_sink *f = calloc(1, sizeof(*f));

	if (!f) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	f->sink.ops = &file_ops;
	f->sink.encoder = enc;
	f->fd = fd;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->closing, NULL);
	return &f->sink;
}

struct sink *null_sink_open(struct err *err)
{
	return file_sink_new(-1, &encoder_protobuf, err);
}

struct sink *file_sink_open(struct slice path, const struct encoder *enc, struct err *err)
{
	static const struct slice append = { "?append=true", 12 };
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_TRUNC, fd;
	char name[4096];

	if (slice_eq(path, SLICE("-")))
		return file_sink_new(STDOUT_FILENO, enc, err);
	if (path.len > append.len && slice_eq(slice_skip(path, path.len - append.len), append)) {
		path.len -= append.len;
		flags = (flags & ~O_TRUNC) | O_APPEND;
	}
	if (path.len == 0 || path.len >= sizeof(name)) {
		err_set(err, EXIT_USAGE, "expected file:PATH");
		return NULL;
	}
	memcpy(name, path.p, path.len);
	name[path.len] = '\0';
	/* A FIFO that nobody reads would keep the program from its signals. */
	fd = open(name, flags | O_NONBLOCK, 0644);
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	if (fd < 0 && errno == ENXIO) {
		err_set(err, EXIT_EXPORT, "nobody reads this pipe: start its reader first");
		err_where(err, "%s", name);
		return NULL;
	}
	if (fd < 0) {
		err_set(err, EXIT_EXPORT, errno == ENOENT ? "cannot write to it: its folder is not there, make it first" :
							    "cannot write to it: %m");
		err_where(err, "%s", name);
		return NULL;
	}
	return file_sink_new(fd, enc, err);
}
