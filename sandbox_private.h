/*
 * sandbox_private.h - the two halves of the sandbox, one file each.
 */
#ifndef SANDBOX_PRIVATE_H
#define SANDBOX_PRIVATE_H

#include <stdbool.h>

/* Stands in the filter where the number of the process belongs: greater than any (PID_MAX_LIMIT is 2^22). */
#define SANDBOX_PID 0x7a9d5b1eu

/* What may be done below a path. */
enum fence_right {
	FENCE_READ,		/* read files and folders */
	FENCE_WRITE,		/* make and write files */
	FENCE_DEVICE,		/* read and write what is there */
	FENCE_SOCKET,		/* make and remove sockets */
	FENCE_OWN,		/* all of it, and folders, and take them away */
};

/* sandbox_landlock.c: a set of rules that are not in force yet; -1: this kernel has no Landlock. */
int fence_new(void);

/* Allow it for a file, or for all below a folder; symbolic links are followed. What isn't there is skipped. */
void fence_add(int fence, const char *path, enum fence_right right);

/* Now they are in force for this thread and its children. Closes `fence`. false: errno says why. */
bool fence_close(int fence);

/* sandbox_seccomp.c: the filter of sandbox.def, for all threads. false: errno says why (ENOSYS: not in this kernel). */
bool filter_enter(void);

#endif
