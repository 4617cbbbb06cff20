/*
 * ingest/kafka_private.h - private to ingest/kafka*.c: one consumer.
 *
 * kafka_open.c begins; kafka.c fills blocks, kafka_message.c with what messages have; kafka_group.c knows the partitions:
 * what is given and taken, read, settled and committed. kafka_range.c makes it read a range once; kafka_fetch.c keeps
 * librdkafka at work.
 *
 * All of it is under `lock`, but for what is said to be set at start. Callbacks of librdkafka run inside its polls, and
 * so under `lock` too.
 */
#ifndef INGEST_KAFKA_PRIVATE_H
#define INGEST_KAFKA_PRIVATE_H

#include "core/kafka_api.h"
#include "ingest/port.h"
#include "ingest/stitch.h"

#include <stdatomic.h>

/* A partition that was assigned at least once; it keeps its place. */
struct kafka_part {
	char *topic;		/* owned */
	const rd_kafka_topic_t *rkt;	/* by which its messages name the topic, since the last assignment; or NULL */
	int32_t partition;
	uint32_t generation;	/* of its assignments: positions of an earlier one are no longer ours to store */
	bool assigned;
	bool going;		/* it was taken away: what was read of it is waited for, nothing more is */
	bool paused;
	bool done;		/* of a range: read to its end */
	bool dirty;		/* `settled` is not stored yet */
	int64_t settled;	/* next offset after all that is settled, in this generation; -1: none */
	int64_t next;		/* next offset after all that was read; -1: none was */
	int64_t begin, end;	/* of a range, else -1 */
	uint64_t mark;		/* of the block that it was last read into … */
	uint64_t entry;		/* … and its position there */
	uint32_t waiting;	/* positions of this generation in the ring */
};

/* Everything below `offset` of a partition is settled when `mark` is. */
struct kafka_position {
	uint64_t mark;
	int64_t offset;
	uint32_t part, generation;
};

struct kafka_source {
	struct port port;

	/* Set at start. */
	struct kafka_uri uri;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	bool group;		/* a member; else it was told its partitions */
	bool range;		/* it has an end */
	bool commits;		/* positions move */
	bool key_is_host;
	unsigned drain_ms;
	struct kafka_trouble trouble;

	pthread_mutex_t lock;
	struct kafka_part *part;	/* owned, in the order of their first assignment */
	uint32_t parts;
	uint32_t *hash;			/* of messages' topic and partition to `part`, + 1; owned */
	uint32_t hashed;		/* its size, a power of two */
	uint32_t last;			/* the part of the last message */
	struct kafka_position *ring;	/* owned: positions [head, tail), at modulo `room` */
	uint64_t head, tail;
	uint32_t room;
	uint64_t mark;			/* of the last block that was given out */
	size_t most;			/* messages in librdkafka's queue, since it last shrank by half */

	rd_kafka_topic_partition_list_t *going;	/* taken away, not yet given back; owned, or NULL */
	int64_t going_until;
	bool paused, stopping, closing, over;
	bool ask_headers;		/* what lies behind a message's value does not tell (kafka_message.c) */

	rd_kafka_message_t *held[KAFKA_HELD_MAX];	/* polled, and nobody asked for them yet */
	uint32_t nheld;
	rd_kafka_message_t *large;	/* does not fit into a block: it leaves in pieces, owned; or NULL */
	size_t large_at;
	struct stitch stitch;		/* of its pieces */
	int64_t polled_ms, looked_ms, said_ms, commit_said_ms;

	_Atomic uint64_t messages, bytes, rebalances, let_go, commit_errors, errors;
	_Atomic uint64_t assigned, pausing, lag, waiting, done, total;
};

/* ---- kafka.c ----------------------------------------------------------------------------------------- */

extern const struct port_ops kafka_ops;

/* librdkafka's error callback. */
void kafka_trouble_said(rd_kafka_t *rk, int err, const char *reason, void *opaque);

/* ---- kafka_message.c --------------------------------------------------------------------------------- */

/* Append `from`, which fits: from->len + 1 bytes. It is the block's from now on. */
void kafka_add_message(struct kafka_source *k, struct block *b, rd_kafka_message_t *from);

/* The next piece of k->large, alone in its block; with the last one it is the block's, and no longer k->large. */
void kafka_add_piece(struct kafka_source *k, struct block *b);

/* It is not wanted any more. */
void kafka_drop_large(struct kafka_source *k);

/* No further message: of places, or of room for what can stand beside one. */
bool kafka_is_full(const struct block *b);

/* block.release */
void kafka_release(struct block *b);

/* ---- kafka_fetch.c ----------------------------------------------------------------------------------- */

/* rd_kafka_version() of the first that knows fetch.queue.backoff.ms. */
#define KAFKA_QUEUE_BACKOFF 0x02020000

/* Pages that librdkafka's buffers had are kept: from now on, for the whole process. */
void kafka_keep_memory(void);

/* Messages were taken: let it fetch again if the queue has become short. Under `lock`. */
void kafka_keep_fetching(struct kafka_source *k);

/* ---- kafka_group.c ----------------------------------------------------------------------------------- */

/* librdkafka's callbacks. */
void kafka_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque);
void kafka_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque);

/* Take up these partitions as ours, from now on a new generation. Under `lock`, or before anybody else is there. */
void kafka_parts_take(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list);

/* Whose message it is; NULL: of none that is ours to read now. */
struct kafka_part *kafka_part_of(struct kafka_source *k, const rd_kafka_message_t *m);

/* `offset` and all before it of the partition stand in the block of mark `mark` or an earlier one. */
void kafka_position_read(struct kafka_source *k, struct kafka_part *part, int64_t offset, uint64_t mark);

/* Everything up to `mark` is settled: store what that means. */
void kafka_position_settle(struct kafka_source *k, uint64_t mark);

/* Commit `list` (NULL: all that is stored), and wait for the answer, but not for ever. */
void kafka_commit_now(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list);

/* What was taken away leaves when all that was read of it is settled, or its time is over; INT64_MAX: now. */
void kafka_serve_going(struct kafka_source *k, int64_t now_ms);

/* Partitions wait for whoever takes their lines, or wait no more. */
void kafka_pause(struct kafka_source *k);
void kafka_resume(struct kafka_source *k);

/* How many messages are not settled. */
void kafka_measure(struct kafka_source *k);

void kafka_parts_free(struct kafka_source *k);

/* ---- kafka_range.c ----------------------------------------------------------------------------------- */

/* since=, until=, offset=, partition=: `k->range` and what the parameters say; false: `err` filled (EXIT_USAGE). */
struct kafka_range {
	bool any;		/* one of them was given: no membership of a group */
	int64_t since_ms;	/* -1: not given */
	int64_t until_ms;	/* -1: not given; INT64_MAX: the end as it is now */
	int64_t offset;		/* RD_KAFKA_OFFSET_BEGINNING, _END, or a number */
	int32_t partition;	/* -1: all */
};
bool kafka_range_parse(struct kafka_uri *u, struct kafka_range *r, struct err *err);

/* Find the offsets and assign the partitions of `topics` (NULL-terminated, no patterns). False: `err` (EXIT_INPUT). */
bool kafka_range_assign(struct kafka_source *k, const struct kafka_range *r, char *const *topics, const int *partitions,
			struct err *err);

/* The partition is read to the end of its range. */
void kafka_range_done(struct kafka_source *k, struct kafka_part *part);

#endif
