/*
 * export/batch.h - spans that are sent together, and the queue of those that wait. No I/O, no lock: the sink's.
 */
#ifndef EXPORT_BATCH_H
#define EXPORT_BATCH_H

#include "export/export.h"

struct batch {
	struct batch *next;
	struct buf bytes;	/* as encoded; owned */
	struct buf packed;	/* the same, compressed; empty without gzip */
	uint64_t spans;
	uint64_t loose;		/* of those, that are in memory only */
	uint64_t seq;		/* the lowest of its wires that are in memory only; UINT64_MAX: all are in the spool */
	uint64_t at;		/* the lowest position in the spool; UINT64_MAX: none is there */
	int64_t born_ms;	/* of its oldest wire; 0: it has waited long enough */
	bool json;
	bool half;		/* came of a split: not to be joined again */
};

/* Never NULL: without memory the program ends. */
struct batch *batch_new(bool json);
void batch_free(struct batch *b);

/* Bytes that it holds. */
size_t batch_size(const struct batch *b);

/* Give back what its buffer has grown beyond its content. */
void batch_shrink(struct batch *b);

/*
 * May `bytes` stand behind those of `b`, in one request of at most `max` bytes? Messages of protobuf that stand behind
 * one another are one message; of JSON the arrays are joined.
 */
bool batch_fits(const struct batch *b, struct slice bytes, bool json, size_t max);

/* Put them there; batch_fits said yes. */
void batch_append(struct batch *b, struct slice bytes);

/* The numbers of `in`, which was joined. */
void batch_count(struct batch *b, const struct batch *in);

/* Cut near the middle, between two traces: two new batches, owned. false: it can't be cut. `whole` stays. */
bool batch_split(const struct batch *whole, struct batch **head, struct batch **tail);

struct batches {
	struct batch *head, *tail;
	size_t bytes;		/* of what is to be sent, without packed */
};

void batches_append(struct batches *q, struct batch *b);
void batches_push_front(struct batches *q, struct batch *b);
struct batch *batches_pop(struct batches *q);

#endif
