/*
 * control_private.h - what the files of control*.c share.
 */
#ifndef CONTROL_PRIVATE_H
#define CONTROL_PRIVATE_H

#include "control.h"
#include "pipeline.h"

#include <poll.h>
#include <stdatomic.h>
#include <time.h>

enum control_state { STATE_STARTING, STATE_RUNNING, STATE_RELOADING, STATE_STOPPING };

struct control {
	struct pipeline *pipeline;
	struct settings *now;		/* what runs; the main thread's alone */
	int argc;
	char **argv;
	time_t started;
	int64_t started_ms;
	struct onlooker *onlooker;	/* or NULL */
	bool live;			/* there are sources without an end */
	/* What the ends were called at start, for commands that name one so; owned. */
	char *given_source[SOURCES_MAX], *given_sink[SINKS_MAX];
	uint64_t rejected;		/* lines of which a warning was said */
	int64_t said_rejected_ms;
	char sampling[32];		/* what the admin set, or empty; the main thread's alone */
	/* Read by the metrics' thread too: */
	_Atomic int state;		/* enum control_state */
	_Atomic int64_t turned_ms;	/* when the main loop last turned */
	_Atomic uint64_t reloads, reloads_failed;
};

/* Does the main loop turn, and is no worker stuck in a block? Any thread. */
bool control_alive(const struct control *c);

/* ---- control_show.c: all append to `out`, at most SHOW_MAX ------------------------------------------------- */

/* `name: value` lines. The main thread's. */
void show_info(struct control *c, struct buf *out);

/* A table: a line each, number, state, URI, and numbers as name=value. The main thread's. */
void show_sources(struct control *c, struct buf *out);
void show_sinks(struct control *c, struct buf *out);
void show_rules(struct control *c, struct buf *out);

/* Prometheus' text format 0.0.4, or OpenMetrics 1.0. One consistent reading; any thread. */
void show_metrics(struct control *c, struct buf *out, bool openmetrics);

/* ---- control_admin.c: the main thread's -------------------------------------------------------------------- */

struct admin;

/* Descriptors that the admin socket wants poll(2) to look at: its own, and its clients'. */
#define ADMIN_FDS (1 + ADMIN_CLIENTS_MAX)

/*
 * Listen on `where` (unix:PATH[?mode=660]). A socket that nobody answers on is replaced. NULL: `err` filled (EXIT_USAGE,
 * EXIT_CONFIG; EXIT_INPUT: the place is taken, as of a source, which another start may mend).
 */
struct admin *admin_open(const char *where, struct err *err);

/* Would it be a place? Nothing is made. */
bool admin_check(const char *where, struct err *err);

/* Fill in what to wait for; always ADMIN_FDS of them. */
void admin_fds(const struct admin *a, struct pollfd fds[ADMIN_FDS]);

/* Do what can be done without waiting, and close who was silent for too long. */
void admin_turn(struct admin *a, const struct pollfd fds[ADMIN_FDS], struct control *c);

void admin_close(struct admin *a);

/* ---- control_http.c: a thread of its own ------------------------------------------------------------------- */

struct metrics_port;

/* Bind [HOST:]PORT, loopback unless a host is named. NULL: `err` filled as by admin_open. */
struct metrics_port *metrics_open(const char *where, struct err *err);

/* Would it be an address? Nothing is bound. */
bool metrics_check(const char *where, struct err *err);

/* Serve from now on. false: `err` filled. */
bool metrics_start(struct metrics_port *m, struct control *c, struct err *err);

void metrics_close(struct metrics_port *m);

#endif
