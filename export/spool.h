/*
 * export/spool.h - spans on disk: what a sink has taken and its collector has not answered for.
 *
 * One folder for each sink, of numbered segment files that are only appended to. Every record is written before its
 * wire counts as settled; a segment goes when everything in it is answered for. The stream has three places:
 *
 *     head ≤ cursor ≤ end      head: below it all is answered for. cursor: from there on records are on disk only; below
 *                              it they were given to the sink, by spool_read or because spool_append said `kept`.
 *
 * Threads: spool_append is called by one thread at a time; spool_read and spool_settle by one (the sender); spool_sync by
 * one; the others by any. Nothing here ends the program or loses a record without a word: what fails is counted, logged
 * at most every 10 s, and told to the caller.
 */
#ifndef EXPORT_SPOOL_H
#define EXPORT_SPOOL_H

#include "core/buf.h"
#include "core/err.h"

#define SPOOL_NOWHERE UINT64_MAX

struct spool;

/*
 * Make or open the sink's own folder in `dir`, which is made too, with its parents. `shown` (for people) and `url`
 * (by its hash) make the folder's name. `max` bounds the bytes of all files. A torn tail is cut off; what is there is to
 * be sent: cursor = head. NULL with `err` filled (EXIT_CONFIG): no such place, not writable, another process has it.
 */
struct spool *spool_open(const char *dir, const char *shown, const char *url, uint64_t max, struct err *err);

/* Would the folder do? Changes nothing and takes no lock. */
bool spool_check(const char *dir, struct err *err);

/* Spans that were found at spool_open. */
uint64_t spool_restored(const struct spool *s);

enum spool_put {
	SPOOL_PUT,		/* in a file, as far as the kernel is concerned */
	SPOOL_FULL,		/* --spool-max: wait until something is answered for */
	SPOOL_FAILED,		/* not now, or never (larger than the whole spool): keep it in memory */
};

struct spool_wire {
	struct slice bytes;	/* 1 … WIRE_MAX of them; lent */
	uint32_t spans;
	bool json;
	uint64_t seq;		/* for spool_suspect */
	bool keep;		/* the caller could keep it in memory */
	/* Set by SPOOL_PUT: */
	bool kept;		/* it has to: the cursor stands behind it */
	uint64_t at;		/* its position */
};

enum spool_put spool_append(struct spool *s, struct spool_wire *w);

enum spool_got {
	SPOOL_GOT,
	SPOOL_NOTHING,		/* cursor = end */
	SPOOL_LATER,		/* the disk did not give it: try again in SPOOL_RETRY_MS */
};

struct spool_got_record {
	uint64_t at;
	uint32_t spans;
	bool json;
};

/*
 * The record at the cursor, appended to `out`, which has room for WIRE_MAX; the cursor moves behind it. Damaged ones are
 * skipped, and counted; `*lost` grows by the spans that will not come any more, also when nothing is returned.
 */
enum spool_got spool_read(struct spool *s, struct buf *out, struct spool_got_record *r, uint64_t *lost);

/* Is there something between cursor and end? */
bool spool_behind(struct spool *s);

uint64_t spool_cursor(struct spool *s);
uint64_t spool_end(struct spool *s);

/* All below `head` is answered for: files that end there are deleted. Returns whether there is more room than before. */
bool spool_settle(struct spool *s, uint64_t head);

/* What was written since the last time survives a loss of power, or counts as suspect. Blocks. */
void spool_sync(struct spool *s);

/*
 * The lowest seq whose record the disk may have lost (a failed fsync, a file that somebody deleted) and nobody has answered
 * for; UINT64_MAX: none.
 */
uint64_t spool_suspect(struct spool *s);

struct spool_numbers {
	uint64_t bytes;		/* from head to end */
	uint64_t errors, corrupt;
};

void spool_numbers(struct spool *s, struct spool_numbers *out);

/* Spans that are not answered for, and whose files are not there any more: at most so many. Asks the disk. */
uint64_t spool_missing(struct spool *s);

/* Writes the mark; deletes files that nobody needs. What is not answered for stays. */
void spool_close(struct spool *s);

/*
 * Warn of folders in `dir` that hold spans and that no process has open: those of sinks that are no longer configured.
 * Called when all sinks are open.
 */
void spool_strays(const char *dir);

#endif
