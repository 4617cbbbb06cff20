/*
 * core/library.h - shared libraries that only some runs need: loaded when they do, so that the others start quickly.
 */
#ifndef CORE_LIBRARY_H
#define CORE_LIBRARY_H

#include "core/err.h"

struct library {
	const char *file;	/* the name of its ABI, as in libcurl.so.4 */
	const char *advice;	/* what to install when it is missing */
	void *handle;		/* NULL: not loaded */
};

/* Load it, once. From the starting thread only. false: `err` filled (EXIT_CONFIG). */
bool library_load(struct library *lib, struct err *err);

/* The address of its function `name` into `*function`, a pointer to a function. false: `err` filled (EXIT_CONFIG). */
bool library_find(const struct library *lib, const char *name, void *function, struct err *err);

#endif
