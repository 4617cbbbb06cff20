/*
 * reconstruct/span.h - door 4: the spans of one request. No strings of their own, no attributes: an encoder
 * reads those from the record through a plan (reconstruct/plan.h).
 */
#ifndef RECONSTRUCT_SPAN_H
#define RECONSTRUCT_SPAN_H

#include "core/limits.h"
#include "core/slice.h"

/* Which span of the tree (doc/model.md). The order is the order of output; a span's parent precedes it. */
enum span_role {
	ROLE_SERVER,
	ROLE_REQUEST,
	ROLE_QUEUE,
	ROLE_TARPIT,
	ROLE_CLIENT,
	ROLE_CONNECT,
	ROLE_RESPONSE,
	ROLE_DATA,
	ROLE_MAX
};

/* OTLP's numbers (opentelemetry/proto/trace/v1/trace.proto). */
enum span_kind { KIND_INTERNAL = 1, KIND_SERVER = 2, KIND_CLIENT = 3 };
enum span_status { STATUS_UNSET = 0, STATUS_ERROR = 2 };

struct span {
	uint64_t start_ns, end_ns;	/* Unix epoch */
	uint64_t id, parent;		/* as on the wire, first byte in the most significant bits; parent 0: root */
	struct slice error_type;	/* empty: none. Lent by a table, or by the trace's `code` */
	struct slice name;		/* lent by a table, the record or the route */
	uint8_t role;			/* enum span_role */
	uint8_t kind;			/* enum span_kind */
	uint8_t status;			/* enum span_status */
	uint8_t parent_remote;		/* 1: the parent is the client's span */
};

/* A field of a do-log line. */
struct event_attr {
	struct slice key, value;	/* lent as the strings of a trace */
	uint8_t type;			/* enum attr_type: TEXT, NUMBER_TEXT or BOOL_TEXT */
};

/* One line of a request with several (log-steps, do-log); events of SERVER. */
struct event {
	uint64_t ns;			/* Unix epoch; within SERVER */
	struct slice name;		/* lent by a table */
	struct slice origin;		/* of a do-log line: which action; else empty */
	const struct event_attr *attr;
	uint32_t nattrs;
	uint8_t step;			/* enum step */
};

/* When the steps of a request were, by clocks finer than the timers; 0: unknown. */
struct moments {
	uint64_t request, connect, response;
};

/* What an id was made from (doc/ids.md). */
enum id_source { ID_FROM_PARENT, ID_FROM_LOG, ID_FROM_UNIQUE_ID, ID_FROM_LINE };

/* All that is known of one request. One per worker, reused for each line. */
struct trace {
	struct span span[SPANS_MAX];
	uint32_t n;
	uint64_t id_hi, id_lo;		/* trace id; first byte in the most significant bits of `hi` */
	struct slice state;		/* tracestate of the parent; empty: none */
	struct slice words;		/* why a phase failed, for a person; empty: none did */
	uint8_t flags;			/* W3C trace flags: bit 0 sampled, bit 1 random */
	uint8_t failed;			/* enum span_role: of the phase that failed, drawn or not; 0: none did */
	bool has_client;
	uint8_t reached;		/* bit per enum span_role: it has a length, drawn or not; not CLIENT */
	uint64_t length_ns[ROLE_MAX];	/* of those; SERVER's is that of the whole request */
	const struct moments *moments;	/* of a request with several lines; NULL: by the timers alone */
	const struct event *event;
	uint32_t nevents;
	uint8_t trace_from, client_from;	/* enum id_source: of the trace id, and of CLIENT's */
	char code[4];			/* status code as text, for error.type */
	char tname[512];		/* "{method} {route}" when there is a route */
};

#endif
