/*
 * reconstruct/sample.h - private to reconstruct/: does this request leave?
 */
#ifndef RECONSTRUCT_SAMPLE_H
#define RECONSTRUCT_SAMPLE_H

#include "reconstruct/context.h"
#include "reconstruct/reconstruct.h"

/* The longest value of tracestate's member `ot` (OpenTelemetry, "TraceState handling"). */
#define OT_VALUE_MAX 256

/* What `state` can grow by: "ot=th:", 14 digits, and what stands between. */
#define SAMPLE_STATE_GROWS 32

/*
 * The sampler's word on a request of this trace. `state` is the caller's tracestate, already checked; it becomes what the
 * spans carry, in `buf` (its length and SAMPLE_STATE_GROWS bytes) when that is something else. Pure.
 */
bool sample(const struct sampler *s, const struct context *parent, uint64_t id_lo, char *buf, struct slice *state);

/* The same for a request that a rule keeps: no probability is behind that. */
void sample_forced(uint64_t id_lo, char *buf, struct slice *state);

#endif
