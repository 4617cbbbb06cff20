/*
 * export/keyed.h - wires that are messages, each with a key: for a Kafka topic.
 *
 * One message is one request's spans as a whole TracesData (encoder_keyed_protobuf, encoder_keyed_json), or one line of
 * the log as it came (encoder_raw). Its key says what must meet in one partition: the trace id.
 */
#ifndef EXPORT_KEYED_H
#define EXPORT_KEYED_H

#include "export/export.h"

extern const struct encoder encoder_keyed_protobuf;
extern const struct encoder encoder_keyed_json;		/* without a newline */
extern const struct encoder encoder_raw;		/* `lines` */

/* A key: a trace id as 32 hex digits. */
#define KEYED_KEY 32

struct keyed {
	char key[KEYED_KEY];
	uint32_t spans;
	struct slice bytes;	/* lent by the wire */
};

/* The next message of a wire from `*at` on (0 at first); false: that was the last. */
bool keyed_next(const struct buf *wire, size_t *at, struct keyed *out);

#endif
