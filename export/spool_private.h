/*
 * export/spool_private.h - private to spool.c and spool_open.c.
 */
#ifndef EXPORT_SPOOL_PRIVATE_H
#define EXPORT_SPOOL_PRIVATE_H

#include "core/limits.h"
#include "export/spool.h"
#include "export/spool_record.h"

#include <pthread.h>

/* A file of the spool: bytes `base` to `base + size` of the stream. What stands behind them in it is garbage. */
struct segment {
	uint64_t base, size;
	uint64_t spans, given;		/* in it from the cursor of the start on; given to the sink */
	uint64_t fresh_seq;		/* the lowest seq written since the last sync; UINT64_MAX: none */
	uint64_t suspect_seq;		/* the lowest seq that a sync could not vouch for; UINT64_MAX: none */
	int fd;				/* to write and sync; -1: closed */
	bool gone;			/* its file was deleted by somebody else: `fd` is all there is, and stays open */
};

/* "0123456789abcdef.spool", its base in hex. */
#define SEGMENT_NAME_LEN 22

enum spool_say { SPOOL_SAY_WRITE, SPOOL_SAY_READ, SPOOL_SAY_DAMAGE, SPOOL_SAY_WELL, SPOOL_SAY_GONE, SPOOL_SAY_MAX };

struct spool {
	char *path;			/* of the folder; for messages */
	int dir, lock_fd, mark_fd;	/* open as long as the spool */
	uint64_t max, segment_max, restored;

	pthread_mutex_t lock;		/* for these: */
	struct segment *segment;	/* in order; each holds a record at least, but for the last one */
	size_t n, cap;
	bool active;			/* the last one is appended to */
	bool dir_fresh;			/* files were made since the folder was synced */
	uint64_t head, cursor, end;
	uint64_t bytes;			/* of all segments */
	uint64_t errors, corrupt;
	int64_t retry_ms;		/* no append before; 0: all is well */
	int64_t said_ms[SPOOL_SAY_MAX];

	/* The sender's own: */
	int read_fd;
	uint64_t read_base;		/* whose read_fd is */
	unsigned read_tries;
	uint64_t generation, marked;	/* of the mark that was written */
	int64_t marked_ms;
	uint64_t window_at;		/* position of the window's first byte */
	size_t window_len;
	char window[SPOOL_WINDOW];
};

void segment_name(uint64_t base, char out[SEGMENT_NAME_LEN + 1]);

/*
 * The first intact record at or behind `*at` whose payload ends at or before `limit`: 1, `*at` and `*r` set. 0: there is
 * none, `*at` is `limit`. -1: errno says why the file could not be read. `fd` is the segment's that begins at `base`.
 */
int spool_seek(struct spool *s, int fd, uint64_t base, uint64_t limit, uint64_t *at, struct spool_record *r);

/* All of `n` bytes; false with errno: EIO also where the file is too short. */
bool spool_pread(int fd, char *to, size_t n, uint64_t offset);

/* `head` becomes the mark. Fails quietly: an old mark means that more is sent twice, and is counted. */
void spool_mark(struct spool *s);

/* A new last segment; false: out of memory. */
bool spool_add_segment(struct spool *s, uint64_t base, uint64_t size, int fd);

#endif
