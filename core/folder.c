/* core/folder.c - folders of haspan's own */
#include "core/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/banned.h"

/* Cut the last name off, with the slashes around it. False: nothing is left but "/", or a bare name. */
static bool up(char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (!n || (n == 1 && !path[1]))
		return false;
	path[n] = '\0';
	return true;
}

/* The folders above `path`, from the first that is missing; what is made meanwhile by another process is there too. */
static bool make_above(const char *path)
{
	char *above = strdup(path);
	bool ok = above && (!up(above) || mkdir(above, 0777) == 0 || errno == EEXIST ||
			    (errno == ENOENT && make_above(above) && (mkdir(above, 0777) == 0 || errno == EEXIST)));
	int why = errno;

	free(above);
	errno = why;
	return ok;
}

bool folder_make(const char *path)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return true;
	return errno == ENOENT && *path && make_above(path) && (mkdir(path, 0700) == 0 || errno == EEXIST);
}

bool folder_could(const char *path)
{
	char *at = strdup(path);
	bool ok;
	int why;

	if (!at)
		return false;
	while (!(ok = access(at, W_OK | X_OK) == 0) && errno == ENOENT && *at)
		if (!up(at)) {
			ok = access(*at == '/' ? "/" : ".", W_OK | X_OK) == 0;
			break;
		}
	why = errno;
	free(at);
	errno = why;
	return ok;
}
