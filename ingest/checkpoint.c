#include "ingest/checkpoint.h"

#include "core/crash.h"
#include "core/folder.h"
#include "core/hex.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct checkpoint {
	int folder, lock;
	const char *source;
	char path[CHECKPOINT_PATH];		/* for messages */
	char name[128], fresh[136], damaged[136];
};

/* ---- text -------------------------------------------------------------------------------------------- */

#define FIRST_LINE "haspan-checkpoint 1\n"

/* What would end the line, or look like an escape, as %XX. */
static void put_source(struct buf *out, struct slice source)
{
	for (size_t i = 0; i < source.len; i++) {
		unsigned char c = (unsigned char)source.p[i];

		if (c < 0x20 || c == 0x7f || c == '%')
			buf_printf(out, "%%%02x", c);
		else
			buf_char(out, (char)c);
	}
}

static void put_digest(struct buf *out, const uint64_t d[4])
{
	for (int i = 0; i < 4; i++)
		buf_printf(out, "%016llx", (unsigned long long)d[i]);
	buf_char(out, '\n');
}

void checkpoint_format(struct buf *out, struct slice source, const struct position *at)
{
	size_t start = out->len;
	uint64_t sum[4];

	buf_lit(out, FIRST_LINE "source ");
	put_source(out, source);
	buf_printf(out, "\ndevice %016llx\ninode %016llx\nmodified %lld\nhead %u ", (unsigned long long)at->dev,
		   (unsigned long long)at->ino, (long long)at->mtime_ns, at->head_len);
	put_digest(out, at->head);
	buf_printf(out, "offset %llu\n", (unsigned long long)at->offset);
	sha256(slice_of(out->p + start, out->len - start), slice_of("", 0), sum);
	buf_lit(out, "sha256 ");
	put_digest(out, sum);
}

/* The rest of a line that begins with `word`; false when it does not. */
static bool take_line(struct slice *text, struct slice word, struct slice *rest)
{
	struct slice line = *text;
	size_t end = slice_find(line, '\n');

	if (end == line.len || !slice_starts(line, word))
		return false;
	line.len = end;
	*rest = slice_skip(line, word.len);
	*text = slice_skip(*text, end + 1);
	return true;
}

static bool take_digest(struct slice s, uint64_t out[4])
{
	if (s.len != 64)
		return false;
	for (int i = 0; i < 4; i++)
		if (!hex16(s.p + 16 * i, &out[i]))
			return false;
	return true;
}

static bool take_hex(struct slice s, uint64_t *out)
{
	return s.len == 16 && hex16(s.p, out);
}

/* The lines between the first and the last. */
static bool take_position(struct slice *text, struct position *at)
{
	struct slice rest, length;
	uint64_t n, mtime;

	if (!take_line(text, SLICE("device "), &rest) || !take_hex(rest, &at->dev) ||
	    !take_line(text, SLICE("inode "), &rest) || !take_hex(rest, &at->ino) ||
	    !take_line(text, SLICE("modified "), &rest) || !slice_uint(rest, &mtime) || mtime > INT64_MAX ||
	    !take_line(text, SLICE("head "), &rest))
		return false;
	length = slice_cut(&rest, ' ');
	if (!slice_uint(length, &n) || n > FOLLOW_HEAD || !rest.p || !take_digest(rest, at->head))
		return false;
	at->mtime_ns = (int64_t)mtime;
	at->head_len = (uint32_t)n;
	return take_line(text, SLICE("offset "), &rest) && slice_uint(rest, &at->offset) && at->offset <= INT64_MAX;
}

/* The last line speaks of all those before it. */
static bool sum_fits(struct slice text)
{
	const size_t last = sizeof("sha256 ") - 1 + 64 + 1;
	struct slice tail, rest;
	uint64_t said[4], is[4];

	if (text.len < last)
		return false;
	tail = slice_skip(text, text.len - last);
	sha256(slice_of(text.p, text.len - last), slice_of("", 0), is);
	return take_line(&tail, SLICE("sha256 "), &rest) && take_digest(rest, said) && memcmp(said, is, sizeof(is)) == 0;
}

const char *checkpoint_parse(struct slice text, struct slice source, struct position *at)
{
	struct buf own = { .max = CHECKPOINT_MAX };
	struct position found;
	struct slice rest;
	bool same;

	if (!slice_starts(text, SLICE("haspan-checkpoint ")))
		return "it is no checkpoint";
	if (!slice_starts(text, SLICE(FIRST_LINE)))
		return "another version of haspan wrote it";
	if (!sum_fits(text))
		return "it is damaged: its checksum does not fit";
	text = slice_skip(text, sizeof(FIRST_LINE) - 1);
	if (!take_line(&text, SLICE("source "), &rest))
		return "it is damaged";
	put_source(&own, source);
	same = slice_eq(rest, slice_of(own.p, own.len));
	buf_free(&own);
	if (!same)
		return "it is another source's";
	if (!take_position(&text, &found) || !slice_starts(text, SLICE("sha256 ")))
		return "it is damaged";
	*at = found;
	return NULL;
}

/* ---- the folder ---------------------------------------------------------------------------------------- */

/* `/var/log/haproxy.log` is kept in `haproxy.log-HASH`: to be recognised, and never the same for two. */
static void make_names(struct checkpoint *c)
{
	const char *slash = strrchr(c->source, '/'), *base = slash ? slash + 1 : c->source;
	char shown[65];
	uint64_t hash[4];
	size_t n = 0;

	for (; base[n] && n < sizeof(shown) - 1; n++)
		shown[n] = (base[n] >= '0' && base[n] <= '9') || (base[n] >= 'a' && base[n] <= 'z') ||
			   (base[n] >= 'A' && base[n] <= 'Z') || strchr("-_.", base[n]) ? base[n] : '_';
	shown[n] = '\0';
	if (shown[0] == '.')
		shown[0] = '_';
	sha256(slice_str(c->source), slice_of("", 0), hash);
	snprintf(c->name, sizeof(c->name), "%s-%016llx", shown, (unsigned long long)hash[0]);
	snprintf(c->fresh, sizeof(c->fresh), "%s.new", c->name);
	snprintf(c->damaged, sizeof(c->damaged), "%s.damaged", c->name);
}

static bool refuse_folder(const char *folder, struct err *err)
{
	err_set(err, EXIT_CONFIG, "cannot keep checkpoints in %s: %m", folder);
	err_where(err, "--state");
	return false;
}

static bool take_lock(struct checkpoint *c, const char *folder, struct err *err)
{
	char name[144];

	snprintf(name, sizeof(name), "%s.lock", c->name);
	c->lock = openat(c->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock < 0)
		return refuse_folder(folder, err);
	if (flock(c->lock, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno != EWOULDBLOCK)
		return refuse_folder(folder, err);
	return err_set(err, EXIT_CONFIG, "this file is followed already, with its checkpoint in %s: by another process, or "
					 "twice by this one", folder);
}

struct checkpoint *checkpoint_open(const char *folder, const char *source, struct err *err)
{
	struct checkpoint *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	c->lock = -1;
	c->source = source;
	make_names(c);
	snprintf(c->path, sizeof(c->path), "%s/%s", folder, c->name);
	c->folder = folder_make(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (c->folder < 0)
		refuse_folder(folder, err);
	else if (take_lock(c, folder, err))
		return c;
	checkpoint_close(c);
	return NULL;
}

bool checkpoint_check(const char *folder, struct err *err)
{
	if (access(folder, W_OK | X_OK) == 0) {
		int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return refuse_folder(folder, err);
		close(fd);
		return true;
	}
	return folder_could(folder) || refuse_folder(folder, err);
}

const char *checkpoint_path(const struct checkpoint *c)
{
	return c->path;
}

void checkpoint_close(struct checkpoint *c)
{
	if (!c)
		return;
	if (c->folder >= 0)
		close(c->folder);
	if (c->lock >= 0)
		close(c->lock);
	free(c);
}

/* ---- reading and writing -------------------------------------------------------------------------------- */

/* At most CHECKPOINT_MAX bytes, and one more to see that there are more; -1: it can't be read. */
static ssize_t read_all(int fd, char *p)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len <= CHECKPOINT_MAX) {
		n = read(fd, p + len, CHECKPOINT_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else
			len += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? -1 : (ssize_t)len;
}

enum checkpoint_found checkpoint_read(struct checkpoint *c, struct position *at)
{
	int fd = openat(c->folder, c->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *wrong = NULL;
	ssize_t n = -1;
	char *text;

	if (fd < 0 && errno == ENOENT)
		return CHECKPOINT_NONE;
	text = malloc(CHECKPOINT_MAX + 1);
	if (text && fd >= 0)
		n = read_all(fd, text);
	if (n < 0)
		log_warn("%s: this checkpoint can't be read: %m; the file is read from its beginning", c->path);
	else
		wrong = checkpoint_parse(slice_of(text, (size_t)n), slice_str(c->source), at);
	free(text);
	if (fd >= 0)
		close(fd);
	if (wrong) {
		log_warn("%s: this checkpoint is not used: %s. The file is read from its beginning; the checkpoint is kept as "
			 "%s", c->path, wrong, c->damaged);
		if (renameat(c->folder, c->name, c->folder, c->damaged) != 0)
			log_warn("%s: cannot rename it: %m", c->path);
	}
	return n < 0 || wrong ? CHECKPOINT_DAMAGED : CHECKPOINT_THERE;
}

/* A call that a test may let fail, with a place to die before it and behind it. */
#define STEP(name, call) \
	({ \
		bool done_; \
		crash_point(name ".before"); \
		errno = crash_fault(name); \
		done_ = errno == 0 && (call); \
		if (done_) \
			crash_point(name); \
		done_; \
	})

static bool write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return false;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* In two pieces, so that a test can die between them. */
static bool write_text(int fd, struct slice text)
{
	size_t half = text.len / 2;

	return STEP("checkpoint.write", write_all(fd, text.p, half)) &&
	       STEP("checkpoint.write.rest", write_all(fd, text.p + half, text.len - half));
}

bool checkpoint_write(struct checkpoint *c, const struct position *at)
{
	struct buf text = { .max = CHECKPOINT_MAX };
	int fd = -1, why;
	bool ok;

	checkpoint_format(&text, slice_str(c->source), at);
	ok = STEP("checkpoint.open", (fd = openat(c->folder, c->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
						  0600)) >= 0) &&
	     write_text(fd, slice_of(text.p, text.len)) && STEP("checkpoint.fsync", fsync(fd) == 0);
	why = errno;
	if (fd >= 0 && close(fd) != 0 && ok) {
		ok = false;
		why = errno;
	}
	if (ok) {
		ok = STEP("checkpoint.rename", renameat(c->folder, c->fresh, c->folder, c->name) == 0) &&
		     STEP("checkpoint.fsync-folder", fsync(c->folder) == 0);
		why = errno;
	}
	buf_free(&text);
	errno = why;
	return ok;
}
