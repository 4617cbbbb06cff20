#include "ingest/activation.h"

#include "core/limits.h"
#include "core/log.h"
#include "ingest/address.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* The first descriptor that is passed: sd_listen_fds(3), SD_LISTEN_FDS_START. */
#define FIRST_FD 3

struct passed {
	struct sockaddr_storage a;
	socklen_t n;
	int fd, type;		/* fd -1: taken */
	char uri[sizeof("unix:") + sizeof(struct sockaddr_un)];
};

/* What the service manager gave this process, and so the process's own. */
static struct passed sockets[PASSED_MAX];
static unsigned passed;
static bool looked;

/* A number that the variable holds, 0 if there is none. */
static uint64_t number(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t n = 0;

	return text && slice_uint(slice_str(text), &n) ? n : 0;
}

static int option(int fd, int name)
{
	int value = 0;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &n) == 0 ? value : -1;
}

/* What source it is; NULL and the reason when it is none. */
static const char *source_of(struct passed *s)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&s->a;
	char name[ADDRESS_TEXT];

	s->type = option(s->fd, SO_TYPE);
	s->n = sizeof(s->a);
	if (s->type < 0 || getsockname(s->fd, (struct sockaddr *)&s->a, &s->n) != 0)
		return "it is no socket";
	if (s->type == SOCK_STREAM && option(s->fd, SO_ACCEPTCONN) != 1)
		return "it does not listen: `Accept=no` is needed";
	if (s->a.ss_family == AF_UNIX) {
		if (s->type != SOCK_DGRAM || s->n <= offsetof(struct sockaddr_un, sun_path) || !un->sun_path[0])
			return "of unix sockets only ListenDatagram= with a path is a source";
		snprintf(s->uri, sizeof(s->uri), "unix:%.*s", (int)sizeof(un->sun_path), un->sun_path);
		return NULL;
	}
	if ((s->a.ss_family != AF_INET && s->a.ss_family != AF_INET6) || (s->type != SOCK_STREAM && s->type != SOCK_DGRAM))
		return "it is neither TCP nor UDP nor a unix socket";
	snprintf(s->uri, sizeof(s->uri), "%s://%s", s->type == SOCK_STREAM ? "tcp" : "udp", address_name(&s->a, name));
	return NULL;
}

static void look_at(int fd)
{
	struct passed s = { .fd = fd };
	const char *reason;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0) {
		log_warn("LISTEN_FDS: descriptor %d is not open", fd);
		return;
	}
	reason = passed == PASSED_MAX ? "there are too many" : source_of(&s);
	if (reason) {
		log_warn("LISTEN_FDS: descriptor %d is not used: %s", fd, reason);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	sockets[passed++] = s;
}

unsigned activation_count(void)
{
	uint64_t n;

	if (looked)
		return passed;
	looked = true;
	n = number("LISTEN_PID") == (uint64_t)getpid() ? number("LISTEN_FDS") : 0;
	/* They are meant for this process alone, not for what it may start. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (uint64_t i = 0; i < n && i < 4 * PASSED_MAX; i++)
		look_at(FIRST_FD + (int)i);
	return passed;
}

/* Paths of unix sockets may or may not count their NUL. */
static bool same(const struct passed *s, const struct sockaddr *a, socklen_t n)
{
	const struct sockaddr_in *x = (const struct sockaddr_in *)&s->a, *y = (const struct sockaddr_in *)(const void *)a;
	const struct sockaddr_in6 *p = (const struct sockaddr_in6 *)&s->a, *q = (const struct sockaddr_in6 *)(const void *)a;
	const size_t path = offsetof(struct sockaddr_un, sun_path);

	if (s->a.ss_family != a->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
	if (a->sa_family == AF_INET6)
		return p->sin6_port == q->sin6_port && memcmp(&p->sin6_addr, &q->sin6_addr, sizeof(p->sin6_addr)) == 0;
	return n > path && s->n > path &&
	       slice_eq(slice_of((const char *)a + path, strnlen((const char *)a + path, n - path)),
			slice_of((const char *)&s->a + path, strnlen((const char *)&s->a + path, s->n - path)));
}

int activation_take(int type, const struct sockaddr *a, socklen_t n)
{
	for (unsigned i = 0; i < activation_count(); i++)
		if (sockets[i].fd >= 0 && sockets[i].type == type && same(&sockets[i], a, n)) {
			int fd = sockets[i].fd;

			sockets[i].fd = -1;
			return fd;
		}
	return -1;
}

const char *activation_uri(unsigned i)
{
	return i < activation_count() && sockets[i].fd >= 0 ? sockets[i].uri : NULL;
}
