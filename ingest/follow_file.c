#include "ingest/follow.h"

#include "core/limits.h"
#include "core/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- its first bytes ---------------------------------------------------------------------------------- */

/* As many bytes as there are from `at` on, at most `n`; -1: it can't be read. */
static ssize_t pread_all(int fd, char *p, size_t n, uint64_t at)
{
	size_t len = 0;

	while (len < n) {
		ssize_t got = pread(fd, p + len, n - len, (off_t)(at + len));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	return (ssize_t)len;
}

/* The position names as much of the beginning as is known by now. */
static void update_head(struct followed *f)
{
	if (f->fd >= 0 && f->head_len < FOLLOW_HEAD) {
		ssize_t n = pread_all(f->fd, f->head, FOLLOW_HEAD, 0);

		f->head_len = n > (ssize_t)f->head_len ? (uint32_t)n : f->head_len;
	}
	if (f->at.head_len == f->head_len)
		return;
	f->at.head_len = f->head_len;
	sha256(slice_of(f->head, f->head_len), slice_of("", 0), f->at.head);
}

/* ---- opening ----------------------------------------------------------------------------------------- */

/* -1: errno says why. A FIFO or a device would hold everything up. */
static int open_regular(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

bool followed_open(struct followed *f, const char *path, uint64_t offset, bool packed)
{
	struct reader *reader = NULL;
	struct err err = { 0 };
	bool is_packed = false;
	struct stat st;
	int fd = open_regular(path, &st);

	if (fd < 0)
		return false;
	if (packed)
		reader = reader_packed(fd, &is_packed, &err);
	if (is_packed && !reader) {
		errno = ENOMEM;
		return false;
	}
	if (!is_packed)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	followed_close(f);
	*f = (struct followed){ .fd = is_packed ? -1 : fd, .reader = reader, .read = offset, .seen = (uint64_t)st.st_size };
	f->skip = is_packed ? offset : 0;
	f->still = is_packed;
	f->at = (struct position){ .dev = st.st_dev, .ino = st.st_ino, .offset = offset, .mtime_ns = mtime_ns(&st) };
	update_head(f);
	return true;
}

void followed_close(struct followed *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->reader)
		f->reader->close(f->reader);
	f->fd = -1;
	f->reader = NULL;
	stitch_free(&f->stitch);
}

/* ---- who it is --------------------------------------------------------------------------------------- */

bool followed_intact(struct followed *f)
{
	char head[FOLLOW_HEAD];
	struct stat st;

	if (f->fd < 0 || fstat(f->fd, &st) != 0)
		return true;		/* reading says what is wrong */
	f->seen = (uint64_t)st.st_size;
	f->at.mtime_ns = mtime_ns(&st);
	if (f->seen < f->read)
		return false;
	/* Cut, and longer than it was by now: it begins with other bytes. */
	return pread_all(f->fd, head, f->head_len, 0) != (ssize_t)f->head_len || memcmp(head, f->head, f->head_len) == 0;
}

void followed_rewind(struct followed *f)
{
	stitch_free(&f->stitch);
	f->at.offset = f->read = 0;
	f->at.head_len = f->head_len = 0;
	update_head(f);
}

/* The first `n` bytes of what is in the file; fewer when there are fewer. */
static size_t head_of(const char *path, char *p, size_t n, uint64_t *size)
{
	struct followed f = { .fd = -1 };
	struct err err = { 0 };
	ssize_t got = 1;
	size_t len = 0;

	if (!followed_open(&f, path, 0, true))
		return 0;
	*size = f.reader ? UINT64_MAX : f.seen;
	if (f.fd >= 0) {
		got = pread_all(f.fd, p, n, 0);
		len = got > 0 ? (size_t)got : 0;
	}
	while (f.reader && len < n && got > 0) {
		got = f.reader->read(f.reader, p + len, n - len, &err);
		len += got > 0 ? (size_t)got : 0;
	}
	followed_close(&f);
	return len;
}

bool followed_is(const char *path, const struct position *at)
{
	char head[FOLLOW_HEAD];
	uint64_t size = 0, digest[4];

	if (head_of(path, head, at->head_len, &size) != at->head_len || size < at->offset)
		return false;
	sha256(slice_of(head, at->head_len), slice_of("", 0), digest);
	return at->head_len == 0 || memcmp(digest, at->head, sizeof(digest)) == 0;
}

bool followed_same_head(const char *a, const char *b)
{
	char x[FOLLOW_HEAD], y[FOLLOW_HEAD];
	uint64_t size;

	return head_of(a, x, FOLLOW_HEAD, &size) == FOLLOW_HEAD && head_of(b, y, FOLLOW_HEAD, &size) == FOLLOW_HEAD &&
	       memcmp(x, y, FOLLOW_HEAD) == 0;
}

uint64_t followed_last_line(const struct followed *f)
{
	uint64_t from = f->seen > BLOCK_SIZE ? f->seen - BLOCK_SIZE : 0, at = from ? f->seen : 0;
	char p[4096];

	for (uint64_t piece = from; piece < f->seen; piece += sizeof(p)) {
		ssize_t n = pread_all(f->fd, p, sizeof(p), piece);
		const char *lf = n > 0 ? memrchr(p, '\n', (size_t)n) : NULL;

		if (lf)
			at = piece + (uint64_t)(lf - p) + 1;
	}
	return at < f->seen ? at : f->seen;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static ssize_t read_packed(struct followed *f, char *p, size_t n, struct err *err)
{
	ssize_t got = f->reader->read(f->reader, p, n, err);
	size_t head = FOLLOW_HEAD - f->head_len;

	if (got > 0 && head) {
		head = head < (size_t)got ? head : (size_t)got;
		memcpy(f->head + f->head_len, p, head);
		f->head_len += (uint32_t)head;
	}
	return got;
}

static ssize_t read_some(struct followed *f, char *p, size_t n, struct err *err)
{
	ssize_t got;

	if (f->reader)
		return read_packed(f, p, n, err);
	do
		got = pread(f->fd, p, n, (off_t)f->read);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		err_set(err, EXIT_INPUT, "cannot read: %m");
	else
		f->read += (uint64_t)got;
	return got;
}

/* On to the place where reading begins: what is compressed has no other way there. */
static enum followed_read skip(struct followed *f, char *p, struct err *err)
{
	for (size_t done = 0; f->skip && done < FOLLOW_SKIP;) {
		ssize_t n = read_packed(f, p, f->skip < BLOCK_SIZE ? (size_t)f->skip : BLOCK_SIZE, err);

		if (n == 0) {
			err_set(err, EXIT_INPUT, "it is shorter than what was read of it");
			n = -1;
		}
		if (n < 0)
			return FOLLOWED_BROKEN;
		f->skip -= (uint64_t)n;
		done += (size_t)n;
	}
	return FOLLOWED_MORE;
}

enum followed_read followed_fill(struct followed *f, struct block *b, bool last, struct err *err)
{
	enum followed_read how = FOLLOWED_MORE;
	struct stat st;
	size_t start;

	if (f->skip)
		return skip(f, b->p, err);
	start = stitch_begin(&f->stitch, b);
	while (b->len < BLOCK_SIZE && how == FOLLOWED_MORE) {
		ssize_t n = read_some(f, b->p + b->len, BLOCK_SIZE - b->len, err);

		if (n > 0)
			b->len += (size_t)n;
		else
			how = n < 0 ? FOLLOWED_BROKEN : FOLLOWED_END;
	}
	stitch_end(&f->stitch, b, start, last && how != FOLLOWED_MORE);
	f->at.offset += b->len;
	if (b->len && f->fd >= 0 && fstat(f->fd, &st) == 0) {
		f->at.mtime_ns = mtime_ns(&st);
		f->seen = (uint64_t)st.st_size;
	}
	if (b->len)
		update_head(f);
	return how;
}
