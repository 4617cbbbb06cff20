/*
 * ingest/ingest.h - the ingest room: sources of bytes, and cutting and peeling what they give.
 */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "core/err.h"
#include "ingest/frame.h"

#include <sys/stat.h>

/* ---- sources ----------------------------------------------------------------------------------------- */

struct source;

/* What source_fill did. */
enum fill {
	FILL_BLOCK,		/* the block holds at least one byte */
	FILL_END,		/* nothing more will come */
	FILL_LATER,		/* nothing came before wake_input (core/stop.h) was called */
};

/*
 * Open `uri` (haspan(1), "source"): `file:PATH` with globs, `-`, or a plain path. Files are opened
 * one after another, in name order; a first existence check makes a typo fail at once.
 * Returns an owned source, NULL with `err` filled (EXIT_INPUT, EXIT_USAGE).
 */
struct source *source_open(struct slice uri, struct err *err);

/*
 * Fill `b` (its `p` has room for BLOCK_SIZE bytes and the pads) with whole frames. Blocks until there is
 * something. What can't be read is left out and the first reason is put into `err`; the rest is read all the
 * same. One caller at a time.
 */
enum fill source_fill(struct source *src, struct block *b, struct err *err);

/*
 * Before anything is read: this source is only looked at, and standard input is left where it stands. Returns whether it
 * has an end that can be looked at: nothing but regular files.
 */
bool source_look(struct source *src);

/*
 * Fill `b` (as source_fill) with the last frames of the next file, at least one; nothing when it has none or can't be read.
 * Compressed and counted files are read to find them, others not. false: there is no further file.
 */
bool source_last(struct source *src, struct block *b, struct err *err);

/* Is `file` one of the regular files that this source reads? */
bool source_reads(const struct source *src, const struct stat *file);

/*
 * Bytes read so far, as stored on disk; by who reads. And how many there are in all; 0: nobody knows, because not all are
 * regular files. For progress.
 */
uint64_t source_bytes(const struct source *src);
uint64_t source_size(const struct source *src);

void source_close(struct source *src);

/* Memory for one block; `p` is owned by the caller, who frees it with block_free. Aborts when out of memory. */
void block_alloc(struct block *b);
void block_free(struct block *b);

/* Room for messages, once; aborts when out of memory. */
void block_messages(struct block *b);

/* The worker is done with what the block holds. */
static inline void block_release(struct block *b)
{
	if (b->release)
		b->release(b);
	b->release = NULL;
	b->messages = b->headers = 0;
	b->aside_used = 0;
}

/* ---- frames ------------------------------------------------------------------------------------------ */

/*
 * How many bytes of [p, p + len) are whole frames. With `last` (the stream has ended) an unfinished final
 * line is whole. Decides FRAMING_UNKNOWN and stores it. The pieces of one line of a container stay together. Reads up
 * to 15 bytes behind the end (core/scan.h), as frame_cut does. Pure.
 */
size_t frame_boundary(const char *p, size_t len, bool last, enum framing *framing);

/*
 * The framing of a connection that begins with these bytes, which may be few: FRAMING_UNKNOWN until they tell, unless
 * `last`. Counted are also messages without a PRI (HAProxy's `format raw`): a count, and no LF within what it counts.
 * Nobody knows a file's framing, so there frame_boundary asks for more. Pure.
 */
enum framing frame_stream(const char *p, size_t len, bool last);

/* How many more bytes the unfinished counted message at `p` needs; 0: its count doesn't tell, or it is whole. Pure. */
size_t frame_missing(const char *p, size_t len);

/*
 * Cut up to `max` frames from `b`, starting at `*at`, and move `*at` behind the last of them. Sets `raw`, `flags`
 * and `message` only. Returns how many; 0 means that the block is used up. Pure; every byte of a block belongs to
 * exactly one frame or to framing. A record of several lines (FRAME_PIECES, FRAME_EXPORT) is one frame.
 */
uint32_t frame_cut(const struct block *b, size_t *at, struct frame *out, uint32_t max);

/*
 * Where the over-long frame in which a block starts (torn_head) has its end: behind its framing; 0 when it is not
 * in these bytes. Pure.
 */
size_t frame_torn_end(const char *p, size_t len, enum framing framing);

/* How many of `len` bytes of an over-long frame may leave, so that its end is still found in the next block. */
size_t frame_torn_piece(size_t len, enum framing framing);

/* ---- records ----------------------------------------------------------------------------------------- */

/* Where the text of records is decoded. One per worker. */
struct unwrapper {
	char *p;		/* owned: RECORD_ROOM bytes, BLOCK_PAD readable ones before and behind; or NULL */
	size_t used;
};

/* Aborts when out of memory. */
void unwrapper_init(struct unwrapper *u);
void unwrapper_free(struct unwrapper *u);

/* A new block: what was decoded for the last one is no longer needed. */
static inline void unwrapper_reset(struct unwrapper *u)
{
	u->used = 0;
}

/*
 * Peel off what a container runtime, journald or a log shipper put around the line (doc/records.md), then its envelope:
 * sets line, whole, msg, host, time_us, zone_min and flags. What is no record is handed to envelope_peel. Never
 * fails; what comes out depends on `f->raw` and `f->flags` alone.
 */
void record_peel(struct unwrapper *u, struct frame *f);

/* The same, faster when `f` has the host and tag of `before`, as envelope_peel_next. */
void record_peel_next(struct unwrapper *u, struct frame *f, const struct frame *before);

/* ---- envelopes --------------------------------------------------------------------------------------- */

/*
 * Peel RFC 3164, RFC 5424, HAProxy's short, timed, iso, priority and raw, the default file layouts of
 * rsyslog and syslog-ng, and journalctl's short ones from `f->raw`; sets line, whole, msg, host, time_us, zone_min and FRAME_BARE_ISO. What is no
 * envelope is the message. Never fails. Pure.
 */
void envelope_peel(struct frame *f);

/* The same, faster when `f` has the host and tag of `before`, a frame that was peeled and whose bytes still stand. */
void envelope_peel_next(struct frame *f, const struct frame *before);

#endif
