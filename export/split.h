/*
 * export/split.h - a batch of spans, cut in two: the slow path, for a collector that says 413.
 */
#ifndef EXPORT_SPLIT_H
#define EXPORT_SPLIT_H

#include "core/buf.h"

/*
 * Cut `in` (an ExportTraceServiceRequest) near the middle of its spans, between two traces, and
 * append the halves to `head` and `tail`; both keep their resources and scopes. `*in_head` and
 * `*in_tail` are the numbers of their spans. Returns false, with everything untouched, when there
 * is but one trace, or `in` cannot be read.
 */
bool split_protobuf(struct slice in, struct buf *head, struct buf *tail, uint64_t *in_head,
		    uint64_t *in_tail);
bool split_json(struct slice in, struct buf *head, struct buf *tail, uint64_t *in_head,
		uint64_t *in_tail);

#endif
