#include "sandbox_private.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of some systems that haspan is built on; the kernel says by its ABI whether it has them. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif
#ifndef LANDLOCK_SCOPE_SIGNAL
#define LANDLOCK_SCOPE_SIGNAL (UINT64_C(1) << 1)
#endif

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG)
#define OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

static const uint64_t rights[] = {
	[FENCE_READ] = READ,
	[FENCE_WRITE] = WRITE,
	[FENCE_DEVICE] = OF_FILES | LANDLOCK_ACCESS_FS_IOCTL_DEV,
	[FENCE_SOCKET] = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE,
	[FENCE_OWN] = READ | WRITE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		      LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER,
};

/* The header's struct is that of its own day; the size tells the kernel which members there are. */
struct ruleset {
	uint64_t files, net, scoped;
};

/* What the kernel's version of Landlock can refuse; what isn't in it stays allowed. Set once by fence_new. */
static uint64_t handled;

int fence_new(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset set = { 0 };

	if (abi < 1)
		return -1;
	handled = (UINT64_C(1) << 13) - 1;
	if (abi >= 2)
		handled |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		handled |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		handled |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	set.files = handled;
	/*
	 * Ports are left alone: a reload may bring new collectors and listeners, and libcurl follows the proxies of the
	 * environment. So are abstract sockets, where a service manager may wait for word of haspan.
	 */
	if (abi >= 6)
		set.scoped = LANDLOCK_SCOPE_SIGNAL;
	log_debug("sandbox: Landlock, version %ld", abi);
	return (int)syscall(SYS_landlock_create_ruleset, &set, abi >= 6 ? sizeof(set) : sizeof(set.files), 0);
}

void fence_add(int fence, const char *path, enum fence_right right)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights[right] & handled };
	struct stat st;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILES | LANDLOCK_ACCESS_FS_IOCTL_DEV;
	/* EBADFD: a pipe or socket behind /dev/fd, which no rule covers, and which is let through. */
	if (rule.allowed_access && syscall(SYS_landlock_add_rule, fence, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 &&
	    errno != EBADFD)
		log_warn("sandbox: %s can't be allowed: %m", path);
	close(rule.parent_fd);
}

bool fence_close(int fence)
{
	bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, fence, 0) == 0;
	int saved = errno;

	close(fence);
	errno = saved;
	return ok;
}
