/*
 * ingest/live.h - the sources that have no end: sockets and followed files, all of them at once.
 *
 * One struct live holds one struct port (ingest/port.h) for each URI, and for each connection of a stream. Whoever
 * holds the pipeline's input lock calls live_fill: there is no thread here, the kernel's buffers are the queue. When
 * the sinks make the workers wait nobody reads: streams and files wait, datagrams are dropped by the kernel, which
 * counts them.
 */
#ifndef INGEST_LIVE_H
#define INGEST_LIVE_H

#include "core/metrics.h"
#include "ingest/ingest.h"

struct live;

/* Settings that the ports share; lent by the configuration. */
struct live_config {
	const char *state;		/* folder for checkpoints, or NULL: none are kept */
	uint32_t max_connections;	/* of streams, all listeners together */
	int64_t idle_ms;		/* a connection that says nothing for so long is told to go; 0: never */
	size_t max_line;		/* longest message of a stream or datagram, at most LINE_MAX_BYTES */
	const char *const *kafka;	/* "property=value" of --kafka, NULL-terminated */
	unsigned drain_ms;		/* how long what a source is asked to let go of is waited for */
	bool check_only;		/* -n: look at the URIs and the files that they name, but bind and make nothing */
};

/* Is `uri` one of these sources? By its scheme alone. */
bool live_names(struct slice uri);

/* NULL: out of memory, `err` filled. */
struct live *live_new(const struct live_config *c, struct err *err);

/*
 * Bind, listen or look for the file, now. false: `err` filled (EXIT_USAGE, EXIT_INPUT). Its place among the ports that
 * were added is the number of the source: 0, 1 …
 */
bool live_add(struct live *l, struct slice uri, struct err *err);

/*
 * How many sockets the service manager has passed (LISTEN_FDS; ingest/activation.h). The first call takes them out of the
 * environment. A source whose address one of them has takes it instead of binding.
 */
unsigned live_passed(void);

/* Those that no source has taken become sources, behind the others. false: as live_add. */
bool live_add_passed(struct live *l, struct err *err);

/* What live_fill did. */
enum live_fill {
	LIVE_BLOCK,		/* the block holds whole frames */
	LIVE_NOTHING,		/* nothing came within the time */
	LIVE_END,		/* a stop was asked for, and what had arrived by then is read; or all sources have ended */
};

/*
 * Fill `b` (room for BLOCK_SIZE bytes and the pads) with whole frames of one or several ports, and set framing, torn_*,
 * source and mark. Waits for at most `wait_ms` (-1: for ever) until something comes, live_wake or core/stop.h's wish.
 * One caller at a time.
 */
enum live_fill live_fill(struct live *l, struct block *b, int wait_ms);

/* Let live_fill return LIVE_NOTHING soon; from any thread. */
void live_wake(struct live *l);

/*
 * Everything up to `mark` of this source is answered for, or in the spool: it need not be read again. Marks only grow.
 * One caller at a time, beside live_fill.
 */
void live_acknowledge(struct live *l, uint32_t source, uint64_t mark);

/* Let the sources write down what is acknowledged. Often; by live_acknowledge's thread. May block. */
void live_keep(struct live *l, bool last);

/* A source has ended for a reason that nothing mends, and has said so: the exit code; else EXIT_DONE. Any thread. */
enum exit_code live_failed(const struct live *l);

/* How far the sources are that have an end: false when none has. In the sources' own units, all together; any thread. */
bool live_progress(struct live *l, uint64_t *done, uint64_t *total);

/* Is there a source that has an end, and has not come to it? When nobody fills any more. */
bool live_unfinished(const struct live *l);

/* Datagrams that were lost before they could be read; any thread. */
uint64_t live_lost(struct live *l);

/*
 * Do not read this source, or read it again, from the next live_fill on; any thread. What arrives waits in the kernel, and
 * is dropped there when it is a datagram. false: no such source.
 */
bool live_pause(struct live *l, uint32_t source, bool pause);

/* New certificates and limits (SIGHUP). The caller holds off live_fill. false: `err` says what stays as it was. */
bool live_reload(struct live *l, const struct live_config *c, struct err *err);

/* The label of a source's numbers: its URI for people, without secrets. Lent until live_free. */
const char *live_uri(const struct live *l, uint32_t source);

/* The address and port that its socket is bound to; empty when it has none. For people. Lent until live_free. */
const char *live_bound(const struct live *l, uint32_t source);

/* Each source's numbers, labelled with its URI; any thread. */
void live_metrics(struct live *l, struct metrics *m);

void live_free(struct live *l);

#endif
