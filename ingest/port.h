/*
 * ingest/port.h - private to ingest/: one thing that live.c waits for: a socket, a connection, a followed file.
 *
 * A kind of port is a few function pointers in a file of its own, and one row in live.c's table.
 */
#ifndef INGEST_PORT_H
#define INGEST_PORT_H

#include "ingest/address.h"
#include "ingest/live.h"

struct port;

/* What port_ops.fill left behind. */
enum port_left {
	PORT_EMPTY,		/* nothing more now: wait for the descriptor */
	PORT_MORE,		/* there may be more: ask again before anybody waits */
	PORT_FULL,		/* the block can't take it (its room, its framing): ask again with an empty one */
	PORT_GONE,		/* it has ended: live.c takes it off and calls close */
};

struct port_ops {
	/*
	 * The descriptor is ready, or it asked to be asked again: append whole frames to `b`, as many as fit. `b` may hold
	 * frames of other ports: then its framing must be the same, else PORT_FULL and nothing taken. A port that sets
	 * `b->mark`, torn_head or torn_tail needs a block of its own: PORT_FULL when b->len is not 0, and it says so by
	 * `b->sole`. Never blocks, never fails: what goes wrong is counted and logged (rate-limited).
	 */
	enum port_left (*fill)(struct port *p, struct block *b);
	/* May be NULL. Time passes: called when `due_ms` (core/log.h's clock_ms) is reached; sets a new one. */
	enum port_left (*tick)(struct port *p, int64_t now_ms);
	/* May be NULL. As live_acknowledge; another thread than fill's: keep what both touch apart. */
	void (*acknowledge)(struct port *p, uint64_t mark);
	/*
	 * May be NULL. Called several times a second by acknowledge's thread, also while nobody has room for lines: write
	 * down what has become settled, if it is time; with `last` in any case; keep what must be asked now and then to be
	 * kept (the membership of a group). It may block.
	 */
	void (*keep)(struct port *p, bool last);
	/* May be NULL. Add what it has read, and what there is, of a source that has an end; any thread. */
	void (*progress)(struct port *p, uint64_t *done, uint64_t *total);
	/* May be NULL. It has an end, and there is more up to that. When nobody fills any more. */
	bool (*unfinished)(struct port *p);
	/* May be NULL. As live_lost. */
	uint64_t (*lost)(struct port *p);
	/* May be NULL. As live_reload. */
	bool (*reload)(struct port *p, struct err *err);
	/* May be NULL. Add this port's numbers, by any thread: read atomics only. Not called for connections. */
	void (*metrics)(struct port *p, struct metrics *m);
	/* May be NULL. A stop was asked for: no new work (a listener stops listening), but what has arrived is still read. */
	void (*stop)(struct port *p);
	/* Frees it and its descriptor, but not `uri`. */
	void (*close)(struct port *p);
};

/* First member of every port's own struct. */
struct port {
	const struct port_ops *ops;
	struct live *live;
	struct port *parent;		/* of a connection: its listener; counts go there */
	char *uri;			/* for people; owned by live.c; NULL for connections. What open left there, or all */
	uint32_t source;		/* number of the source; a connection has its listener's */
	char bound[ADDRESS_TEXT];	/* of a socket with an address: where it is; for people */
	int fd;				/* watched for input (level-triggered), or -1 */
	bool impatient;			/* a source: what comes must be read at once, there is no room for more */
	int64_t due_ms;			/* when tick is called; 0: never */
	/* live.c's own: */
	struct port *prev, *next, *ready_next, *timed_next;
	bool ready, gone, timed;
};

/*
 * Open the port that `uri` names. `rest` is what follows the scheme. Owned, or NULL with `err` filled. What it needs of
 * the settings it asks of `live_settings(l)`, each time anew: they may change.
 */
struct port *udp_open(struct live *l, struct slice uri, struct slice rest, struct err *err);	/* datagram.c */
struct port *unix_open(struct live *l, struct slice uri, struct slice rest, struct err *err);	/* datagram.c */
struct port *tcp_open(struct live *l, struct slice uri, struct slice rest, struct err *err);	/* stream.c */
struct port *tls_open(struct live *l, struct slice uri, struct slice rest, struct err *err);	/* stream.c, tls.c */
struct port *follow_open(struct live *l, struct slice uri, struct slice rest, struct err *err);	/* follow.c */
struct port *kafka_open(struct live *l, struct slice uri, struct slice rest, struct err *err);	/* kafka.c */

/* The port ends for a reason that nothing mends, and has logged it; it returns PORT_GONE. */
void live_fail(struct live *l, enum exit_code code);

const struct live_config *live_settings(const struct live *l);

/* A stop was asked for, and nothing is awaited any more: what is unfinished is given as it is, and the connection ends. */
bool live_ending(const struct live *l);

/* Watch a new port: a connection that a listener accepted. false: no memory or descriptor; the caller closes it. */
bool live_watch(struct live *l, struct port *p);

/* The port's descriptor was replaced or closed (-1): watch the new one. */
void live_rewatch(struct live *l, struct port *p, int fd);

/* Ask the port again before waiting, although its descriptor may not be ready. Only from a function of a port. */
void live_ready(struct live *l, struct port *p);

#endif
