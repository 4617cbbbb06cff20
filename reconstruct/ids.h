/*
 * reconstruct/ids.h - trace and span ids (doc/ids.md): a pure function of the line.
 */
#ifndef RECONSTRUCT_IDS_H
#define RECONSTRUCT_IDS_H

#include "parse/format.h"
#include "reconstruct/context.h"
#include "reconstruct/span.h"

/* What the ids of one request are made of. */
struct seeds {
	uint64_t hi, lo;		/* trace id, if nobody else gave one */
	uint64_t server, client;
};

/*
 * Give the trace its id, and then all its spans theirs. `parent`: the caller's context, or NULL.
 *
 *   trace id    the parent's; else a logged trace_id; else SHA-256(unique-id)[0..15]; else XXH3-128(message)
 *   CLIENT      a logged span_id; else SHA-256(unique-id '|' frontend)[0..7]; else from XXH3-128(message)
 *   SERVER      SHA-256(unique-id '|' frontend)[8..15]; else from XXH3-128(message)
 *   phases      from SERVER's id and the role, mixed by a bijection: distinct within a request
 */
void ids_trace(const struct record *r, const struct context *parent, struct trace *t, struct seeds *seeds);
void ids_spans(const struct record *r, const struct context *parent, const struct seeds *seeds, struct trace *t);

/* What the lines of one request have in common: a hash of `what`, told apart by `host` and `frontend`. */
void ids_key(struct slice what, struct slice host, struct slice frontend, uint64_t key[2]);

#endif
