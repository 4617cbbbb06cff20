#include "core/library.h"

#include <dlfcn.h>
#include <string.h>

bool library_load(struct library *lib, struct err *err)
{
	if (!lib->handle)
		lib->handle = dlopen(lib->file, RTLD_LAZY | RTLD_LOCAL);
	return lib->handle || err_set(err, EXIT_CONFIG, "%s: %s", lib->advice, dlerror());
}

/* POSIX makes a function's address fit a `void *`, ISO C has no cast for it: hence the copy. */
bool library_find(const struct library *lib, const char *name, void *function, struct err *err)
{
	void *p = dlsym(lib->handle, name);

	if (!p)
		return err_set(err, EXIT_CONFIG, "%s has no %s: %s", lib->file, name, lib->advice);
	memcpy(function, &p, sizeof(p));
	return true;
}
