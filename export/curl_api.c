#include "export/curl_api.h"

#include "core/library.h"

/* The ABI's name on every Linux; 7.85 brought the last option that is used here. */
static struct library library = { "libcurl.so.4", "HTTP needs libcurl 7.85 or later (Debian: apt install libcurl4)", NULL };

struct curl_api curl;

bool curl_load(struct err *err)
{
	if (library.handle)
		return true;
	if (!library_load(&library, err))
		return false;
#define X(name) \
	if (!library_find(&library, "curl_" #name, &curl.name, err)) \
		return false;
	CURL_FUNCTIONS(X)
#undef X
	return curl.global_init(CURL_GLOBAL_ALL) == CURLE_OK ||
	       err_set(err, EXIT_CONFIG, "%s cannot be initialised", library.file);
}
