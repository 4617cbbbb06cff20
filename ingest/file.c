/*
 * ingest/file.c - files and standard input, read to their end, one after another.
 */
#include "core/log.h"
#include "core/stop.h"
#include "ingest/ingest.h"
#include "ingest/reader.h"
#include "ingest/stitch.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct source {
	char **paths;			/* owned; NULL for standard input */
	size_t npaths, next;
	bool standard_input;
	struct reader *reader;		/* of the open file, or NULL */
	const char *path;
	struct stitch stitch;
	bool ended;			/* the open file has no more bytes */
	bool looks;			/* source_look: standard input is left where it stands */
	off_t stood;			/* there */
	bool later;			/* it was woken while it waited */
	int fd;				/* of the open file; its reader's */
	uint64_t bytes;			/* of the files before it, as they are stored */
};

/* ---- blocks ------------------------------------------------------------------------------------------ */

void block_alloc(struct block *b)
{
	char *p = calloc(1, BLOCK_SIZE + 2 * BLOCK_PAD);

	if (!p) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", BLOCK_SIZE + 2 * BLOCK_PAD);
		abort();
	}
	*b = (struct block){ .p = p + BLOCK_PAD };
}

void block_messages(struct block *b)
{
	char *aside = calloc(1, MESSAGE_ASIDE + 2 * BLOCK_PAD);

	b->message = calloc(MESSAGES_MAX, sizeof(*b->message));
	b->header = calloc(MESSAGES_HEADERS, sizeof(*b->header));
	if (!aside || !b->message || !b->header) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n",
			MESSAGES_MAX * sizeof(*b->message) + MESSAGE_ASIDE);
		abort();
	}
	b->aside = aside + BLOCK_PAD;
}

void block_free(struct block *b)
{
	if (b->p)
		free(b->p - BLOCK_PAD);
	if (b->aside)
		free(b->aside - BLOCK_PAD);
	free(b->message);
	free(b->header);
	b->p = b->aside = NULL;
	b->message = NULL;
	b->header = NULL;
}

/* ---- one file ---------------------------------------------------------------------------------------- */

struct plain {
	struct reader reader;
	int fd;
	bool waits;			/* not a regular file: reading may block */
};

/*
 * A pipe or a terminal may say nothing for hours: a wish to stop, or to look up, must get through. 1 when there is
 * something to read, else what is to be returned for it.
 */
static ssize_t wait_readable(int fd)
{
	struct pollfd p[3] = { { .fd = fd, .events = POLLIN }, { .fd = stop_fd(), .events = POLLIN },
			       { .fd = wake_fd(), .events = POLLIN } };

	while (poll(p, 3, -1) < 0 && errno == EINTR)
		;
	if (p[1].revents)
		return 0;
	if (p[2].revents) {		/* also when there is something to read: it may be about not reading it */
		wake_taken();
		return READ_LATER;
	}
	return 1;
}

static ssize_t plain_read(struct reader *r, char *p, size_t n, struct err *err)
{
	struct plain *x = (struct plain *)r;
	ssize_t got;

	do {
		ssize_t ready = x->waits ? wait_readable(x->fd) : 1;

		if (ready <= 0)
			return ready;
		got = read(x->fd, p, n);
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got < 0)
		err_set(err, EXIT_INPUT, "cannot read: %m");
	return got;
}

static void plain_close(struct reader *r)
{
	struct plain *x = (struct plain *)r;

	if (x->fd != STDIN_FILENO)
		close(x->fd);
	free(x);
}

struct reader *reader_plain(int fd, struct err *err)
{
	struct plain *x = malloc(sizeof(*x));
	struct stat st;

	if (!x) {
		close(fd);
		err_set(err, EXIT_INPUT, "out of memory");
		return NULL;
	}
	*x = (struct plain){ { plain_read, plain_close }, fd, fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) };
	if (!x->waits)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return &x->reader;
}

/* What compressed it, by its first bytes: names lie, and rotated files lose theirs. */
struct reader *reader_packed(int fd, bool *packed, struct err *err)
{
	static const struct {
		struct slice magic;
		struct reader *(*open)(int, struct err *);
	} kinds[] = {
		{ { "\x1f\x8b", 2 }, reader_gzip },
		{ { "\x28\xb5\x2f\xfd", 4 }, reader_zstd },
		{ { "\xfd" "7zXZ", 5 }, reader_xz },
	};
	char head[8];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	for (size_t i = 0; n > 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (slice_starts(slice_of(head, (size_t)n), kinds[i].magic)) {
			*packed = true;
			return kinds[i].open(fd, err);
		}
	*packed = false;
	return NULL;
}

static struct reader *reader_for(int fd, struct err *err)
{
	bool packed;
	struct reader *r = reader_packed(fd, &packed, err);

	return packed ? r : reader_plain(fd, err);
}

static bool open_next(struct source *s, struct err *err)
{
	struct stat st;
	int fd = STDIN_FILENO;

	if (s->standard_input) {
		s->path = "standard input";
		if (s->looks) {
			s->stood = lseek(fd, 0, SEEK_CUR);
			fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		}
		if (fd >= 0)
			s->reader = reader_for(fd, err);	/* `< old.log.gz` is a file as well */
		else
			err_set(err, EXIT_INPUT, "no descriptor left: %m");
	} else {
		s->path = s->paths[s->next];
		/* A FIFO without a writer must not hold up the wish to stop. */
		fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0 || fstat(fd, &st) != 0) {
			err_set(err, EXIT_INPUT, "cannot open it: %m");
		} else if (S_ISDIR(st.st_mode)) {
			close(fd);
			err_set(err, EXIT_INPUT, "it is a folder: name the files in it, as in %s/*", s->path);
		} else {
			s->reader = reader_for(fd, err);
		}
	}
	s->next++;
	s->fd = fd;
	if (!s->reader)
		return err_where(err, "%s", s->path);
	s->stitch.framing = FRAMING_UNKNOWN;
	s->stitch.torn = s->ended = false;
	return true;
}

static void close_file(struct source *s)
{
	if (s->reader) {
		s->bytes = source_bytes(s);
		s->reader->close(s->reader);
	}
	s->reader = NULL;
	if (s->looks && s->standard_input && s->next)
		lseek(STDIN_FILENO, s->stood, SEEK_SET);
}

/* ---- the source -------------------------------------------------------------------------------------- */

/* Is more input waiting right now? A pipe that pauses must not hold back what it has brought. */
static bool more_at_once(const struct source *s)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return !s->standard_input || poll(&p, 1, 0) > 0;
}

/* Read until the block is full, the file ends or the pipe pauses with a whole frame. */
static bool read_block(struct source *s, struct block *b, struct err *err)
{
	while (b->len < BLOCK_SIZE && !s->ended) {
		ssize_t got;

		if (b->len && !more_at_once(s) && stitch_whole(&s->stitch, b, 0, false))
			break;
		got = s->reader->read(s->reader, b->p + b->len, BLOCK_SIZE - b->len, err);
		if (got == READ_LATER) {
			s->later = true;
			break;
		}
		if (got < 0) {
			s->ended = true;
			return err_where(err, "%s", s->path);
		}
		s->ended = got == 0;
		b->len += (size_t)got;
	}
	return true;
}

/* The next block of the open file, which is closed at its end; false: that was it. */
static bool fill_open(struct source *s, struct block *b, struct err *err)
{
	b->len = 0;
	stitch_begin(&s->stitch, b);
	read_block(s, b, err);
	stitch_end(&s->stitch, b, 0, s->ended);
	if (s->ended)
		close_file(s);
	return b->len > 0;
}

enum fill source_fill(struct source *s, struct block *b, struct err *err)
{
	while (s->reader || s->next < s->npaths) {
		if (stop_requested())
			return FILL_END;
		if (!s->reader && !open_next(s, err))
			continue;
		s->later = false;
		if (fill_open(s, b, err))
			return FILL_BLOCK;
		if (s->later)
			return FILL_LATER;
	}
	return FILL_END;
}

/* ---- a look at the end ------------------------------------------------------------------------------- */

bool source_look(struct source *s)
{
	struct stat st;

	s->looks = true;
	if (s->standard_input)
		return fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode);
	for (size_t i = 0; i < s->npaths; i++)
		if (stat(s->paths[i], &st) != 0 || !S_ISREG(st.st_mode))
			return false;
	return true;
}

/* Of lines that nothing compresses the last block is enough: it begins inside a line, which is taken for a torn one. */
static void skip_to_last(struct source *s)
{
	char head[BLOCK_PAD + 16] = { 0 };
	struct plain *x = (struct plain *)s->reader;
	off_t at, end;
	ssize_t n;

	if (s->reader->read != plain_read || x->waits || (at = lseek(x->fd, 0, SEEK_CUR)) < 0 ||
	    (n = pread(x->fd, head, BLOCK_PAD, at)) <= 0)
		return;
	frame_boundary(head, (size_t)n, true, &s->stitch.framing);
	end = lseek(x->fd, 0, SEEK_END);
	s->stitch.torn = s->stitch.framing == FRAMING_LINES && end - at > (off_t)BLOCK_SIZE;
	lseek(x->fd, s->stitch.torn ? end - (off_t)BLOCK_SIZE : at, SEEK_SET);
}

bool source_last(struct source *s, struct block *b, struct err *err)
{
	struct block spare, swap;

	b->len = 0;
	if (s->next == s->npaths)
		return false;
	if (!open_next(s, err))
		return true;
	block_alloc(&spare);
	skip_to_last(s);
	while (s->reader && !stop_requested())
		if (fill_open(s, &spare, err)) {
			swap = *b;
			*b = spare;
			spare = swap;
		}
	close_file(s);
	block_free(&spare);
	return true;
}

/* ---- names ------------------------------------------------------------------------------------------- */

static bool add_path(struct source *s, const char *path)
{
	char **more = realloc(s->paths, (s->npaths + 1) * sizeof(*more));

	if (!more)
		return false;
	s->paths = more;
	s->paths[s->npaths] = strdup(path);
	return s->paths[s->npaths++] != NULL;
}

static const struct { const char *scheme, *advice; } sockets[] = {
	{ "tcp:", "; expected tcp://HOST:PORT, as in tcp://127.0.0.1:5514" },
	{ "udp:", "; expected udp://HOST:PORT, as in udp://127.0.0.1:5514" },
	{ "tls:", "; expected tls://HOST:PORT, as in tls://127.0.0.1:6514" },
};

/* Where somebody who begins finds HAProxy's log, and why he may not read it. */
static const char *advice(int error, const char *path)
{
	/* tcp:5514 */
	for (size_t i = 0; error == ENOENT && i < sizeof(sockets) / sizeof(sockets[0]); i++)
		if (strncmp(path, sockets[i].scheme, 4) == 0)
			return sockets[i].advice;
	return error == ENOENT ? "; HAProxy's log is often /var/log/haproxy.log, or in the journal: journalctl -u haproxy | haspan" :
	       error == EACCES && !*err_denied("%m", error) ? "; many systems let the group adm read logs" : "";
}

static bool expand(struct source *s, const char *path, struct err *err)
{
	bool literal = access(path, F_OK) == 0 || !strpbrk(path, "*?[");	/* a file may have a star in its name */
	glob_t found;
	int code;

	struct stat st;

	if (literal && (access(path, R_OK) != 0 || stat(path, &st) != 0)) {
		err_set(err, EXIT_INPUT, "cannot open it: %m%s", advice(errno, path));
		return err_where(err, "%s", path);
	}
	if (literal && S_ISDIR(st.st_mode)) {
		err_set(err, EXIT_INPUT, "it is a folder: name the files in it, as in %s/*", path);
		return err_where(err, "%s", path);
	}
	if (literal)
		return add_path(s, path) || err_set(err, EXIT_INPUT, "out of memory");
	code = glob(path, 0, NULL, &found);
	if (code != 0) {
		err_set(err, EXIT_INPUT, "no file has a name like this");
		return err_where(err, "%s", path);
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (!add_path(s, found.gl_pathv[i]))
			err_set(err, EXIT_INPUT, "out of memory");
	globfree(&found);
	return err->code == EXIT_DONE;
}

struct source *source_open(struct slice uri, struct err *err)
{
	struct source *s;
	char path[4096];

	s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(err, EXIT_INPUT, "out of memory");
		return NULL;
	}
	if (slice_starts(uri, SLICE("file:")))
		uri = slice_skip(uri, 5);
	if (slice_eq(uri, SLICE("-"))) {
		s->standard_input = true;
		s->npaths = 1;
		return s;
	}
	if (uri.len == 0 || uri.len >= sizeof(path)) {
		err_set(err, EXIT_USAGE, "expected file:PATH, a path or '-'");
	} else {
		memcpy(path, uri.p, uri.len);
		path[uri.len] = '\0';
		if (expand(s, path, err))
			return s;
	}
	source_close(s);
	return NULL;
}

bool source_reads(const struct source *s, const struct stat *file)
{
	struct stat st;

	for (size_t i = 0; i < s->npaths; i++)
		if ((s->standard_input ? fstat(STDIN_FILENO, &st) : stat(s->paths[i], &st)) == 0 &&
		    S_ISREG(st.st_mode) && st.st_dev == file->st_dev && st.st_ino == file->st_ino)
			return true;
	return false;
}

uint64_t source_bytes(const struct source *s)
{
	off_t at = s->reader ? lseek(s->fd, 0, SEEK_CUR) : 0;

	return s->bytes + (at > 0 ? (uint64_t)at : 0);
}

uint64_t source_size(const struct source *s)
{
	uint64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < s->npaths; i++) {
		if ((s->standard_input ? fstat(STDIN_FILENO, &st) : stat(s->paths[i], &st)) != 0 || !S_ISREG(st.st_mode))
			return 0;
		sum += (uint64_t)st.st_size;
	}
	return sum;
}

void source_close(struct source *s)
{
	if (!s)
		return;
	close_file(s);
	for (size_t i = 0; s->paths && i < s->npaths; i++)
		free(s->paths[i]);
	stitch_free(&s->stitch);
	free(s->paths);
	free(s);
}
