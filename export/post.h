/*
 * export/post.h - HTTP POSTs to one endpoint, several at once. libcurl lives here.
 *
 * One thread owns a `struct post`; only post_wake() may be called by others.
 */
#ifndef EXPORT_POST_H
#define EXPORT_POST_H

#include "export/endpoint.h"

struct post;

/* How a request ended. Everything is lent until the slot is used again. */
struct post_answer {
	unsigned slot;
	int status;		/* of HTTP; 0: no (whole) answer */
	const char *fault;	/* why there is none; a sentence without a full stop */
	bool broken;		/* the connection broke, perhaps because the body was not wanted */
	struct slice body;
	bool cut;		/* the body was longer than RESPONSE_MAX */
	struct slice content_type;
	struct slice retry_after;
	int64_t retry_date_s;	/* retry_after as a date, or -1 */
};

/*
 * `e` is lent for the life of the post; `cfg` for this call. NULL with `err` filled: files that are
 * missing.
 */
struct post *post_open(const struct endpoint *e, const struct export_config *cfg, struct err *err);

/* The endpoint has moved; it is the same otherwise. */
void post_attach(struct post *p, const struct endpoint *e);

enum post_flags {
	POST_JSON = 1,		/* the body is JSON, whatever the endpoint's protocol is now */
	POST_CAREFUL = 2,	/* ask before sending it (Expect: 100-continue) */
};

/*
 * Send `body`, which is lent until the answer, in an idle slot (0 … e->connections - 1). With
 * POST_CAREFUL a server which does not want it can say so instead of hanging up.
 */
void post_start(struct post *p, unsigned slot, struct slice body, unsigned flags);

/*
 * Send the body of the slot's last request to where its answer pointed. NULL: done; otherwise the
 * reason why not: no place, another scheme, too many in a row. The user's headers and password go
 * to the endpoint's own host and port only.
 */
const char *post_follow(struct post *p, unsigned slot);

/* Work, and sleep until something happens: bytes, an answer, post_wake(), or `ms` have passed. */
void post_wait(struct post *p, int64_t ms);

/* The next answer; false: none yet. */
bool post_next(struct post *p, struct post_answer *out);

/* End post_wait() now, or the next one. Any thread. */
void post_wake(struct post *p);

/* Requests still on their way are abandoned. */
void post_close(struct post *p);

#endif
