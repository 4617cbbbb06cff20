#include "sandbox.h"

#include "core/folder.h"
#include "core/log.h"
#include "sandbox_private.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Linux's own bound for a path, NUL included. */
#define PATH_SIZE 4096

static bool entered;

bool sandbox_entered(void)
{
	return entered;
}

/* ---- what every run may read ----------------------------------------------------------------------------- */

/*
 * Libraries (libcurl is loaded when a sink asks for it, the resolver's by libc), zones, certificates, the resolver's
 * files. All of /etc: those files are replaced by new ones while haspan runs, and a rule for a file holds for that one
 * alone. What is secret there has permissions of its own. /proc is for libc and for the numbers of the process itself;
 * Landlock keeps the secrets of other processes closed.
 */
static const char *const everybody[] = {
	"/etc", "/usr", "/lib", "/lib32", "/lib64", "/libx32",
	"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/nscd", "/var/run/nscd",
	"/var/lib/ca-certificates", "/sys/devices/system/cpu", "/proc",
};

static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom" };

/* Where else libraries, certificates and zones may be: a path, or several with colons. */
static const char *const variables[] = {
	"LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "OPENSSL_MODULES", "CURL_CA_BUNDLE",
	"TZDIR", "TZ", "RESOLV_HOST_CONF", "LOCPATH",
};

/* ---- paths ----------------------------------------------------------------------------------------------- */

/* The folder of `path` in place; "." if it names none. false: it is the root, below which lies everything. */
static bool folder_of(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash) {
		path[0] = '.';
		path[1] = '\0';
		return true;
	}
	*slash = '\0';
	return slash != path;
}

/* The folder that `path` lies in, or the nearest one that is there already; never the root. */
static void add_folder(int fence, const char *path, enum fence_right right)
{
	char folder[PATH_SIZE];

	if (!*path || (size_t)snprintf(folder, sizeof(folder), "%s", path) >= sizeof(folder))
		return;
	do
		if (!folder_of(folder))
			return;
	while (right == FENCE_READ && access(folder, F_OK) != 0 && strcmp(folder, ".") != 0);
	fence_add(fence, folder, right);
}

/*
 * A file and its folder, since files are replaced and rotated; the same where a symbolic link leads. What is no regular
 * file (a folder, /dev/stdout, a pipe) stands for itself alone.
 */
static void around(int fence, const char *path, enum fence_right right)
{
	char real[PATH_SIZE];
	struct stat st, link;
	bool exists = stat(path, &st) == 0;

	if (exists)
		fence_add(fence, path, right);
	if (exists && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))
		return;
	add_folder(fence, path, right);
	if (exists && lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && realpath(path, real))
		add_folder(fence, real, right);
}

static bool path_copy(char out[PATH_SIZE], struct slice path)
{
	return path.len && (size_t)snprintf(out, PATH_SIZE, "%.*s", (int)(path.len < PATH_SIZE ? path.len : PATH_SIZE),
					    path.p) < PATH_SIZE;
}

static void around_slice(int fence, struct slice path, enum fence_right right)
{
	char text[PATH_SIZE];

	if (path_copy(text, path))
		around(fence, text, right);
}

/* A folder that is haspan's own; it is made now, since afterwards nothing beside it can be. */
static void own(int fence, const char *path)
{
	if (!path || !*path)
		return;
	folder_make(path);			/* who needs it says what went wrong, if it is still missing then */
	fence_add(fence, path, FENCE_OWN);
}

static void around_matches(int fence, const char *pattern)
{
	glob_t found = { 0 };

	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			around(fence, found.gl_pathv[i], FENCE_READ);
	globfree(&found);
}

/* The files of a pattern: the folder before its first special character, which holds for what appears later. */
static void around_pattern(int fence, struct slice path)
{
	char text[PATH_SIZE];
	size_t at;

	if (!path_copy(text, path))
		return;
	at = strcspn(text, "*?[");
	if (text[at] && access(text, F_OK) != 0) {
		around_matches(fence, text);
		text[at] = '\0';
	}
	around(fence, text, FENCE_READ);
}

/* ---- what this run names --------------------------------------------------------------------------------- */

/* The %XX of a parameter, in place. */
static void unescape(char *text)
{
	char *to = text, pair[3] = { 0 }, *end;

	for (const char *from = text; *from; from++) {
		char c = *from;

		if (c == '%' && from[1] && from[2]) {
			memcpy(pair, from + 1, 2);
			c = (char)strtol(pair, &end, 16);
			from += *end ? 0 : 2;
			c = *end ? '%' : c;
		}
		*to++ = c;
	}
	*to = '\0';
}

/* The files that a URI's parameters name: certificates and keys are read again by a reload. */
static void parameters(int fence, struct slice list)
{
	char text[PATH_SIZE];

	while (list.p) {
		struct slice value = slice_cut(&list, '&'), name = slice_cut(&value, '=');

		if (!value.p || !(slice_eq(name, SLICE("cert")) || slice_eq(name, SLICE("key")) ||
				  slice_eq(name, SLICE("ca"))) || !path_copy(text, value))
			continue;
		unescape(text);
		around(fence, text, FENCE_READ);
	}
}

static void source(int fence, struct slice uri)
{
	struct slice query = uri, rest = slice_cut(&query, '?');

	if (slice_starts(uri, SLICE("follow:")))
		around_pattern(fence, slice_skip(rest, 7));
	else if (slice_starts(uri, SLICE("unix:")))
		around_slice(fence, slice_skip(rest, 5), FENCE_SOCKET);
	else if (slice_find(uri, ':') + 2 < uri.len && uri.p[slice_find(uri, ':') + 1] == '/' &&
		 uri.p[slice_find(uri, ':') + 2] == '/')
		parameters(fence, query);
	else if (!slice_eq(uri, SLICE("-")))
		around_pattern(fence, slice_starts(uri, SLICE("file:")) ? slice_skip(uri, 5) : uri);
}

static void outputs(int fence, const struct config *c)
{
	for (uint32_t k = 0; k < c->nsinks; k++)
		if (slice_starts(c->sinks[k], SLICE("file:")))
			around_slice(fence, slice_skip(c->sinks[k], 5), FENCE_WRITE);
	if (c->rejects)
		around(fence, c->rejects, FENCE_WRITE);
	own(fence, c->export.spool);
	own(fence, c->live.state);
}

static void inputs(int fence, const struct config *c)
{
	for (uint32_t i = 0; i < c->nsources; i++)
		source(fence, c->sources[i]);
	for (const struct option_value *v = c->baseline; v; v = v->next)
		source(fence, v->text);
	if (c->admin)
		source(fence, slice_str(c->admin));	/* the socket goes at the end */
	for (const char *const *path = c->rereads; *path; path++)
		around(fence, *path, FENCE_READ);
}

static void environment(int fence)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		struct slice list = slice_str(getenv(variables[i]));

		while (list.p) {
			struct slice path = slice_cut(&list, ':');

			if (path.len && *path.p == '/')
				around_slice(fence, path, FENCE_READ);
		}
	}
}

static void enter_fence(const struct config *c)
{
	int fence = fence_new();

	if (fence < 0) {
		log_debug("sandbox: this kernel has no Landlock: %m");
		return;
	}
	for (size_t i = 0; i < sizeof(everybody) / sizeof(everybody[0]); i++)
		fence_add(fence, everybody[i], FENCE_READ);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		fence_add(fence, devices[i], FENCE_DEVICE);
	environment(fence);
	inputs(fence, c);
	outputs(fence, c);
	if (!fence_close(fence))
		log_warn("sandbox: files are not fenced in: %m");
}

/* ---- going in -------------------------------------------------------------------------------------------- */

/* Valgrind makes system calls of its own in this process, and reads and writes where it likes. */
static bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && (strstr(preload, "/vgpreload") || strstr(preload, "/valgrind/"));
}

void sandbox_enter(const struct config *c)
{
	if (!c->sandbox || entered)
		return;
	if (SANITIZED || under_valgrind()) {
		/* They trace this process, and start another one that reads its symbols, to report what they find. */
		log_debug("sandbox: off, since a sanitizer or valgrind would not work in it");
		return;
	}
	enter_fence(c);
	if (filter_enter())
		log_debug("sandbox: system calls are filtered");
	else if (errno == ENOSYS || errno == EINVAL)
		log_debug("sandbox: this kernel filters no system calls");
	else
		log_warn("sandbox: system calls are not filtered: %m");
	err_explain_denied(" (by its permissions, or by the sandbox, where only what was configured at start can be used: see "
			   "--sandbox)");
	entered = true;
}
