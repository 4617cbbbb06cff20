/*
 * core/banned.h - included before every file: what must not be used here does not compile.
 */
#ifndef CORE_BANNED_H
#define CORE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Bounds unknown, state shared between threads, or the locale's opinion on a number. */
#pragma GCC poison strcpy strcat sprintf vsprintf strtok strncpy strncat gets
#pragma GCC poison gmtime localtime ctime asctime strptime atoi sscanf

#endif
