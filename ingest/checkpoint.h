/*
 * ingest/checkpoint.h - private to ingest/: how far a followed file is answered for, kept in the folder of --state.
 *
 * A checkpoint is a text file of its own for each source, replaced as a whole (doc/follow.md): what a kill, a full disk
 * or a power cut leaves behind is the one before or the one after. A lock beside it is held as long as the program
 * runs.
 */
#ifndef INGEST_CHECKPOINT_H
#define INGEST_CHECKPOINT_H

#include "core/buf.h"
#include "core/err.h"

/* A place in a file that may be renamed, copied or compressed meanwhile. */
struct position {
	uint64_t dev, ino;
	uint64_t offset;	/* the next byte to read, of what is in the file when it is decompressed */
	int64_t mtime_ns;	/* of the file, when the byte before was read; nanoseconds since 1970 */
	uint32_t head_len;	/* its first bytes, at most FOLLOW_HEAD ... */
	uint64_t head[4];	/* ... and their SHA-256 */
};

/* Append the text of a checkpoint to `out` (at most CHECKPOINT_MAX bytes). Pure. */
void checkpoint_format(struct buf *out, struct slice source, const struct position *at);

/*
 * Read such a text. NULL: `*at` is set. Else a few words on what is wrong with it, a string constant, and `*at` is
 * untouched. Pure.
 */
const char *checkpoint_parse(struct slice text, struct slice source, struct position *at);

struct checkpoint;

/* What checkpoint_open found. */
enum checkpoint_found { CHECKPOINT_NONE, CHECKPOINT_THERE, CHECKPOINT_DAMAGED };

/*
 * The checkpoint of `source` (lent until close) in `folder`, which is made if it is not there, with its parents. It is locked against
 * other processes. Owned; NULL with `err` filled (EXIT_CONFIG): it can't be written, or somebody else has it.
 */
struct checkpoint *checkpoint_open(const char *folder, const char *source, struct err *err);

/* Could it be opened, as far as one can tell without making anything (-n)? false: `err` filled (EXIT_CONFIG). */
bool checkpoint_check(const char *folder, struct err *err);

/* Read it. One that is damaged, or another source's, is renamed to NAME.damaged, and that is said. */
enum checkpoint_found checkpoint_read(struct checkpoint *c, struct position *at);

/* Replace it; it is on the disk when this returns true. false: errno says why, and the one before is there still. */
bool checkpoint_write(struct checkpoint *c, const struct position *at);

/* Where it is; for messages. Lent until close. */
const char *checkpoint_path(const struct checkpoint *c);

/* Gives the lock back. May be NULL. */
void checkpoint_close(struct checkpoint *c);

#endif
