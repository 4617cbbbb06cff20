/*
 * ingest/record.h - private to ingest/: what records and envelopes know of each other and of framing.
 */
#ifndef INGEST_RECORD_H
#define INGEST_RECORD_H

#include "ingest/frame.h"

/* One record of a container's log file: docker's json-file, or CRI. */
struct piece {
	struct slice text;	/* of the line; still escaped if `escaped` */
	struct slice time;	/* RFC 3339; empty in docker's, where it stands elsewhere */
	char stream;		/* 'o' or 'e': stdout or stderr */
	bool escaped;
	bool more;		/* the line goes on in the next record of this stream */
};

/* True with `*out` set if `line` is one. */
bool record_piece(struct slice line, struct piece *out);

/* Is it worth asking record_piece whether `line` goes on? Most lines are told by their first byte. */
static inline bool record_may_go_on(struct slice line)
{
	if (line.len >= DOCKER_PIECE && *line.p == '{')
		return true;
	/* 2026-11-21T08:15:44.900123456Z stdout P … */
	return line.len > 29 && (unsigned)(*line.p - '0') < 10 && line.p[4] == '-' && line.p[10] == 'T';
}

/*
 * The next field of a record of journalctl -o export at `*at`: true with its name and value, and `*at` behind it.
 * False at the record's end, or where it is broken or cut.
 */
bool export_field(struct slice raw, size_t *at, struct slice *name, struct slice *value);

/* What export_field stopped at, `rest`: does it end too early, or can it be no field at all? */
bool export_is_cut(struct slice rest);

/* envelope_peel from `f->line` on. */
void envelope_line(struct frame *f);

/* A host that can be named, or nothing. */
struct slice envelope_host(struct slice s);

#endif
