#include "export/spool_private.h"

#include "core/crash.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* How often the same trouble is said. */
#define SAY_EVERY_MS 10000

/* ---- calls that can fail, and be made to ------------------------------------------------------------------ */

/* One write; tests let it fail, or write half of what it should. */
static ssize_t write_some(int fd, struct iovec *v, int n, off_t at)
{
	errno = crash_fault("spool.write");
	if (errno)
		return -1;
	if (crash_fault("spool.write.short"))
		return pwrite(fd, v->iov_base, (v->iov_len + 1) / 2, at);
	return pwritev(fd, v, n, at);
}

static bool write_all(int fd, struct iovec *v, int n, uint64_t at)
{
	while (n) {
		ssize_t done = write_some(fd, v, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC;
		if (done <= 0)
			return false;
		at += (uint64_t)done;
		for (; n && (size_t)done >= v->iov_len; n--)
			done -= (ssize_t)v++->iov_len;
		if (n == 0)
			break;
		v->iov_base = (char *)v->iov_base + done;
		v->iov_len -= (size_t)done;
		crash_point("spool.write.middle");
	}
	return true;
}

static bool sync_fd(int fd)
{
	int error = crash_fault("spool.fsync");

	crash_point("spool.fsync.before");
	if (error)
		errno = error;
	else
		error = fdatasync(fd);
	crash_point("spool.fsync.after");
	return !error;
}

bool spool_pread(int fd, char *to, size_t n, uint64_t offset)
{
	errno = crash_fault("spool.read");
	if (errno)
		return false;
	while (n) {
		ssize_t got = pread(fd, to, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = EIO;
		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return true;
}

static bool say_due(struct spool *s, enum spool_say what)
{
	return log_due(&s->said_ms[what], SAY_EVERY_MS);
}

/* Under the lock; errno says what happened. */
static void failed(struct spool *s, const char *what)
{
	s->errors++;
	if (say_due(s, SPOOL_SAY_WRITE))
		log_warn("spool %s: cannot %s: %m", s->path, what);
}

/* The same, and the spool is left alone for a while. */
static void write_failed(struct spool *s, const char *what)
{
	failed(s, what);
	s->retry_ms = clock_ms() + SPOOL_RETRY_MS;
}

/* ---- segments; under the lock ------------------------------------------------------------------------------ */

void segment_name(uint64_t base, char out[SEGMENT_NAME_LEN + 1])
{
	snprintf(out, SEGMENT_NAME_LEN + 1, "%016" PRIx64 ".spool", base);
}

static uint64_t segment_end(const struct segment *g)
{
	return g->base + g->size;
}

bool spool_add_segment(struct spool *s, uint64_t base, uint64_t size, int fd)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		struct segment *more = realloc(s->segment, cap * sizeof(*more));

		if (!more)
			return false;
		s->segment = more;
		s->cap = cap;
	}
	s->segment[s->n++] = (struct segment){
		.base = base, .size = size, .fresh_seq = UINT64_MAX, .suspect_seq = UINT64_MAX, .fd = fd,
	};
	s->bytes += size;
	return true;
}

static void close_segment(struct segment *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}

/* Nobody needs it any more. false: it can't be deleted now. */
static bool drop_segment(struct spool *s, size_t i)
{
	struct segment *g = &s->segment[i];
	char name[SEGMENT_NAME_LEN + 1];
	int error = crash_fault("spool.unlink");

	segment_name(g->base, name);
	crash_point("spool.unlink.before");
	if (error)
		errno = error;
	if ((error || unlinkat(s->dir, name, 0) != 0) && errno != ENOENT) {
		failed(s, "delete a file");
		return false;
	}
	crash_point("spool.unlink.after");
	close_segment(g);
	s->bytes -= g->size;
	s->active = s->active && i + 1 != s->n;
	s->n--;
	memmove(g, g + 1, (s->n - i) * sizeof(*g));
	return true;
}

/* Somebody deleted the file, which goes on as long as it is open: nothing more belongs into it. */
static bool is_gone(struct spool *s, struct segment *g)
{
	struct stat st;

	if (g->gone || g->fd < 0 || fstat(g->fd, &st) != 0 || st.st_nlink)
		return g->gone;
	g->gone = true;
	s->errors++;
	if (say_due(s, SPOOL_SAY_GONE))
		log_warn("spool %s: somebody has deleted a file of it that is in use; a new one is begun", s->path);
	return true;
}

/* The disk has all of it, under its name; or what was not sure before is suspect. */
static void judge(struct segment *g, bool sure, uint64_t fresh_seq)
{
	if (!sure && fresh_seq < g->suspect_seq)
		g->suspect_seq = fresh_seq;
}

/* Too many files are not yet on the disk: one of them has to be. */
static void limit_unsynced(struct spool *s)
{
	size_t open = 0, oldest = 0;
	struct segment *g;
	bool synced;

	for (size_t i = s->n; i-- > 0;)
		if (s->segment[i].fd >= 0) {
			open++;
			oldest = i;
		}
	if (open <= SPOOL_UNSYNCED_MAX)
		return;
	g = &s->segment[oldest];
	synced = sync_fd(g->fd);
	if (!synced)
		failed(s, "sync");
	judge(g, synced && !is_gone(s, g), g->fresh_seq);
	g->fresh_seq = UINT64_MAX;
	close_segment(g);
}

/* The last segment is not appended to any more. */
static void retire(struct spool *s)
{
	struct segment *g = &s->segment[s->n - 1];

	if (!s->active)
		return;
	s->active = false;
	if (g->size == 0)
		drop_segment(s, s->n - 1);
	else if (g->fresh_seq == UINT64_MAX && !g->gone)
		close_segment(g);
	else
		limit_unsynced(s);
}

static bool start_segment(struct spool *s)
{
	char name[SEGMENT_NAME_LEN + 1];
	int fd, error;

	/* A file that could not be deleted may have the name: positions may skip. */
	for (unsigned tries = 0;; tries++) {
		segment_name(s->end, name);
		crash_point("spool.open.before");
		error = crash_fault("spool.open");
		fd = error ? -1 : openat(s->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (error)
			errno = error;
		if (fd >= 0 || errno != EEXIST || tries == 64)
			break;
		s->cursor += s->cursor == s->end;
		s->end++;
	}
	crash_point("spool.open.after");
	if (fd < 0 || !spool_add_segment(s, s->end, 0, fd)) {
		write_failed(s, "make a file");
		if (fd >= 0)
			close(fd);
		return false;
	}
	s->active = s->dir_fresh = true;
	return true;
}

/* What a failed write left behind the last whole record goes; if it stays, the file is left as it is. */
static void cut_back(struct spool *s)
{
	struct segment *g = &s->segment[s->n - 1];

	crash_point("spool.truncate.before");
	if (crash_fault("spool.truncate") || ftruncate(g->fd, (off_t)g->size) != 0)
		retire(s);
	crash_point("spool.truncate.after");
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* Is there a segment that takes `need` more bytes? Makes one. */
static enum spool_put make_room(struct spool *s, uint64_t need)
{
	if (need > s->max)
		return SPOOL_FAILED;
	if (s->retry_ms && clock_ms() < s->retry_ms)
		return SPOOL_FAILED;
	/* All of it is answered for: it is only there because it was not full yet. */
	if (s->bytes + need > s->max && s->head == s->end && s->n == 1)
		drop_segment(s, 0);
	if (s->bytes + need > s->max)
		return SPOOL_FULL;
	if (s->active && (is_gone(s, &s->segment[s->n - 1]) ||
			  (s->segment[s->n - 1].size && s->segment[s->n - 1].size + need > s->segment_max)))
		retire(s);
	return s->active || start_segment(s) ? SPOOL_PUT : SPOOL_FAILED;
}

static bool write_record(struct spool *s, const struct spool_wire *w)
{
	struct segment *g = &s->segment[s->n - 1];
	struct spool_record r = {
		.at = s->end,
		.sum = spool_record_sum(w->bytes),
		.len = (uint32_t)w->bytes.len,
		.spans = w->spans,
		.json = w->json,
	};
	char header[SPOOL_HEADER];
	struct iovec v[2] = {
		{ header, sizeof(header) },
		{ (void *)(uintptr_t)w->bytes.p, w->bytes.len },
	};
	bool ok;

	spool_record_write(&r, header);
	crash_point("spool.write.before");
	ok = write_all(g->fd, v, 2, g->size);
	if (ok)
		crash_point("spool.write.after");
	return ok;
}

enum spool_put spool_append(struct spool *s, struct spool_wire *w)
{
	uint64_t need = SPOOL_HEADER + w->bytes.len;
	enum spool_put put;

	pthread_mutex_lock(&s->lock);
	put = make_room(s, need);
	if (put == SPOOL_PUT && !write_record(s, w)) {
		write_failed(s, "write");
		cut_back(s);
		put = SPOOL_FAILED;
	}
	if (put == SPOOL_PUT) {
		struct segment *g = &s->segment[s->n - 1];

		if (s->retry_ms && say_due(s, SPOOL_SAY_WELL))
			log_info("spool %s: can be written again", s->path);
		s->retry_ms = 0;
		w->at = s->end;
		w->kept = w->keep && s->cursor == s->end;
		g->size += need;
		g->spans += w->spans;
		g->given += w->kept ? w->spans : 0;
		g->fresh_seq = w->seq < g->fresh_seq ? w->seq : g->fresh_seq;
		s->bytes += need;
		s->end += need;
		if (w->kept)
			s->cursor = s->end;
	}
	pthread_mutex_unlock(&s->lock);
	return put;
}

/* ---- reading; by the sender ------------------------------------------------------------------------------------ */

/* SPOOL_HEADER bytes at least from position `at` on, as far as `limit`, in the window. */
static const char *look(struct spool *s, int fd, uint64_t base, uint64_t limit, uint64_t at)
{
	uint64_t n = limit - at < SPOOL_WINDOW ? limit - at : SPOOL_WINDOW;

	if (at >= s->window_at && at + SPOOL_HEADER <= s->window_at + s->window_len)
		return s->window + (at - s->window_at);
	s->window_len = 0;
	if (!spool_pread(fd, s->window, n, at - base))
		return NULL;
	s->window_at = at;
	s->window_len = n;
	return s->window;
}

int spool_seek(struct spool *s, int fd, uint64_t base, uint64_t limit, uint64_t *at, struct spool_record *r)
{
	while (*at + SPOOL_HEADER <= limit) {
		const char *p = look(s, fd, base, limit, *at);
		size_t n, found;

		if (!p)
			return -1;
		n = (size_t)(s->window + s->window_len - p);
		found = spool_record_find(slice_of(p, n), *at, r);
		*at += found;
		if (found < n && *at + SPOOL_HEADER + r->len <= limit)
			return 1;
		/* The window's last bytes may be the beginning of a header; one that promises too much is none. */
		*at -= found < n ? 0 : SPOOL_HEADER - 1;
		*at += found < n;
	}
	*at = limit;
	return 0;
}

/* Open the segment that holds the cursor, if there is one; its limits are copied. */
static bool find_segment(struct spool *s, uint64_t *base, uint64_t *limit)
{
	struct segment *g = s->segment, *end = g + s->n;

	while (g < end && segment_end(g) <= s->cursor)
		g++;
	if (g == end) {
		s->cursor = s->end;
		return false;
	}
	if (s->cursor < g->base)
		s->cursor = g->base;
	*base = g->base;
	*limit = segment_end(g);
	return true;
}

static struct segment *segment_at(struct spool *s, uint64_t base)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->segment[i].base == base)
			return &s->segment[i];
	return NULL;
}

/* A file that was deleted can be read as long as it is open for writing. */
static int still_open(struct spool *s, uint64_t base)
{
	const struct segment *g;
	int fd = -1;

	pthread_mutex_lock(&s->lock);
	g = segment_at(s, base);
	if (g && g->fd >= 0)
		fd = fcntl(g->fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&s->lock);
	if (fd < 0)
		errno = ENOENT;
	return fd;
}

static bool open_reader(struct spool *s, uint64_t base)
{
	char name[SEGMENT_NAME_LEN + 1];

	if (s->read_fd >= 0 && s->read_base == base)
		return true;
	if (s->read_fd >= 0)
		close(s->read_fd);
	segment_name(base, name);
	s->read_base = base;
	s->window_len = 0;
	s->read_fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->read_fd < 0 && errno == ENOENT)
		s->read_fd = still_open(s, base);
	return s->read_fd >= 0;
}

/* Under the lock: the cursor moves to `to`. What the segment held and will not give any more is lost. */
static void move_cursor(struct spool *s, uint64_t base, uint64_t to, uint64_t given, uint64_t *lost)
{
	for (size_t i = 0; i < s->n; i++) {
		struct segment *g = &s->segment[i];

		if (g->base != base)
			continue;
		g->given += given;
		if (to >= segment_end(g) && g->spans > g->given && !(s->active && i + 1 == s->n)) {
			*lost += g->spans - g->given;
			g->given = g->spans;
		}
	}
	s->cursor = to;
	s->read_tries = 0;
}

/* Nothing more is written to a damaged file: at its end it shows what it does not give. */
static void damaged(struct spool *s, uint64_t at)
{
	s->corrupt++;
	if (s->active && at >= s->segment[s->n - 1].base)
		retire(s);
	if (say_due(s, SPOOL_SAY_DAMAGE))
		log_warn("spool %s: damaged at byte %" PRIu64 "; what follows is looked for", s->path, at);
}

/* errno says why it could not be read. After some tries the rest of the file is taken for damaged. */
static enum spool_got unreadable(struct spool *s, uint64_t base, uint64_t limit, uint64_t *lost)
{
	s->errors++;
	if (say_due(s, SPOOL_SAY_READ))
		log_warn("spool %s: cannot read: %m", s->path);
	s->window_len = 0;
	if (++s->read_tries < SPOOL_READ_TRIES)
		return SPOOL_LATER;
	damaged(s, s->cursor);
	move_cursor(s, base, limit, 0, lost);
	return SPOOL_NOTHING;
}

/*
 * One try at the record at the cursor, of the segment from `base` to `limit`. SPOOL_NOTHING: it is damaged; `r->at` is
 * where to go on, `r->spans` what it held, if that is known.
 */
static enum spool_got read_one(struct spool *s, uint64_t base, uint64_t limit, struct buf *out, struct spool_record *r)
{
	uint64_t at = s->cursor;
	size_t before = out->len;
	int found = spool_seek(s, s->read_fd, base, limit, &at, r);

	if (found > 0 && r->at == s->cursor) {
		char *to = buf_room(out, r->len);

		if (!spool_pread(s->read_fd, to, r->len, at + SPOOL_HEADER - base))
			return SPOOL_LATER;
		out->len += r->len;
		if (spool_record_sum(slice_of(out->p + before, r->len)) == r->sum)
			return SPOOL_GOT;
		out->len = before;
		r->at = at + SPOOL_HEADER + r->len;
		return SPOOL_NOTHING;
	}
	if (found < 0)
		return SPOOL_LATER;
	r->at = at;
	r->spans = 0;
	return SPOOL_NOTHING;
}

enum spool_got spool_read(struct spool *s, struct buf *out, struct spool_got_record *got, uint64_t *lost)
{
	enum spool_got result = SPOOL_NOTHING;
	struct spool_record r = { 0 };
	uint64_t base, limit;
	bool more;

	do {
		pthread_mutex_lock(&s->lock);
		more = s->cursor < s->end && find_segment(s, &base, &limit);
		pthread_mutex_unlock(&s->lock);
		if (!more)
			return SPOOL_NOTHING;
		result = open_reader(s, base) ? read_one(s, base, limit, out, &r) : SPOOL_LATER;
		pthread_mutex_lock(&s->lock);
		if (result == SPOOL_GOT) {
			*got = (struct spool_got_record){ r.at, r.spans, r.json };
			move_cursor(s, base, r.at + SPOOL_HEADER + r.len, r.spans, lost);
		} else if (result == SPOOL_LATER) {
			result = unreadable(s, base, limit, lost);
		} else {
			damaged(s, s->cursor);
			*lost += r.spans;
			move_cursor(s, base, r.at, r.spans, lost);
		}
		pthread_mutex_unlock(&s->lock);
	} while (result == SPOOL_NOTHING);
	return result;
}

bool spool_behind(struct spool *s)
{
	bool behind;

	pthread_mutex_lock(&s->lock);
	behind = s->cursor < s->end;
	pthread_mutex_unlock(&s->lock);
	return behind;
}

static uint64_t look_at(struct spool *s, const uint64_t *place)
{
	uint64_t at;

	pthread_mutex_lock(&s->lock);
	at = *place;
	pthread_mutex_unlock(&s->lock);
	return at;
}

uint64_t spool_cursor(struct spool *s)
{
	return look_at(s, &s->cursor);
}

uint64_t spool_end(struct spool *s)
{
	return look_at(s, &s->end);
}

/* ---- what is answered for ---------------------------------------------------------------------------------------- */

void spool_mark(struct spool *s)
{
	char mark[SPOOL_MARK];
	struct iovec v = { mark, sizeof(mark) };

	/* Two places in turn: a torn write leaves the other one. */
	spool_mark_write(++s->generation, s->head, mark);
	crash_point("spool.mark.before");
	if (write_all(s->mark_fd, &v, 1, s->generation % 2 * SPOOL_MARK))
		s->marked = s->head;
	else
		s->errors++;
	crash_point("spool.mark.after");
	s->marked_ms = clock_ms();
}

bool spool_settle(struct spool *s, uint64_t head)
{
	bool freed = false;

	pthread_mutex_lock(&s->lock);
	s->head = head > s->head ? head : s->head;
	while (s->n && segment_end(&s->segment[0]) <= s->head) {
		/* The one that is written to may go on, unless it is half full anyway. */
		if (s->n == 1 && s->active && s->segment[0].size < s->segment_max / 2)
			break;
		if (s->read_fd >= 0 && s->read_base == s->segment[0].base) {
			close(s->read_fd);
			s->read_fd = -1;
		}
		if (!drop_segment(s, 0))
			break;
		freed = true;
	}
	if (s->head - s->marked >= SPOOL_MARK_BYTES ||
	    (s->head != s->marked && clock_ms() - s->marked_ms >= SPOOL_MARK_MS))
		spool_mark(s);
	pthread_mutex_unlock(&s->lock);
	return freed;
}

/* ---- what the disk has -------------------------------------------------------------------------------------------- */

/* What a sync is to vouch for. */
struct fresh {
	uint64_t base, size, seq;
	int fd;				/* a copy: the segment may go meanwhile */
	bool ok;
};

static size_t gather(struct spool *s, struct fresh *f)
{
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n && n <= SPOOL_UNSYNCED_MAX; i++) {
		struct segment *g = &s->segment[i];

		/* What is answered for already need not survive. */
		if (g->fd < 0 || g->fresh_seq == UINT64_MAX || segment_end(g) <= s->head)
			continue;
		f[n] = (struct fresh){ g->base, g->size, g->fresh_seq, fcntl(g->fd, F_DUPFD_CLOEXEC, 3), false };
		g->fresh_seq = UINT64_MAX;
		n++;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Under the lock. A failed fsync may have lost pages that later ones will not miss: only another file can be trusted. */
static void vouch(struct spool *s, const struct fresh *f)
{
	struct segment *g = segment_at(s, f->base);
	bool last = g && g == &s->segment[s->n - 1];

	if (!g)
		return;
	if (!f->ok)
		failed(s, "sync");
	judge(g, f->ok && !is_gone(s, g), f->seq);
	if (last && (!f->ok || g->gone))
		retire(s);
	if (g->fresh_seq == UINT64_MAX && !g->gone && !(last && s->active))
		close_segment(g);
}

void spool_sync(struct spool *s)
{
	struct fresh f[SPOOL_UNSYNCED_MAX + 1];
	size_t n = gather(s, f);
	bool dir_ok = true, dir_fresh;

	pthread_mutex_lock(&s->lock);
	dir_fresh = s->dir_fresh && n;
	s->dir_fresh = s->dir_fresh && !n;
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n; i++)
		f[i].ok = f[i].fd >= 0 && sync_fd(f[i].fd);
	/* The names of new files too. */
	if (dir_fresh)
		dir_ok = sync_fd(s->dir);
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		f[i].ok = f[i].ok && dir_ok;
		vouch(s, &f[i]);
	}
	s->dir_fresh = s->dir_fresh || !dir_ok;
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n; i++)
		if (f[i].fd >= 0)
			close(f[i].fd);
}

uint64_t spool_suspect(struct spool *s)
{
	uint64_t seq = UINT64_MAX;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n; i++)
		if (s->segment[i].suspect_seq < seq && segment_end(&s->segment[i]) > s->head)
			seq = s->segment[i].suspect_seq;
	pthread_mutex_unlock(&s->lock);
	return seq;
}

void spool_numbers(struct spool *s, struct spool_numbers *out)
{
	pthread_mutex_lock(&s->lock);
	*out = (struct spool_numbers){ s->end - s->head, s->errors, s->corrupt };
	pthread_mutex_unlock(&s->lock);
}

uint64_t spool_missing(struct spool *s)
{
	char name[SEGMENT_NAME_LEN + 1];
	uint64_t spans = 0;
	struct stat st;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n; i++) {
		const struct segment *g = &s->segment[i];

		segment_name(g->base, name);
		if (segment_end(g) > s->head && (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
						 (uint64_t)st.st_size < g->size))
			spans += g->spans;
	}
	pthread_mutex_unlock(&s->lock);
	return spans;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

void spool_close(struct spool *s)
{
	if (s->mark_fd >= 0 && s->head == s->end)
		while (s->n && drop_segment(s, 0))
			;
	if (s->mark_fd >= 0 && s->head != s->marked)
		spool_mark(s);
	for (size_t i = 0; i < s->n; i++)
		close_segment(&s->segment[i]);
	if (s->read_fd >= 0)
		close(s->read_fd);
	if (s->mark_fd >= 0)
		close(s->mark_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->dir >= 0)
		close(s->dir);
	pthread_mutex_destroy(&s->lock);
	free(s->segment);
	free(s->path);
	free(s);
}
