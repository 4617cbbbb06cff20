/*
 * reconstruct/join.h - the lines of requests that have several (log-steps, do-log), until a request is whole.
 *
 * The only state that reaches from one line to another, and all of it is here. What leaves, and when, is a function
 * of the sequence of lines alone: not of threads, of blocks, or of the time of day.
 *
 * A request leaves at once when its final line has come and the steps before it that the final line speaks of; else
 * LINGER_LINES step lines or LINGER_US of the log's clock after its final line. Without a final line it leaves when it
 * is the oldest and there is no room (`max_open`), when the log's clock has gone on by `max_age`, or at the end of
 * input. No single line moves the log's clock far: reconstruct/clock.h has the rule. Keys of requests that left are
 * remembered for as long as there is room: later lines of theirs make nothing.
 */
#ifndef RECONSTRUCT_JOIN_H
#define RECONSTRUCT_JOIN_H

#include "core/buf.h"
#include "core/err.h"
#include "core/limits.h"
#include "core/slice.h"

enum part_flag {
	PART_ALONE = 1,		/* has no key: a request of its own */
	PART_WEAK = 2,		/* its key is counter and process: both begin anew when HAProxy does */
	PART_FINAL = 4,		/* nothing comes behind it */
	PART_GREPPED = 8,	/* the line, as it came, fits --grep */
};

/* One line, as the joiner keeps it; its message, its host and what came beside it are bytes behind it. */
struct part {
	uint64_t key[2];
	int64_t moment_us;	/* when it was, by its own clock or an envelope's with fractions; 0: unknown */
	int64_t time_us;	/* the envelope's time; 0: none */
	uint64_t seq;		/* of the block in which it came; for joiner_open_since */
	uint32_t len, host_len;
	uint32_t aside_len;	/* what its queue knew of it (steps_aside), at most ASIDE_MAX */
	uint32_t raw_len;	/* of the line with its envelope */
	uint16_t format;	/* index of the format that matched, or UINT16_MAX */
	int16_t zone_min;	/* the envelope's */
	uint8_t step;		/* enum step */
	uint8_t need;		/* of a final line: a bit for each step (1 << enum step) that must have been before */
	uint8_t flags;		/* enum part_flag */
};

enum reason { REASON_NONE, REASON_MAX_OPEN, REASON_MAX_AGE, REASON_END };

/* A request that left: its lines, in the order in which they came. Everything is lent by the buffer. */
struct joined {
	enum reason reason;		/* REASON_NONE: its final line is among them */
	uint32_t n, dropped;		/* lines, and how many more there were */
	struct part part[PARTS_MAX];
	const char *bytes[PARTS_MAX];	/* message, host, aside; BLOCK_PAD readable bytes around them */
};

/* Where the bytes of a line are; lengths are in its struct part. */
struct part_bytes {
	const char *msg, *host, *aside;
};

struct joiner;

/* Memory for `max_open` requests: OPEN_BYTES each, touched when needed. NULL: `err` filled. */
struct joiner *joiner_new(uint32_t max_open, int64_t max_age_us, struct err *err);
void joiner_free(struct joiner *j);

/*
 * Take in a line; `from` is lent for the call. Requests that are whole by now, or have no room, are
 * appended to `out`. Returns whether it was the first line of a request.
 *
 * What leaves because its time has come is bounded by what came: for a block of lines at most about three blocks. What has to
 * make room is not, as a short request may displace a long one: look at out->len between lines. One call appends no more than
 * a few times PARTS_BYTES.
 */
bool joiner_take(struct joiner *j, const struct part *p, const struct part_bytes *from, struct buf *out);

/*
 * Nothing has come for a while, by the time of day: requests whose final line has come leave, up to about a block of
 * them; with `all` those without one too, as if they were too old (REASON_MAX_AGE). For input that has no end.
 */
bool joiner_idle(struct joiner *j, bool all, struct buf *out);

/* How many requests are open; how many of them have had their final line. */
uint32_t joiner_open(const struct joiner *j, uint32_t *final);

/*
 * The lowest `seq` of the lines of all open requests, and of those that have left since this was last asked; UINT64_MAX:
 * there are none.
 */
uint64_t joiner_open_since(const struct joiner *j);
uint64_t joiner_left_since(struct joiner *j);

/* The input has ended: append up to about a block of requests. false: none is left. */
bool joiner_end(struct joiner *j, struct buf *out);

/* The next request in `out` from `*at` on; false: that was the last. */
bool joined_next(const struct buf *out, size_t *at, struct joined *r);

#endif
