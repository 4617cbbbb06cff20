/*
 * check.h - the command `haspan check`: captured logs in, a verdict out.
 */
#ifndef CHECK_H
#define CHECK_H

#include "control.h"

/* Hold what `s` reads against the rules of --rules. Returns the exit code. */
int check_main(struct settings *s, int argc, char **argv);

#endif
