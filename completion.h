/*
 * completion.h - what shells need to complete haspan's command line, from the table of options (cli.def).
 */
#ifndef COMPLETION_H
#define COMPLETION_H

#include <stdbool.h>

/* Print the script for `shell`, bash, zsh or fish, on standard output. false: there is none for it. */
bool completion_print(const char *shell);

#endif
