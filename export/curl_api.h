/*
 * export/curl_api.h - the functions of libcurl that haspan uses, loaded when they are needed.
 *
 * libcurl brings two dozen libraries: linked, it costs every run 7 ms of start-up, also those
 * without an HTTP sink.
 */
#ifndef EXPORT_CURL_API_H
#define EXPORT_CURL_API_H

#include "core/err.h"

#include <curl/curl.h>

/* X(name without `curl_`) */
#define CURL_FUNCTIONS(X) \
	X(easy_cleanup) \
	X(easy_getinfo) \
	X(easy_header) \
	X(easy_init) \
	X(easy_setopt) \
	X(easy_strerror) \
	X(getdate) \
	X(global_init) \
	X(multi_add_handle) \
	X(multi_cleanup) \
	X(multi_info_read) \
	X(multi_init) \
	X(multi_perform) \
	X(multi_poll) \
	X(multi_remove_handle) \
	X(multi_wakeup) \
	X(slist_append) \
	X(slist_free_all)

struct curl_api {
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
};

/* Valid once curl_load() has returned true. */
extern struct curl_api curl;

/*
 * Load and initialise libcurl, once. From the starting thread only. False with `err` filled: it is
 * missing.
 */
bool curl_load(struct err *err);

#endif
