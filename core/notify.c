#include "core/notify.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/slice.h"

#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd = -1;
static struct sockaddr_un to;
static socklen_t to_len;
static int64_t watchdog_ms;

/* A path, or '@' and a name that is in no folder. */
static bool set_address(const char *path)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(to.sun_path))
		return false;
	to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
	return true;
}

/* WATCHDOG_PID says for whom it is: a shell that started haspan may have left it in the environment. */
static void set_watchdog(const char *us, const char *pid)
{
	uint64_t n, whose;

	if (!us || !slice_uint(slice_str(us), &n) || n < 2000)
		return;
	if (pid && (!slice_uint(slice_str(pid), &whose) || whose != (uint64_t)getpid()))
		return;
	watchdog_ms = (int64_t)(n / 2000);
}

void notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path && set_address(path))
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		set_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_say(const char *fmt, ...)
{
	char text[NOTIFY_MAX];
	va_list args;
	int n;

	if (fd < 0)
		return;
	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n <= 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	if (sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&to, to_len) < 0)
		log_debug("the service manager does not listen: %m");
}

int64_t notify_watchdog_ms(void)
{
	return watchdog_ms;
}

uint64_t notify_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
