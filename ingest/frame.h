/*
 * ingest/frame.h - door 1 and 2: a block of bytes from the world, and the messages that lie in it.
 *
 * Type header: everybody to the right may include it.
 */
#ifndef INGEST_FRAME_H
#define INGEST_FRAME_H

#include "core/limits.h"
#include "core/slice.h"

/* How messages stand in a stream (RFC 6587). */
enum framing {
	FRAMING_UNKNOWN,	/* decided by the first bytes */
	FRAMING_LINES,		/* section 3.4.2: each ends with LF */
	FRAMING_COUNTED,	/* section 3.4.1: `LEN SP MSG`, no LF */
	FRAMING_EXPORT,		/* journalctl -o export: fields, then an empty line */
	FRAMING_MESSAGES,	/* not one run of bytes: block.message; each framed by itself, as above */
};

/* A header of a message that names a trace, or what is known of it: a row of formats/headers.def, from 0. */
struct message_header {
	uint8_t row;
	uint16_t len;
	const char *p;		/* in the block's `aside` */
};

/* What a queue gave, where its library put it. */
struct message {
	struct slice text;	/* BLOCK_PAD readable bytes before and behind; lent by `handle`, or in the block's bytes */
	size_t start;		/* in the block: the run of all texts, one byte between them */
	int64_t time_us;	/* when it was written, by the queue: microseconds UTC, or 0 */
	struct slice key;	/* in `aside`; only what can name a trace or a host */
	const struct message_header *header;	/* of the block's; `headers` of them */
	uint32_t headers;
	bool key_is_host;
	enum framing framing;
	bool torn_head, torn_tail;	/* a piece of a line that was longer than a block, as the block's */
	void *handle;		/* owned by the block until block.release; or NULL */
};

/* Bytes of a source, whole frames only. Owned by the worker that asked for it. */
struct block {
	char *p;		/* BLOCK_PAD readable bytes before and behind [p, p + len) */
	size_t len;
	uint64_t seq;		/* 0, 1, 2 …: the order in which effects become visible */
	enum framing framing;
	bool torn_head;		/* starts inside a line that was longer than LINE_MAX_BYTES */
	bool torn_tail;		/* ends inside such a line */
	size_t torn_len;	/* FRAMING_COUNTED, torn_head: how many bytes of the first belong to it */
	bool sole;		/* of one port, which wants no other's bytes in it (ingest/port.h) */
	uint32_t source;	/* whose `mark` is */
	size_t max_line;	/* a longer frame is rejected; 0: LINE_MAX_BYTES */
	uint64_t mark;		/* how far it was read, in the source's own terms, growing; 0: it keeps no position */

	/* FRAMING_MESSAGES: `len` counts the texts and one byte for each; those that were copied lie at p + start. */
	struct message *message;	/* owned: MESSAGES_MAX, or NULL */
	uint32_t messages;
	struct message_header *header;	/* owned: MESSAGES_HEADERS, or NULL */
	uint32_t headers;
	char *aside;			/* owned: MESSAGE_ASIDE bytes, BLOCK_PAD readable ones before and behind; or NULL */
	size_t aside_used;
	void (*release)(struct block *b);	/* gives the messages back; the worker is done with the block. Or NULL */
};

/* A zone that the envelope does not tell. */
#define ZONE_UNKNOWN INT16_MIN

/* One message. Slices are lent by the block, or by the worker's struct unwrapper until its next pass. */
struct frame {
	struct slice raw;	/* as it came, without its framing: what --rejects keeps */
	struct slice line;	/* what is in it: the message with its envelope. `raw`, unless that was a record */
	struct slice whole;	/* a JSON text of which `line` is a member: it may be HAProxy's own; or empty */
	struct slice msg;	/* what HAProxy wrote: no envelope, no trailing blanks, CR or NUL */
	struct slice host;	/* who the envelope says wrote it; empty when it does not say */
	int64_t time_us;	/* when it was written, by the envelope: microseconds UTC, or 0 */
	int16_t zone_min;	/* the writer's offset from UTC in minutes, by the envelope, or ZONE_UNKNOWN */
	uint16_t origin;	/* index into the pass's origins */
	uint16_t next;		/* next frame of this origin, or FRAME_NONE */
	uint8_t flags;		/* enum frame_flag */
	const struct message *message;	/* in which it came, or NULL */
	uint8_t header;		/* length of RFC 3164's host and tag, blanks included; 0: none, or a longer one */
};

#define FRAME_NONE UINT16_MAX

enum frame_flag {
	FRAME_TORN = 1,		/* a piece of an over-long line: rejected */
	FRAME_CONTINUES = 2,	/* not its first piece: not counted again */
	FRAME_OPEN = 4,		/* not its last piece: --rejects adds no newline */
	FRAME_BARE_ISO = 8,	/* the envelope was a date alone: it may have been the message's own */
	FRAME_REJECTED = 16,	/* set behind the parser: nobody understood it */
	FRAME_EXPORT = 32,	/* `raw` is a record of journalctl -o export */
	FRAME_PIECES = 64,	/* `raw` is several records, a line each, of one message */
	FRAME_STEP = 128,	/* set behind the parser: one of several lines of a request */
};

#endif
