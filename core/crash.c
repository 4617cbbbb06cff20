#include "core/crash.h"

#ifdef HASPAN_CRASH

#include "core/slice.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Faults that one run can have. */
#define FAULTS_MAX 8

struct fault {
	struct slice point;
	int error;
	uint64_t from, to, seen;
};

static struct {
	pthread_mutex_t lock;
	struct slice point;		/* where to die; empty: nowhere */
	uint64_t left;			/* times until then */
	struct fault fault[FAULTS_MAX];
	unsigned faults;
} plan = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Made by the linker where a section's name is one of C's. Weak: a build without any point has none. */
extern const char *const __start_crash_points[] __attribute__((weak)), *const __stop_crash_points[] __attribute__((weak));
extern const char *const __start_crash_faults[] __attribute__((weak)), *const __stop_crash_faults[] __attribute__((weak));

static void list(const char *what, const char *const *from, const char *const *to)
{
	for (const char *const *p = from; p < to; p++) {
		const char *const *q = from;

		while (q < p && strcmp(*p, *q) != 0)
			q++;
		if (q == p)
			printf("%s %s\n", what, *p);
	}
}

static int error_named(struct slice name)
{
	static const struct { const char *name; int error; } known[] = {
		{ "ENOSPC", ENOSPC }, { "EIO", EIO }, { "EROFS", EROFS }, { "EDQUOT", EDQUOT }, { "EACCES", EACCES },
		{ "EMFILE", EMFILE }, { "ENFILE", ENFILE }, { "EINTR", EINTR }, { "ENOENT", ENOENT }, { "ENOMEM", ENOMEM },
		{ "EPERM", EPERM }, { "EBADF", EBADF }, { "EINVAL", EINVAL }, { "EFBIG", EFBIG }, { "EAGAIN", EAGAIN },
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_eq(name, slice_str(known[i].name)))
			return known[i].error;
	return slice_uint(name, &n) && n < 4096 ? (int)n : 0;
}

static void wrong(const char *variable)
{
	fprintf(stderr, "haspan: %s is not understood\n", variable);
	_exit(2);
}

static void read_faults(struct slice text)
{
	while (text.len) {
		struct slice rest = slice_cut(&text, ','), to;
		struct fault *f = &plan.fault[plan.faults];

		if (plan.faults++ == FAULTS_MAX)
			wrong("HASPAN_FAULT");
		f->point = slice_cut(&rest, ':');
		f->error = error_named(slice_cut(&rest, ':'));
		to = rest;
		rest = slice_cut(&to, '-');
		f->to = UINT64_MAX;
		if (!f->error || !slice_uint(rest, &f->from) || (to.p && !slice_uint(to, &f->to)))
			wrong("HASPAN_FAULT");
	}
}

/* Before main: also a command that ends early can be told to die. */
__attribute__((constructor)) static void crash_read(void)
{
	const char *crash = getenv("HASPAN_CRASH"), *faults = getenv("HASPAN_FAULT");
	struct slice rest = slice_str(crash);

	if (crash && strcmp(crash, "list") == 0) {
		list("point", __start_crash_points, __stop_crash_points);
		list("fault", __start_crash_faults, __stop_crash_faults);
		fflush(stdout);
		_exit(0);
	}
	if (rest.len) {
		plan.point = slice_cut(&rest, ':');
		if (!slice_uint(rest, &plan.left) || plan.left == 0)
			wrong("HASPAN_CRASH");
	}
	read_faults(slice_str(faults));
}

void crash_reached(const char *point)
{
	pthread_mutex_lock(&plan.lock);
	if (plan.point.len && slice_eq(plan.point, slice_str(point)) && --plan.left == 0)
		kill(getpid(), SIGKILL);
	pthread_mutex_unlock(&plan.lock);
}

int crash_errno(const char *point)
{
	int error = 0;

	pthread_mutex_lock(&plan.lock);
	for (unsigned i = 0; i < plan.faults; i++) {
		struct fault *f = &plan.fault[i];

		if (slice_eq(f->point, slice_str(point)) && ++f->seen >= f->from && f->seen <= f->to)
			error = f->error;
	}
	pthread_mutex_unlock(&plan.lock);
	return error;
}

#else

/* An empty file is none to ISO C. */
extern const char crash_none;
const char crash_none = 0;

#endif
