/*
 * ingest/follow.c - follow:PATH, as `tail -F` does it: a log that grows, is renamed away, cut, compressed, replaced.
 *
 * One file is open at a time (struct followed). At its end it is asked whether another one has begun behind it
 * (follow_next.c); who comes next is never remembered, but looked up in the folder. inotify tells when there is
 * something to look at, and a slow timer does where it can't.
 *
 * Threads: fill, tick and stop are the input's. acknowledge and keep are the keeper's; the two meet in `marks` and in
 * atomics.
 */
#include "core/log.h"
#include "ingest/follow.h"
#include "ingest/port.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum watch { WATCH_FOLDER, WATCH_TARGET, WATCH_PATH, WATCH_FILE, WATCH_MAX };

#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define FILE_EVENTS (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF)

struct follow {
	struct port port;
	char path[FOLLOW_PATH];			/* absolute */
	char source[FOLLOW_PATH + 8];		/* whose checkpoint it is */
	bool from_end, from_oldest;
	bool absent;			/* there was no such file at start */
	/* The input's: */
	struct followed cur;
	bool begun;				/* `cur` says which file it was, even if it is closed */
	bool leaving;				/* its last bytes are on their way; then comes the next one */
	bool unnamed;				/* it had no name any more when it was closed */
	bool stopped, resuming;
	struct position resume;			/* where to begin again, while `resuming` */
	int inotify, wd[WATCH_MAX];
	int64_t look_ms;			/* when the watches are set anew */
	int64_t rotated_ms, quiet_ms;		/* since when another file follows, and nobody has written to this one */
	int64_t said_ms, said_gone_ms;
	uint64_t handed;			/* bytes handed out: the marks */
	struct marks marks;
	/* The keeper's: */
	struct checkpoint *checkpoint;
	struct position owed;
	bool owes;
	int64_t written_ms, said_write_ms;
	/* Anybody's: */
	_Atomic uint64_t acknowledged, shown, dev, ino, read, left;
	_Atomic uint64_t rotations, errors, missed, checkpoints, checkpoint_errors;
};

static struct follow *follow_of(struct port *p)
{
	return (struct follow *)p;
}

/* ---- what the kernel tells --------------------------------------------------------------------------- */

/* Folders of a path: `/var/log` of `/var/log/haproxy.log`. */
static void folder_of(const char *path, char *out)
{
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash - path) : 0;

	snprintf(out, FOLLOW_PATH, "%.*s", n ? n : 1, n ? path : "/");
}

/* Watch what is called so now. Returns whether that is another one than before. */
static bool watch_one(struct follow *f, enum watch w, const char *path, uint32_t events)
{
	int was = f->wd[w], now = path ? inotify_add_watch(f->inotify, path, events) : -1;
	bool shared = false;

	f->wd[w] = now;
	for (int i = 0; i < WATCH_MAX; i++)
		shared |= f->wd[i] == was;
	if (was >= 0 && !shared)
		inotify_rm_watch(f->inotify, was);
	return now != was && now >= 0;
}

/* Returns whether something is watched that was not: then it has to be looked at once more. */
static bool watch_all(struct follow *f)
{
	char folder[FOLLOW_PATH], target[FOLLOW_PATH], real[PATH_MAX], open[64];
	bool fresh = false, links;

	if (f->inotify < 0)
		return false;
	folder_of(f->path, folder);
	links = realpath(f->path, real) && strcmp(real, f->path) != 0;
	if (links)
		folder_of(real, target);
	snprintf(open, sizeof(open), "/proc/self/fd/%d", f->cur.fd);
	fresh |= watch_one(f, WATCH_FOLDER, folder, FOLDER_EVENTS);
	fresh |= watch_one(f, WATCH_TARGET, links ? target : NULL, FOLDER_EVENTS);
	fresh |= watch_one(f, WATCH_PATH, f->path, FILE_EVENTS);
	fresh |= watch_one(f, WATCH_FILE, f->cur.fd >= 0 ? open : NULL, FILE_EVENTS);
	return fresh;
}

/* What it says does not matter: everything is looked at anyway. */
static void drain(struct follow *f)
{
	union {
		struct inotify_event event;
		char bytes[16384];
	} u;
	ssize_t n;

	while (f->inotify >= 0 && (n = read(f->inotify, u.bytes, sizeof(u.bytes))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(u.bytes + at);

			if (e->mask & ~(uint32_t)IN_MODIFY)
				f->look_ms = 0;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
}

/* Until the kernel tells, or for `ms` at most. */
static enum port_left wait_for(struct follow *f, int64_t ms)
{
	int64_t now = clock_ms();

	f->port.due_ms = now + ms;
	if (now < f->look_ms)
		return PORT_EMPTY;
	f->look_ms = now + FOLLOW_POLL_MS;
	return watch_all(f) ? PORT_MORE : PORT_EMPTY;
}

/* Leave it alone for a while: what comes line by line is one block then. */
static enum port_left linger(struct follow *f)
{
	f->port.due_ms = clock_ms() + FOLLOW_LINGER_MS;
	if (f->port.fd >= 0)
		live_rewatch(f->port.live, &f->port, -1);
	return PORT_EMPTY;
}

static enum port_left follow_tick(struct port *p, int64_t now_ms)
{
	struct follow *f = follow_of(p);

	p->due_ms = now_ms + FOLLOW_POLL_MS;
	if (p->fd < 0 && f->inotify >= 0)
		live_rewatch(p->live, p, f->inotify);
	return PORT_MORE;
}

/* ---- from file to file ------------------------------------------------------------------------------- */

static void complain(struct follow *f, const char *path, const char *why, const char *hint)
{
	f->errors++;
	if (log_due(&f->said_ms, 60000))
		log_warn("follow:%s: %s: %s%s", f->path, path, why, hint);
}

static void show(struct follow *f)
{
	f->dev = f->cur.at.dev;
	f->ino = f->cur.at.ino;
	f->read = f->cur.at.offset;
	f->left = f->cur.seen > f->cur.at.offset ? f->cur.seen - f->cur.at.offset : 0;
}

/* Begin with this file. false: it can't be opened (errno); the next attempt is made later. */
static bool open_file(struct follow *f, const struct next *n)
{
	if (!followed_open(&f->cur, n->path, n->offset, n->rotated)) {
		int why = errno;

		if (why != ENOENT)
			complain(f, n->path, why == EINVAL ? "it is no regular file" : strerror(why), err_denied("%m", why));
		errno = why;
		return false;
	}
	log_debug("follow:%s: reading %s from byte %llu", f->path, n->path, (unsigned long long)n->offset);
	f->begun = true;
	f->leaving = f->unnamed = false;
	f->rotated_ms = f->quiet_ms = f->look_ms = 0;
	marks_add(&f->marks, f->handed, &f->cur.at);
	show(f);
	return true;
}

/* Where a former run, or a file that could not be read on, left off. */
static bool resume(struct follow *f, struct next *n)
{
	enum resume how = next_resume(f->path, &f->resume, n);

	if (how == RESUME_WAIT)
		return false;
	if (how == RESUME_NEWER)
		log_warn("follow:%s: the file that was read last (inode %llu) is gone: lines that stood behind its byte %llu "
			 "are lost; going on with %s", f->path, (unsigned long long)f->resume.ino,
			 (unsigned long long)f->resume.offset, n->path);
	else
		log_info("follow:%s: going on at byte %llu%s%s", f->path, (unsigned long long)n->offset,
			 n->rotated ? " of " : "", n->rotated ? n->path : "");
	return true;
}

/* The first file of this run. */
static bool begin(struct follow *f)
{
	struct next n = { .rotated = false };
	bool end = f->from_end;

	if (f->resuming ? !resume(f, &n) : f->from_oldest && !next_oldest(f->path, &n))
		return false;
	if (!f->resuming && !f->from_oldest)
		snprintf(n.path, sizeof(n.path), "%s", f->path);
	if (!open_file(f, &n))
		return false;
	if (end && !f->resuming) {
		f->cur.at.offset = f->cur.read = followed_last_line(&f->cur);
		marks_add(&f->marks, f->handed, &f->cur.at);
		show(f);
	}
	f->resuming = false;
	return true;
}

/* An editor's work: the file has another inode, and what was read of it. The old one has no name any more. */
static bool is_replaced(const struct follow *f, const struct next *n)
{
	return !n->rotated && f->unnamed && f->cur.at.head_len == FOLLOW_HEAD && followed_is(n->path, &f->cur.at);
}

static void leave(struct follow *f)
{
	struct stat st;

	f->unnamed = f->cur.fd >= 0 && fstat(f->cur.fd, &st) == 0 && st.st_nlink == 0;
	f->leaving = false;
	followed_close(&f->cur);
}

/* The file behind the one that was read. */
static bool step(struct follow *f)
{
	struct next n;

	if (!next_after(f->path, &f->cur, &n))
		return false;
	if (is_replaced(f, &n))
		n.offset = f->cur.at.offset;
	if (open_file(f, &n))
		return true;
	/* What can't be read must not hold up what comes behind it. It may have been renamed at this moment, too. */
	if (n.rotated && errno != ENOENT) {
		struct stat st;

		if (stat(n.path, &st) == 0)
			f->cur.at = (struct position){ .dev = st.st_dev, .ino = st.st_ino, .mtime_ns = mtime_ns(&st) };
	}
	return false;
}

/* May the file be left? Its end is reached. */
static bool at_its_end(struct follow *f, int64_t now)
{
	struct timespec real;
	struct next n;

	if (!next_after(f->path, &f->cur, &n)) {
		f->rotated_ms = 0;
		return false;
	}
	if (f->cur.still)
		return true;
	if (!f->rotated_ms) {
		f->rotated_ms = now;
		f->rotations++;
	}
	/* A writer that was not told yet, or never will be, goes on here. */
	if (!n.rotated && n.empty)
		return false;
	clock_gettime(CLOCK_REALTIME, &real);
	return now - (f->quiet_ms > f->rotated_ms ? f->quiet_ms : f->rotated_ms) >= FOLLOW_GRACE_MS ||
	       now - f->rotated_ms >= FOLLOW_GRACE_MAX_MS ||
	       (int64_t)real.tv_sec * 1000 - f->cur.at.mtime_ns / 1000000 > FOLLOW_GRACE_MAX_MS;
}

/*
 * The file was cut (copytruncate, or `> file`): what was not read yet is in the copy, if there is one. false: look
 * again later, and do not read until then.
 */
static bool on_cut(struct follow *f, uint64_t seen)
{
	uint64_t unread = seen > f->cur.at.offset ? seen - f->cur.at.offset : 0;
	struct next n;

	if (next_copy(f->path, &f->cur, &n)) {
		if (open_file(f, &n)) {
			f->rotations++;
			f->cur.still = true;
			return true;
		}
		if (errno == ENOENT)
			return false;		/* it was renamed at this moment */
	}
	f->rotations++;
	f->missed += unread;
	if (unread && log_due(&f->said_gone_ms, 60000))
		log_warn("follow:%s: it was cut while at least %llu bytes of it were not read yet, and no copy of them is found: "
			 "they are lost", f->path, (unsigned long long)unread);
	followed_rewind(&f->cur);
	marks_add(&f->marks, f->handed, &f->cur.at);
	show(f);
	return true;
}

/* Reading failed: a compressed file has no more to give; for another there is hope. */
static void on_broken(struct follow *f, const struct err *err)
{
	complain(f, f->cur.reader ? "a rotated file is left before its end" : "reading stopped", err->text, "");
	if (f->cur.reader) {
		f->cur.skip = 0;
		f->leaving = true;
		return;
	}
	f->resume = f->cur.at;
	f->resuming = true;
	f->begun = false;
	followed_close(&f->cur);
}

/* ---- the port ---------------------------------------------------------------------------------------- */

static enum port_left give(struct follow *f, struct block *b, enum followed_read how)
{
	f->handed += b->len;
	f->shown = f->handed;
	f->quiet_ms = clock_ms();
	b->sole = true;
	b->source = f->port.source;
	b->mark = f->handed;
	/* Inside an over-long line nobody can begin again: the place before it stands for it. */
	if (!b->torn_tail)
		marks_add(&f->marks, f->handed, &f->cur.at);
	show(f);
	return how == FOLLOWED_END && !f->leaving && f->cur.fd >= 0 ? linger(f) : PORT_MORE;
}

/* An open file, or none yet. */
static bool have_file(struct follow *f)
{
	uint64_t seen;

	if (!followed_is_open(&f->cur))
		return f->begun ? step(f) : begin(f);
	seen = f->cur.seen;
	return f->leaving || followed_intact(&f->cur) || on_cut(f, seen);
}

/* One go at the file that is open. true: `*left` is what fill returns. */
static bool read_on(struct follow *f, struct block *b, enum port_left *left)
{
	struct err err = { 0 };
	enum followed_read how = followed_fill(&f->cur, b, f->leaving, &err);
	bool was_leaving = f->leaving;

	if (how == FOLLOWED_BROKEN && !was_leaving)
		on_broken(f, &err);
	if (b->len) {
		*left = give(f, b, how);
		return true;
	}
	if (how == FOLLOWED_MORE) {
		*left = PORT_MORE;		/* skipping */
		return true;
	}
	if (was_leaving) {
		leave(f);
		return false;
	}
	if (how == FOLLOWED_BROKEN) {
		*left = f->leaving ? PORT_MORE : wait_for(f, FOLLOW_POLL_MS);
		return true;
	}
	f->leaving = at_its_end(f, clock_ms());
	*left = f->leaving ? PORT_MORE : wait_for(f, FOLLOW_POLL_MS);
	return true;
}

static enum port_left follow_fill(struct port *p, struct block *b)
{
	struct follow *f = follow_of(p);
	enum port_left left = PORT_EMPTY;

	if (b->len)
		return PORT_FULL;
	drain(f);
	while (!f->stopped) {
		if (!have_file(f))
			return wait_for(f, FOLLOW_POLL_MS);
		if (read_on(f, b, &left))
			return left;
	}
	return PORT_EMPTY;
}

/* What is not read stays where it is. */
static void follow_stop(struct port *p)
{
	follow_of(p)->stopped = true;
}

static void follow_metrics(struct port *p, struct metrics *m)
{
	struct follow *f = follow_of(p);
	uint64_t shown = f->shown, acknowledged = f->acknowledged, lag = f->left, size;
	struct stat st;

	if (stat(f->path, &st) == 0 && S_ISREG(st.st_mode)) {
		size = (uint64_t)st.st_size;
		lag = st.st_ino != f->ino || st.st_dev != f->dev ? lag + size : size > f->read ? size - f->read : 0;
	}
	metrics_add(m, METRIC_source_bytes_total, (double)shown);
	metrics_add(m, METRIC_source_lag_bytes, (double)lag);
	metrics_add(m, METRIC_source_unacknowledged_bytes, (double)(shown > acknowledged ? shown - acknowledged : 0));
	metrics_add(m, METRIC_source_missed_bytes_total, (double)f->missed);
	metrics_add(m, METRIC_source_errors_total, (double)f->errors);
	metrics_add(m, METRIC_source_rotations_total, (double)f->rotations);
	metrics_add(m, METRIC_source_checkpoints_total, (double)f->checkpoints);
	metrics_add(m, METRIC_source_checkpoint_errors_total, (double)f->checkpoint_errors);
}

/* ---- the checkpoint ---------------------------------------------------------------------------------- */

static void follow_acknowledge(struct port *p, uint64_t mark)
{
	follow_of(p)->acknowledged = mark;
}

static void follow_keep(struct port *p, bool last)
{
	struct follow *f = follow_of(p);
	int64_t now = clock_ms();

	f->owes |= marks_take(&f->marks, f->acknowledged, &f->owed);
	if (!f->owes || !f->checkpoint || (!last && f->written_ms && now - f->written_ms < CHECKPOINT_EVERY_MS))
		return;
	f->written_ms = now;
	if (checkpoint_write(f->checkpoint, &f->owed)) {
		f->checkpoints++;
		f->owes = false;
		return;
	}
	f->checkpoint_errors++;
	if (last || log_due(&f->said_write_ms, 60000))
		log_warn("%s: this checkpoint can't be written: %m; %s", checkpoint_path(f->checkpoint),
			 last ? "the next run reads some lines again" : "trying again");
}

static void follow_close(struct port *p)
{
	struct follow *f = follow_of(p);

	follow_keep(p, true);
	checkpoint_close(f->checkpoint);
	followed_close(&f->cur);
	marks_free(&f->marks);
	if (f->inotify >= 0)
		close(f->inotify);
	free(f);
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static const struct port_ops follow_ops = {
	.fill = follow_fill,
	.tick = follow_tick,
	.acknowledge = follow_acknowledge,
	.keep = follow_keep,
	.metrics = follow_metrics,
	.stop = follow_stop,
	.close = follow_close,
};

static bool take_parameter(struct follow *f, struct slice uri, struct slice word, struct err *err)
{
	static const char expected[] = "expected start=end, start=begin, rotated=yes or rotated=no";

	if (slice_eq(word, SLICE("start=end")))
		f->from_end = true;
	else if (slice_eq(word, SLICE("start=begin")))
		f->from_end = false;
	else if (slice_eq(word, SLICE("rotated=yes")))
		f->from_oldest = true;
	else if (slice_eq(word, SLICE("rotated=no")))
		f->from_oldest = false;
	else
		return err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(word.p - uri.p), "%s", expected);
	if (f->from_end && f->from_oldest)
		return err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(word.p - uri.p),
			      "start=end and rotated=yes exclude each other");
	return true;
}

/* PATH?PARAMETER&PARAMETER. The last '?' counts: a name may hold others. */
static bool take_uri(struct follow *f, struct slice uri, struct slice rest, struct err *err)
{
	const char *mark = memrchr(rest.p, '?', rest.len);
	struct slice path = mark ? slice_to(rest.p, mark) : rest;
	struct slice words = mark ? slice_to(mark + 1, rest.p + rest.len) : slice_of(NULL, 0);
	char here[FOLLOW_PATH] = "";

	if (path.len == 0 || memchr(path.p, '\0', path.len))
		return err_at(err, EXIT_USAGE, uri.p, uri.len, uri.len - rest.len, "expected follow:PATH");
	while (words.len)
		if (!take_parameter(f, uri, slice_cut(&words, '&'), err))
			return false;
	if (*path.p != '/' && !getcwd(here, sizeof(here)))
		return err_set(err, EXIT_INPUT, "cannot tell the current folder: %m");
	if ((size_t)snprintf(f->path, sizeof(f->path), "%s%s%.*s", here, *here ? "/" : "", (int)path.len, path.p) >=
	    sizeof(f->path))
		return err_set(err, EXIT_USAGE, "this path is too long (at most %zu bytes)", sizeof(f->path) - 1);
	snprintf(f->source, sizeof(f->source), "follow:%s", f->path);
	return true;
}

/* A file that is not there yet may come; one that can't be read shall show at once. */
static bool look_at_file(struct follow *f, struct err *err)
{
	struct stat st;

	if (stat(f->path, &st) != 0) {
		if (errno == ENOENT || errno == ENOTDIR) {
			f->from_end = false;		/* what comes later is read from its start */
			f->absent = true;
			return true;
		}
		err_set(err, EXIT_INPUT, "cannot look at it: %m");
	} else if (!S_ISREG(st.st_mode)) {
		err_set(err, EXIT_INPUT, "only a regular file can be followed%s",
			S_ISFIFO(st.st_mode) ? ": a pipe is read by file:PATH" : "");
	} else if (access(f->path, R_OK) != 0) {
		err_set(err, EXIT_INPUT, "cannot open it: %m");
	} else {
		return true;
	}
	return err_where(err, "%s", f->path);
}

static bool open_checkpoint(struct follow *f, const struct live_config *c, struct err *err)
{
	if (!c->state || c->check_only)
		return !c->state || checkpoint_check(c->state, err);
	f->checkpoint = checkpoint_open(c->state, f->source, err);
	if (f->checkpoint)
		f->resuming = checkpoint_read(f->checkpoint, &f->resume) == CHECKPOINT_THERE;
	return f->checkpoint != NULL;
}

struct port *follow_open(struct live *l, struct slice uri, struct slice rest, struct err *err)
{
	const struct live_config *c = live_settings(l);
	struct follow *f = calloc(1, sizeof(*f));

	if (!f) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	f->port = (struct port){ .ops = &follow_ops, .live = l, .fd = -1 };
	f->cur.fd = f->inotify = -1;
	for (int i = 0; i < WATCH_MAX; i++)
		f->wd[i] = -1;
	marks_init(&f->marks);
	if (!take_uri(f, uri, rest, err) || !look_at_file(f, err) || !open_checkpoint(f, c, err)) {
		follow_close(&f->port);
		return NULL;
	}
	if (f->absent)
		log_warn("follow:%s: there is no such file yet: it is waited for", f->path);
	if (c->check_only)
		return &f->port;
	f->inotify = f->port.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->inotify < 0)
		log_warn("follow:%s: no announcements by the kernel (%m): it is looked at every second", f->path);
	if (!c->state)
		log_warn("follow:%s: without --state nobody remembers how far it was read: the next start begins anew", f->path);
	f->port.due_ms = clock_ms() + FOLLOW_POLL_MS;
	return &f->port;
}
