/*
 * sandbox.h - what haspan never does is refused to it by the kernel: who takes it over by a line of a log gets little.
 *
 * Landlock: files are read and written only where the configuration says so, and none is executed. seccomp: only
 * the system calls of sandbox.def.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "config.h"

/*
 * Go in, for good; nothing with `c->sandbox` false. After the sockets are bound and the user has changed (core/user.h),
 * before sinks, spool, state and files are opened, and before the first thread: Landlock holds for this thread and
 * those that it makes. A part that the kernel doesn't have is left out (a debug message says so), one that fails is
 * too, with a warning.
 */
void sandbox_enter(const struct config *c);

/*
 * Is this process inside? Then a new path (SIGHUP) may be refused with EACCES although its permissions are right: the
 * paths are those of the configuration at start.
 */
bool sandbox_entered(void);

#endif
