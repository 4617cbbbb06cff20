/*
 * misuse.h - what was asked for and would do nothing: said before anything is read.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "options.h"

/*
 * Flags of another command, or of a sink that was not asked for. Variables and configurations are shared by all commands:
 * what stands there is left alone. false: `err` filled (EXIT_USAGE).
 */
bool misuse_flags(const struct options *o, struct err *err);

/*
 * `haspan run`: the first operand is a word and no file. false: `err` filled (EXIT_INPUT), with what may have been meant.
 */
bool misuse_word(const struct options *o, struct err *err);

/* Nobody said what to read, and standard input is a terminal. */
bool misuse_waits(const struct options *o);

#endif
