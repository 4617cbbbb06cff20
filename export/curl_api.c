#include "export/curl_api.h"

#include <dlfcn.h>
#include <string.h>

/* The ABI's name on every Linux; 7.85 brought the last option that is used here. */
#define CURL_LIBRARY "libcurl.so.4"
#define CURL_ADVICE "HTTP needs libcurl 7.85 or later (Debian: apt install libcurl4)"

struct curl_api curl;

/* POSIX makes a function's address fit a `void *`, ISO C has no cast for it: hence the copy. */
static bool find(void *lib, const char *name, void *function, struct err *err)
{
	void *p = dlsym(lib, name);

	if (!p)
		return err_set(err, EXIT_CONFIG, "%s has no %s: %s", CURL_LIBRARY, name,
			       CURL_ADVICE);
	memcpy(function, &p, sizeof(p));
	return true;
}

bool curl_load(struct err *err)
{
	static bool loaded;
	void *lib;

	if (loaded)
		return true;
	lib = dlopen(CURL_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
	if (!lib)
		return err_set(err, EXIT_CONFIG, "%s: %s", CURL_ADVICE, dlerror());
#define X(name) \
	if (!find(lib, "curl_" #name, &curl.name, err)) \
		return false;
	CURL_FUNCTIONS(X)
#undef X
	if (curl.global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		return err_set(err, EXIT_CONFIG, "%s cannot be initialised", CURL_LIBRARY);
	loaded = true;
	return true;
}
