/*
 * reconstruct/context.h - trace context that came with the request. Pure: text in, context out.
 *
 * W3C Trace Context level 2; B3 (openzipkin/b3-propagation); Jaeger; AWS X-Ray.
 */
#ifndef RECONSTRUCT_CONTEXT_H
#define RECONSTRUCT_CONTEXT_H

#include "core/slice.h"

/* Whether the caller records the trace. */
enum decision { DECISION_NONE, DECISION_DROP, DECISION_KEEP };

struct context {
	uint64_t hi, lo;		/* trace id, never both 0 */
	uint64_t parent;		/* span id of the caller; 0 only with X-Ray, which may leave it out */
	uint8_t flags;			/* W3C trace flags: sampled 1, random 2 */
	enum decision decision;
};

/*
 * Each reads one header value as captured: true with `*out` filled, or false with `*out` untouched when the
 * value is not valid by its specification.
 */
bool context_traceparent(struct slice value, struct context *out);
bool context_b3(struct slice value, struct context *out);
bool context_b3_multi(struct slice trace, struct slice span, struct slice sampled, struct slice flags,
		      struct context *out);
bool context_jaeger(struct slice value, struct context *out);
bool context_xray(struct slice value, struct context *out);

/*
 * Is it a valid tracestate? Then `*out` is its list without blanks and empty members, written to `scratch`
 * (value.len bytes) when that is not what came in.
 */
bool context_tracestate(struct slice value, char *scratch, struct slice *out);

/* `digits` lower-case hex digits, all of `s`, as a number of at most 16 digits; false when they are not. */
bool context_hex(struct slice s, size_t digits, uint64_t *out);

#endif
