/*
 * reconstruct/steps.h - which lines are steps of a request, and what several of them make together (doc/steps.md).
 */
#ifndef RECONSTRUCT_STEPS_H
#define RECONSTRUCT_STEPS_H

#include "core/buf.h"
#include "ingest/frame.h"
#include "parse/format.h"
#include "reconstruct/join.h"
#include "reconstruct/span.h"

enum step_line {
	STEP_LINE_NONE,		/* an ordinary line: a request of its own */
	STEP_LINE_PART,		/* a part of a request: for the joiner */
	STEP_LINE_OTHER,	/* a step of a request that nobody can name, and no request by itself */
};

/* Can lines of this format be steps? All others are ordinary. */
static inline bool steps_possible(const struct format *f)
{
	return format_has(f, SLOT_OG) || f->step != STEP_UNKNOWN;
}

/*
 * What the line in `r`, of such a format, which came in `f`, is. STEP_LINE_PART: fills `p`, but for the index of its
 * format. Pure.
 */
enum step_line step_line(const struct record *r, const struct frame *f, struct part *p);

/*
 * What stood beside the line in its queue's message and can name the parent (headers, a key that is a trace id) is appended
 * to `out`. Returns how many bytes: for part.aside_len, at most ASIDE_MAX; what does not fit is left out.
 */
uint32_t steps_aside(const struct message *m, struct buf *out);

/* Lines of one request on their way into one record. One per worker; all but `scratch` is reset by merge_begin. */
struct merge {
	struct record rec;		/* all fields together; strings are lent by the lines' bytes and by `scratch` */
	struct frame frame;		/* host and zone; `message` below, or NULL */
	struct message message;		/* what stood beside the first line that had something: key and headers */
	struct message_header header[MESSAGE_HEADERS];
	struct moments moments;
	struct event event[PARTS_MAX];
	struct event_attr attr[EVENT_ATTRS_MAX];
	uint32_t nevents, nattrs;
	const struct joined *from;
	const uint64_t *every;		/* slots that each of the formats has */
	uint8_t order[PARTS_MAX];	/* lines in the order in which they are merged; equal ones left out */
	uint32_t n;
	int64_t end_us;			/* of the final line, else of the last one; 0: unknown */
	char *scratch;			/* SCRATCH_SIZE bytes, owned */
	size_t used;
};

void merge_init(struct merge *m);	/* aborts when out of memory */
void merge_free(struct merge *m);

/* Bring the lines of `j` into an order that does not depend on how they came; then m->order is what to merge. */
void merge_begin(struct merge *m, const struct joined *j);

/* The fields of line number `i` of `j`, parsed into `r`. Later steps win, but for values that say nothing. */
void merge_add(struct merge *m, uint32_t i, const struct record *r);

/* All are there: m->rec, m->frame and m->moments are ready for rebuild(). */
void merge_finish(struct merge *m);

/* Behind rebuild(): hand the events to the trace, which must be sampled and have its spans. */
void merge_events(struct merge *m, struct trace *t);

#endif
