/*
 * ingest/follow.h - private to ingest/: what follow.c is made of: the names of rotated files, one open file, and the
 * positions that wait for their acknowledgement.
 */
#ifndef INGEST_FOLLOW_H
#define INGEST_FOLLOW_H

#include "ingest/checkpoint.h"
#include "ingest/reader.h"
#include "ingest/stitch.h"

#include <pthread.h>
#include <sys/stat.h>

/* ---- names: follow_names.c --------------------------------------------------------------------------- */

/* How a rotated predecessor is told from the others. */
enum rotated_kind {
	ROTATED_NOT,		/* it is none */
	ROTATED_NUMBER,		/* the higher, the older */
	ROTATED_DATE,		/* year, month, day and so on: the lower, the older */
};

struct rotated_name {
	enum rotated_kind kind;
	struct slice order;	/* the number or the date */
	struct slice plain;	/* the name without .gz, .zst or .xz */
};

/* What is `name` to a file called `base`? Slices are lent by `name`. Pure. */
enum rotated_kind rotated_parse(struct slice name, struct slice base, struct rotated_name *out);

struct rotated {
	char *path;		/* owned by the list */
	uint64_t dev, ino, size;
	int64_t mtime_ns;
	enum rotated_kind kind;
	uint32_t order, order_len;	/* in `path` */
	uint32_t plain_len;		/* of `path` */
};

/* The oldest first. Zero it before use. */
struct rotated_list {
	struct rotated *v;
	uint32_t n, room;
	uint64_t self_dev, self_ino;	/* of the file itself, which may be a link to one that looks like a predecessor */
};

/*
 * All rotated predecessors of `path`: in its folder, and, when it is a symbolic link, in that of the file that it
 * leads to. One of which the plain file is still there beside the compressed one counts once. false: a folder can't
 * be read now (errno says why); the list holds what there was.
 */
bool rotated_find(struct rotated_list *l, const char *path);
void rotated_free(struct rotated_list *l);

/* Of a file: nanoseconds since 1970, 0 at least. */
int64_t mtime_ns(const struct stat *st);

/* ---- one file: follow_file.c ------------------------------------------------------------------------- */

/*
 * A file that is read, or was read last: who it is stays known when it is closed. `at` says how far its frames have
 * been handed out.
 */
struct followed {
	int fd;				/* of a plain file, or -1 */
	struct reader *reader;		/* of a compressed one, or NULL */
	struct position at;
	uint64_t read;			/* of a plain one: the next byte to read; behind at.offset by what is unfinished */
	uint64_t skip;			/* of a compressed one: still to be thrown away */
	uint64_t seen;			/* of a plain one: its size when somebody looked last */
	struct stitch stitch;
	bool still;			/* nobody writes to it any more */
	bool ended;			/* its last bytes are handed out */
	uint32_t head_len;		/* how much of `head` is known; at.head may be of less of it */
	char head[FOLLOW_HEAD];
};

/*
 * Open `path` so that reading begins at `offset`, and close what was open before. false: errno says why (EINVAL: it
 * is no regular file), `f` is untouched.
 * A compressed file is told by its first bytes if `packed` allows.
 */
bool followed_open(struct followed *f, const char *path, uint64_t offset, bool packed);

/* How the reading went. */
enum followed_read {
	FOLLOWED_MORE,		/* the block is full, or bytes were skipped: there may be more */
	FOLLOWED_END,		/* that was all that there is now */
	FOLLOWED_BROKEN,	/* it can't be read any further; `err` says why. What was read before is in the block */
};

/* Fill the empty block with whole frames; with `last` an unfinished one at the end is whole too. Moves f->at. */
enum followed_read followed_fill(struct followed *f, struct block *b, bool last, struct err *err);

/* Are its first bytes still those that were read, and none missing of what was? Looks at its size, f->seen. */
bool followed_intact(struct followed *f);

/*
 * Is `path` (compressed or not) a file that begins with the bytes that `at` tells, and has all of those before
 * at->offset?
 */
bool followed_is(const char *path, const struct position *at);

/* Do both begin with the same FOLLOW_HEAD bytes? false when one is shorter. */
bool followed_same_head(const char *a, const char *b);

/* Where its last unfinished line begins: behind the last newline near its end. */
uint64_t followed_last_line(const struct followed *f);

/* It was cut: begin again at its first byte, whatever that is now. */
void followed_rewind(struct followed *f);

/* Close it; who it is stays known. */
void followed_close(struct followed *f);

static inline bool followed_is_open(const struct followed *f)
{
	return f->fd >= 0 || f->reader;
}

/* ---- which file comes next: follow_next.c --------------------------------------------------------------- */

struct next {
	char path[FOLLOW_PATH];
	uint64_t offset;		/* where reading begins */
	bool rotated;			/* it is a predecessor; else it is the followed file itself */
	bool empty;			/* nothing stands in it yet */
};

/* The file that was begun after `f`, which may be closed, renamed, compressed or gone by now. false: there is none. */
bool next_after(const char *path, const struct followed *f, struct next *out);

/* The oldest file that there is. false: there is none. */
bool next_oldest(const char *path, struct next *out);

/* What next_resume found. */
enum resume {
	RESUME_FOUND,		/* the file that `at` is a place in, whatever it is called now */
	RESUME_NEWER,		/* it is gone: the oldest file that was written to after `at` */
	RESUME_WAIT,		/* there is no file that this could be said of yet */
};

enum resume next_resume(const char *path, const struct position *at, struct next *out);

/*
 * `f` was cut: the copy that was made of it before (copytruncate). It may hold nothing that was not read, but others
 * may have been made since. false: there is none.
 */
bool next_copy(const char *path, const struct followed *f, struct next *out);

/* ---- positions: follow_marks.c ----------------------------------------------------------------------- */

/* Which position a mark stands for. Zero it, then marks_init. Any thread. */
struct marks {
	pthread_mutex_t lock;
	uint32_t n;
	struct marked {
		uint64_t mark;
		struct position at;
	} v[FOLLOW_MARKS];		/* marks never fall */
};

void marks_init(struct marks *m);

/* When everything up to `mark` is answered for, reading may begin again at `at`. */
void marks_add(struct marks *m, uint64_t mark, const struct position *at);

/* The last position that `mark` covers, and forget those before. false: there is no new one. */
bool marks_take(struct marks *m, uint64_t mark, struct position *at);

void marks_free(struct marks *m);

#endif
