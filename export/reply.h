/*
 * export/reply.h - the body of a collector's answer, read with suspicion.
 */
#ifndef EXPORT_REPLY_H
#define EXPORT_REPLY_H

#include "core/slice.h"

enum reply_form { REPLY_PROTOBUF, REPLY_JSON, REPLY_TEXT, REPLY_OTHER };

struct reply {
	uint64_t rejected; /* spans that a success did not take; at most those that were sent */
	char message[256];	/* printable ASCII, shortened; may be empty */
	bool unreadable;	/* a success whose body says nothing that is understood */
};

/* The form that a Content-Type names; without one (empty) the request's own, as OTLP demands. */
enum reply_form reply_form(struct slice content_type, bool json_sent);

/* The body of a success: ExportTraceServiceResponse for `spans` spans. */
void reply_success(enum reply_form form, struct slice body, uint64_t spans, struct reply *out);

/* The body of a failure: google.rpc.Status, or plain text. */
void reply_failure(enum reply_form form, struct slice body, struct reply *out);

#endif
