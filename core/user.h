/*
 * core/user.h - root is needed to bind low ports and to read keys, and for nothing else: become somebody else for good.
 */
#ifndef CORE_USER_H
#define CORE_USER_H

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

#include <sys/types.h>

/* Zero: nobody was asked for. */
struct user {
	const char *name;	/* as given, without the group; lent by the arena */
	uid_t uid;
	gid_t gid;
	bool one_group;		/* a group was given: that one alone, else all groups of the user */
};

/* NAME, UID, NAME:GROUP or UID:GID, as the system's lists know them. false: `err` says where in `text` (EXIT_USAGE). */
bool user_parse(struct slice text, struct arena *arena, struct user *out, struct err *err);

/*
 * Be `u`, with no capability left and no way back, which is tried. Nothing when `u->name` is NULL. While there is one
 * thread. false: `err` filled (EXIT_CONFIG); what was given up by then stays given up, so the caller must end.
 */
bool user_drop(const struct user *u, struct err *err);

#endif
