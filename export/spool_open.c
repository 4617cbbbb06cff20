/*
 * export/spool_open.c - the spool's folder: who has it, and what a run before this one left in it.
 */
#include "export/spool_private.h"

#include "core/folder.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Characters of a sink's URL that its folder shows. */
#define FOLDER_SHOWN 60

/* ---- names --------------------------------------------------------------------------------------------------- */

/* DIR/collector_4318_v1_traces-0123456789abcdef; owned. */
static char *folder(const char *dir, const char *shown, const char *url)
{
	struct slice rest = slice_str(shown);
	struct buf out = { .max = 64 * 1024 };
	size_t scheme = slice_find(rest, '/');

	while (scheme < rest.len && rest.p[scheme] == '/')
		scheme++;
	rest = slice_skip(rest, scheme);
	buf_printf(&out, "%s/", dir);
	for (size_t i = 0; i < rest.len && i < FOLDER_SHOWN; i++) {
		char c = slice_lower(rest.p[i]);

		buf_char(&out, (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || (c == '.' && i) ? c : '_');
	}
	buf_printf(&out, "-%016" PRIx64, (uint64_t)XXH3_64bits(url, strlen(url)));
	buf_char(&out, '\0');
	return out.p;
}

/* No stream comes to here: a position and a size make no overflow. */
#define POSITION_MAX ((uint64_t)1 << 62)

/* Nor has a segment ever more bytes: full but for one, one large record, and what a failed write left of another. */
#define FILE_BYTES_MAX (SPOOL_SEGMENT_MAX + 2 * (WIRE_MAX + SPOOL_HEADER))

/* Is `name` a segment's, spelled as segment_name does it? */
static bool segment_base(const char *name, uint64_t *base)
{
	char same[SEGMENT_NAME_LEN + 1];

	*base = strtoull(name, NULL, 16);
	segment_name(*base, same);
	return strcmp(name, same) == 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static bool fails(const char *path, const char *what, struct err *err)
{
	err_set(err, EXIT_CONFIG, "%s: %m", what);
	return err_where(err, "--spool %s", path);
}

static bool make_folder(struct spool *s, const char *dir, struct err *err)
{
	if (!folder_make(dir))
		return fails(dir, "cannot make this folder", err);
	if (mkdir(s->path, 0700) != 0 && errno != EEXIST)
		return fails(s->path, "cannot make this folder", err);
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->dir >= 0 || fails(s->path, "cannot open this folder", err);
}

/* A file of our own beside the segments. What else may stand there under its name is not to be written to. */
static int own_file(const struct spool *s, const char *name)
{
	int fd = openat(s->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

static bool lock_folder(struct spool *s, struct err *err)
{
	char pid[32] = "";
	ssize_t n;

	s->lock_fd = own_file(s, "lock");
	if (s->lock_fd < 0)
		return fails(s->path, "cannot make the file `lock` in this folder", err);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
		if (n > 0 && pid[0] >= '1' && pid[0] <= '9')
			err_set(err, EXIT_CONFIG, "another haspan has this spool: process %ld; two need a --spool each",
				strtol(pid, NULL, 10));
		else
			err_set(err, EXIT_CONFIG, "another haspan has this spool; two need a --spool each");
		return err_where(err, "--spool %s", s->path);
	}
	/* Only for whoever comes second: it may fail. */
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (pwrite(s->lock_fd, pid, (size_t)n, 0) != n || ftruncate(s->lock_fd, n) != 0)
		log_debug("spool %s: %m", s->path);
	return true;
}

/* Both places of the mark; the later one that is intact counts. None: everything there is to be sent. */
static bool read_mark(struct spool *s, struct err *err)
{
	char marks[2 * SPOOL_MARK] = { 0 };
	uint64_t generation, at;
	ssize_t n;

	s->mark_fd = own_file(s, "mark");
	n = s->mark_fd < 0 ? -1 : pread(s->mark_fd, marks, sizeof(marks), 0);
	/* A mark that shows up again one day would let newer records pass for answered. */
	if (n < 0)
		return fails(s->path, "cannot open the file `mark` in this folder", err);
	for (int i = 0; i < 2; i++)
		if (spool_mark_read(marks + (size_t)i * SPOOL_MARK, &generation, &at) && generation > s->generation &&
		    at < POSITION_MAX) {
			s->generation = generation;
			s->head = s->marked = at;
		}
	return true;
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

static int by_base(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

/* Could a spool have made a segment of this name and size? Somebody else's stays as it is. */
static bool is_segment(struct spool *s, const char *name, uint64_t *base, uint64_t *size)
{
	struct stat st;

	if (!segment_base(name, base) || fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	*size = (uint64_t)st.st_size;
	if (*base < POSITION_MAX && *size <= FILE_BYTES_MAX)
		return true;
	s->corrupt++;
	log_warn("spool %s: %s is no file of a spool's; it is left alone", s->path, name);
	return false;
}

static bool list_segments(struct spool *s, struct err *err)
{
	DIR *d = fdopendir(fcntl(s->dir, F_DUPFD_CLOEXEC, 3));
	uint64_t base, size;
	struct dirent *e;

	if (!d)
		return fails(s->path, "cannot read this folder", err);
	rewinddir(d);
	while ((e = readdir(d)))
		if (is_segment(s, e->d_name, &base, &size) && !spool_add_segment(s, base, size, -1)) {
			closedir(d);
			return fails(s->path, "out of memory for its files", err);
		}
	closedir(d);
	if (s->n)
		qsort(s->segment, s->n, sizeof(*s->segment), by_base);
	return true;
}

/* Does the segment hold a whole record at or behind `at`? */
static bool has_record(struct spool *s, const struct segment *g, uint64_t at)
{
	char name[SEGMENT_NAME_LEN + 1];
	struct spool_record r;
	bool has;
	int fd;

	segment_name(g->base, name);
	fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	has = fd >= 0 && spool_seek(s, fd, g->base, g->base + g->size, &at, &r) > 0;
	s->window_len = 0;
	if (fd >= 0)
		close(fd);
	return has;
}

/*
 * A segment ends where the next one begins: what stands behind that is what a failed write left; in the next one too, when
 * both have no whole record there. Else one of them is not what this spool wrote: the one without, or nobody knows which.
 */
static void part_segments(struct spool *s)
{
	for (size_t i = 0; i + 1 < s->n;) {
		struct segment *g = &s->segment[i], *next = g + 1;
		bool real, inside;

		if (g->base + g->size <= next->base) {
			i++;
			continue;
		}
		real = has_record(s, next, next->base);
		inside = has_record(s, g, next->base);
		if (next->size && inside) {
			s->corrupt++;
			log_warn("spool %s: %016" PRIx64 ".spool lies inside the file before it", s->path, next->base);
		}
		if (real || !inside) {
			g->size = next->base - g->base;
			i++;
			continue;
		}
		/* It stays where it is, and is not ours. */
		s->bytes -= next->size;
		s->n--;
		memmove(next, next + 1, (s->n - i - 1) * sizeof(*next));
	}
}

/* Is what stands from `from` to `limit` what a write leaves that did not end: too little for a header, or zeros? */
static bool is_torn(int fd, uint64_t base, uint64_t from, uint64_t limit)
{
	char some[4096];

	if (limit - from < SPOOL_HEADER)
		return true;
	while (from < limit) {
		uint64_t n = limit - from < sizeof(some) ? limit - from : sizeof(some);

		if (!spool_pread(fd, some, n, from - base))
			return false;
		for (uint64_t i = 0; i < n; i++)
			if (some[i])
				return false;
		from += n;
	}
	return true;
}

/* Does an intact header stand at `at`, whose payload ends behind `limit`? */
static bool is_cut(int fd, uint64_t base, uint64_t at, uint64_t limit)
{
	struct spool_record r;
	char header[SPOOL_HEADER];

	return limit - at >= SPOOL_HEADER && spool_pread(fd, header, sizeof(header), at - base) &&
	       spool_record_read(header, at, &r) && r.len > limit - at - SPOOL_HEADER;
}

/*
 * Count the spans from the head on; by the headers alone, payloads are looked at when they are sent. The last segment's
 * torn end is forgotten.
 */
static void scan_segment(struct spool *s, struct segment *g, bool last)
{
	uint64_t limit = g->base + g->size, at = s->head > g->base ? s->head : g->base, whole = at;
	struct spool_record r;
	char name[SEGMENT_NAME_LEN + 1];
	int fd;

	segment_name(g->base, name);
	fd = at < limit ? openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	while (fd >= 0 && spool_seek(s, fd, g->base, limit, &at, &r) > 0) {
		g->spans += r.spans;
		at += SPOOL_HEADER + r.len;
		whole = at;
	}
	if (fd >= 0 && last && whole < limit && (is_torn(fd, g->base, whole, limit) || is_cut(fd, g->base, whole, limit))) {
		s->bytes -= limit - whole;
		g->size = whole - g->base;
	}
	if (fd >= 0)
		close(fd);
	s->window_len = 0;
	s->restored += g->spans;
}

/* The head may stand in the middle of a segment, and segments may be missing. New records begin behind all of them. */
static void scan(struct spool *s)
{
	s->end = s->head;
	s->bytes = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct segment *g = &s->segment[i];

		s->bytes += g->size;
		scan_segment(s, g, i + 1 == s->n);
		s->end = g->base + g->size > s->end ? g->base + g->size : s->end;
	}
	s->cursor = s->head;
}

uint64_t spool_restored(const struct spool *s)
{
	return s->restored;
}

struct spool *spool_open(const char *dir, const char *shown, const char *url, uint64_t max, struct err *err)
{
	struct spool *s = calloc(1, sizeof(*s));
	char size[32];

	if (!s) {
		err_set(err, EXIT_CONFIG, "out of memory for a spool");
		return NULL;
	}
	s->dir = s->lock_fd = s->mark_fd = s->read_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	s->max = max;
	s->segment_max = max / SPOOL_SEGMENTS < SPOOL_SEGMENT_MAX ? max / SPOOL_SEGMENTS : SPOOL_SEGMENT_MAX;
	s->path = folder(dir, shown, url);
	if (make_folder(s, dir, err) && lock_folder(s, err) && read_mark(s, err) && list_segments(s, err)) {
		part_segments(s);
		scan(s);
		/* Answered for, or empty. */
		spool_settle(s, s->head);
		if (s->restored)
			log_info("spool %s: %" PRIu64 " spans of an earlier run (%s) are to be sent", s->path, s->restored,
				 units_bytes(s->end - s->head, size));
		return s;
	}
	/* What is there is somebody else's, or not readable: it stays as it is. */
	if (s->mark_fd >= 0)
		close(s->mark_fd);
	s->mark_fd = -1;
	spool_close(s);
	return NULL;
}

bool spool_check(const char *dir, struct err *err)
{
	if (access(dir, F_OK) == 0)
		return access(dir, W_OK | X_OK) == 0 || fails(dir, "cannot write into this folder", err);
	return folder_could(dir) || fails(dir, "cannot make this folder", err);
}

/* ---- those that nobody asks for any more ---------------------------------------------------------------------------- */

static uint64_t bytes_in(int dir)
{
	DIR *d = fdopendir(fcntl(dir, F_DUPFD_CLOEXEC, 3));
	uint64_t bytes = 0, base;
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)))
		if (segment_base(e->d_name, &base) && fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			bytes += (uint64_t)st.st_size;
	if (d)
		closedir(d);
	return bytes;
}

static void look_at(int root, const char *dir, const char *name)
{
	int sub = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int lock = sub < 0 ? -1 : openat(sub, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint64_t bytes;
	char size[32];

	/* A spool that is in use is locked, by us or by others. */
	if (lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) == 0) {
		bytes = bytes_in(sub);
		if (bytes)
			log_warn("spool %s/%s: %s of spans for a sink that is not configured; they are kept", dir, name,
				 units_bytes(bytes, size));
	}
	if (lock >= 0)
		close(lock);
	if (sub >= 0)
		close(sub);
}

void spool_strays(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			look_at(dirfd(d), dir, e->d_name);
	if (d)
		closedir(d);
}
