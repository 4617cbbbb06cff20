/*
 * control.h - a run as the world sees it: signals, the service manager, the admin socket, the metrics' port, new
 * configurations. The pipeline runs in threads of its own; all of this is the main thread's.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "config.h"

struct pipeline;
struct watcher;

/* What the options meant when they were last read. SIGHUP makes another one. Zero it before use. */
struct settings {
	struct arena arena;
	struct options options;
	struct config config;
};

/*
 * Who looks at all requests of a run, and has the last word about it. Its rules were made for one configuration: a new
 * one is refused.
 */
struct onlooker {
	struct watcher *watcher[2];	/* the second may be NULL */
	/* May be NULL. Before anything is read, in the thread that will read. false: `err` filled, and nothing is. */
	bool (*begin)(struct onlooker *o, struct err *err);
	/* When all is read and the summary is said. Takes the exit code so far, returns the one that counts. */
	int (*judge)(struct onlooker *o, struct pipeline *p, int code);
};

/*
 * Run the pipeline of `first`, which is what `argv` said at the start, to its end, and return the exit code. `argv` is
 * read again with each new configuration. `onlooker`, lent, may be NULL. What `first` points to may be gone afterwards.
 */
int control_run(struct settings *first, int argc, char **argv, struct onlooker *onlooker);

#endif
