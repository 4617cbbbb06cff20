/*
 * explain.h - `haspan explain`: one line, step by step, for who writes log-formats.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "config.h"

/*
 * Explain each of `lines`, or, when there is none, each line of standard input, on standard output. Returns the exit
 * code: 0, or EXIT_CHECK when a line was not understood, or EXIT_CONFIG with a message on stderr.
 */
int explain(const struct config *c, char **lines, int n);

#endif
