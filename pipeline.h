/*
 * pipeline.h - the corridor: the only place that knows all rooms.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include "config.h"

struct pipeline;

/* Open all sources and sinks. NULL: `err` filled. With `c->check_only` nothing is written to. */
struct pipeline *pipeline_open(const struct config *c, struct err *err);

/*
 * Read everything, or until core/stop.h's wish; then wait for the sinks. Runs its workers as threads; returns
 * when all is answered for or given up. Errors of the input are in `err`; the rest was read all the same.
 */
void pipeline_run(struct pipeline *p, struct err *err);

/* The accounting identity on stderr (haspan(1)); any thread, any time. */
void pipeline_summary(struct pipeline *p);

/* 0, or the highest exit code that what happened asks for. After pipeline_run. */
int pipeline_exit_code(struct pipeline *p);

void pipeline_close(struct pipeline *p);

#endif
