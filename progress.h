/*
 * progress.h - how far a long run is, for a person at a terminal: one line on stderr that is overwritten.
 *
 *	 42 %  1.3 of 3.1 GB  812,000 lines/s  2,431,000 spans/s  1:14 left
 *
 * Nothing when stderr is no terminal, when the spans themselves go to that terminal, or before a second has passed.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "pipeline.h"

/* Before the first turn. */
void progress_init(const struct config *c);

/* A few times a second, by one thread, while the pipeline runs. */
void progress_turn(struct pipeline *p);

#endif
