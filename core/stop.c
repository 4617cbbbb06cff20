#include "core/stop.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static atomic_bool wished;
static int fd = -1, wake = -1;

bool stop_init(void)
{
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd >= 0 && wake >= 0;
}

void stop_request(void)
{
	const uint64_t one = 1;

	atomic_store(&wished, true);
	/* Fails only when the counter is full, and then it is readable already. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

bool stop_requested(void)
{
	return atomic_load_explicit(&wished, memory_order_relaxed);
}

int stop_fd(void)
{
	return fd;
}

void wake_input(void)
{
	const uint64_t one = 1;

	if (write(wake, &one, sizeof(one)) < 0)
		return;
}

int wake_fd(void)
{
	return wake;
}

void wake_taken(void)
{
	uint64_t n;

	if (read(wake, &n, sizeof(n)) < 0)
		return;
}
