/*
 * export/spool_record.h - what a record of the spool looks like. Pure functions: bytes in, numbers out.
 *
 * The spool is one stream of bytes, cut into files; a record's position counts from the stream's beginning. A record is
 * a header and the payload, all numbers little-endian:
 *
 *      0  4  magic               ff 68 73 01, the last one being the version
 *      4  4  length of payload
 *      8  4  spans in it
 *     12  4  encoding            0 protobuf, 1 JSON
 *     16  8  position            of this header in the stream
 *     24  8  XXH3-64 of the payload
 *     32  8  XXH3-64 of bytes 0 to 31
 *
 * No text that is encoded holds the byte ff, because that is no UTF-8; and a header that somebody wrote into a log line
 * does not know its position. XXH3 (libxxhash, used for ids already) takes 0.1 s for a gigabyte, less than the copy.
 */
#ifndef EXPORT_SPOOL_RECORD_H
#define EXPORT_SPOOL_RECORD_H

#include "core/slice.h"

#define SPOOL_HEADER ((size_t)40)

struct spool_record {
	uint64_t at;		/* position of its header */
	uint64_t sum;		/* of the payload */
	uint32_t len;		/* of the payload: 1 … WIRE_MAX */
	uint32_t spans;
	bool json;
};

/* The header of `r` to `out`, SPOOL_HEADER bytes. */
void spool_record_write(const struct spool_record *r, char *out);

/* Is there, in the SPOOL_HEADER bytes at `p`, an intact header that belongs at position `at`? Then `*out` is set. */
bool spool_record_read(const char *p, uint64_t at, struct spool_record *out);

/*
 * Where in `bytes`, whose first one has position `at`, the first intact header stands: `*out` is set. bytes.len: nowhere.
 * Whether all of its payload is there is not looked at.
 */
size_t spool_record_find(struct slice bytes, uint64_t at, struct spool_record *out);

/* The checksum of a payload. */
uint64_t spool_record_sum(struct slice payload);

/*
 * The mark: up to where everything is answered for. `out` and `p` are SPOOL_MARK bytes: `generation`, position, checksum.
 */
#define SPOOL_MARK ((size_t)32)
void spool_mark_write(uint64_t generation, uint64_t at, char *out);
bool spool_mark_read(const char *p, uint64_t *generation, uint64_t *at);

#endif
