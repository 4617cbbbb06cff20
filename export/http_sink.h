/*
 * export/http_sink.h - private to http.c (the sink), http_send.c (its thread) and http_answer.c (what answers do).
 */
#ifndef EXPORT_HTTP_SINK_H
#define EXPORT_HTTP_SINK_H

#include "core/limits.h"
#include "export/batch.h"
#include "export/http.h"
#include "export/post.h"
#include "export/spool.h"

#include <pthread.h>

/* How late a wish to stop may be noticed by those who wait for something else. */
#define TICK_MS 100

/* Messages that may repeat. */
enum http_say { SAY_DOWN, SAY_AUTH, SAY_REFUSED, SAY_PARTIAL, SAY_ODD, SAY_LOST, SAY_MAX };

struct lane {
	struct batch *batch;	/* owned; NULL: idle. Set and taken under the lock */
	int64_t due_ms;		/* not before */
	int64_t sent_us;	/* when the request left */
	unsigned tries;		/* failures of this batch */
	bool flying;		/* the request is on its way */
	bool careful;		/* the last try broke the connection */
	bool unreached;		/* the last try had no answer */
};

/* What SIGHUP brought, until the thread takes it. */
struct http_fresh {
	struct endpoint e;
	struct post *post;	/* NULL: nothing new */
	int64_t since_ms;
};

struct http_sink {
	struct sink base;
	char *given;			/* the URI, for reload; owned */
	struct endpoint e;		/* the thread's own */
	pthread_t thread;
	bool running;			/* the thread is to be joined */
	bool json;			/* what wires are; records of the spool say it themselves */
	size_t buffer_max;
	uint64_t spool_max;
	struct spool *spool;		/* or NULL */

	pthread_mutex_t lock;		/* for these: */
	pthread_cond_t room;
	struct post *post;		/* the thread's own, but for post_wake() */
	struct http_fresh fresh;
	struct batches queue;		/* to be sent, in order */
	size_t bytes;			/* of all batches, also of those in lanes */
	size_t join_max;
	int64_t join_ms, join_wait_ms;	/* when join_max may grow again; how long that is waited for */
	bool join_grown;		/* it has grown since the last 413 */
	int64_t delay_ms, drain_ms, give_up_ms;
	uint64_t submitted, exported, refused, dropped;
	uint64_t coming;		/* seq of the wire that is being submitted; UINT64_MAX: none */
	uint64_t arriving;		/* position in the spool from which on one is being written; the same */
	uint64_t left_out;		/* the lowest seq that found no place at the end of a drain; the same */
	uint64_t left_spans;		/* of all those */
	bool closing;			/* nothing more will come */
	bool blocked;			/* the input waits for room */
	bool quit;			/* nobody waits for answers any more */
	int64_t stop_ms;		/* when a stop was first seen; 0: not yet */
	bool mend;			/* it answers: something is to be mended before it is tried again */
	char reason[320];		/* of the last failure; the thread's own while it runs */

	/* The thread's own: */
	struct lane *lane;
	int64_t gate_ms;		/* no request before: Retry-After, 401 */
	int64_t progress_ms;		/* last acknowledgement while somebody waits for one; 0: nobody does */
	int64_t read_ms;		/* the spool is not read before */
	uint64_t random;
	bool down;			/* a warning was said, and nothing was acknowledged since */
	int64_t said_ms[SAY_MAX];

	/* For metrics: */
	_Atomic uint64_t requests, failures;
	atomic_bool retrying;		/* what was sent last was not taken, and is held */
	struct histogram batch_spans, batch_bytes, latency;
};

/* The thread; `arg` is the sink. */
void *http_run(void *arg);

/* An answer came: to its batch, to the account, to those who wait. By the thread. */
void http_settle(struct http_sink *s, const struct post_answer *a);

/* Has a stop been asked for, and the time to drain passed? Under the lock. */
bool http_drained(struct http_sink *s);

/*
 * Put what `in` holds behind the queue, in a batch of its own or with the last one. Its bytes are taken, and in->bytes is
 * empty then, or copied. Under the lock.
 */
void http_queue(struct http_sink *s, struct batch *in);

/* The thread has something to do. Under the lock. */
void http_wake(struct http_sink *s);

/* Spans of damaged records. By the thread. */
void http_lost(struct http_sink *s, uint64_t spans);

/* What is answered for needs no place in the spool any more. By the thread. */
void http_spool_settle(struct http_sink *s);

/* Microseconds of a clock that never goes back. */
int64_t http_clock_us(void);

/* A consistent account, and the bytes in memory; any may be NULL. */
void http_account(struct http_sink *s, struct sink_tally *out, size_t *bytes);

#endif
