#include "core/user.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -1 is no id: the system calls take it for "leave it as it is". */
#define ID_MAX UINT64_C(0xfffffffe)

/* ---- names ----------------------------------------------------------------------------------------------- */

static bool find_group(const char *name, gid_t *gid)
{
	const struct group *g = getgrnam(name);
	uint64_t n;

	if (!g && (!slice_uint(slice_str(name), &n) || n > ID_MAX))
		return false;
	*gid = g ? g->gr_gid : (gid_t)n;
	return true;
}

/* A number that no list knows has no group of its own: then one must be given. */
static bool find_user(const char *name, struct user *u, bool *has_group)
{
	const struct passwd *p = getpwnam(name);
	uint64_t n;

	if (!p && slice_uint(slice_str(name), &n) && n <= ID_MAX) {
		u->uid = (uid_t)n;
		p = getpwuid(u->uid);
		*has_group = p != NULL;
		u->gid = p ? p->pw_gid : 0;
		return true;
	}
	if (!p)
		return false;
	*has_group = true;
	u->uid = p->pw_uid;
	u->gid = p->pw_gid;
	return true;
}

bool user_parse(struct slice text, struct arena *arena, struct user *out, struct err *err)
{
	struct slice group = text, name = slice_cut(&group, ':');
	struct user u = { .name = arena_copy(arena, name).p, .one_group = group.p != NULL };
	bool has_group = false;

	if (!find_user(u.name, &u, &has_group))
		return err_at(err, EXIT_USAGE, text.p, text.len, 0, "there is no such user");
	if (group.p && !find_group(arena_copy(arena, group).p, &u.gid))
		return err_at(err, EXIT_USAGE, text.p, text.len, name.len + 1, "there is no such group");
	if (!group.p && !has_group)
		return err_at(err, EXIT_USAGE, text.p, text.len, text.len,
			      "expected UID:GID: no list knows this user's group");
	if (u.uid == 0)
		return err_at(err, EXIT_USAGE, text.p, text.len, 0, "expected a user without root's rights");
	*out = u;
	return true;
}

/* ---- giving up ------------------------------------------------------------------------------------------- */

static int capabilities(long call, struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return (int)syscall(call, &header, data);
}

/*
 * setresuid from root takes the effective and permitted ones; those that could come back by an exec go here. Not all of
 * it can be had by a user that came with some capabilities only (systemd, a container): user_is_bare judges the result.
 */
static void drop_capabilities(void)
{
	struct __user_cap_data_struct none[2] = { { 0 } };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	capabilities(SYS_capset, none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static bool user_is_bare(const struct user *u)
{
	struct __user_cap_data_struct has[2] = { { 0 } };
	uid_t real, effective, saved;
	gid_t rgid, egid, sgid;

	if (getresuid(&real, &effective, &saved) != 0 || real != u->uid || effective != u->uid || saved != u->uid ||
	    getresgid(&rgid, &egid, &sgid) != 0 || rgid != u->gid || egid != u->gid || sgid != u->gid)
		return false;
	if (capabilities(SYS_capget, has) != 0)
		return false;
	for (int i = 0; i < 2; i++)
		if (has[i].effective || has[i].permitted || has[i].inheritable)
			return false;
	return setresuid((uid_t)-1, 0, (uid_t)-1) != 0;
}

static bool change(const struct user *u)
{
	int groups = u->one_group ? setgroups(1, &u->gid) : initgroups(u->name, u->gid);

	/* What an exec could give back goes first: later there is no right to do so. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	return groups == 0 && setresgid(u->gid, u->gid, u->gid) == 0 && setresuid(u->uid, u->uid, u->uid) == 0;
}

bool user_drop(const struct user *u, struct err *err)
{
	if (!u->name)
		return true;
	if (geteuid() != 0 && (getuid() != u->uid || getgid() != u->gid))
		return err_set(err, EXIT_CONFIG, "only root can become %s: start haspan as root, or without --user", u->name);
	if (geteuid() == 0 && !change(u))
		return err_set(err, EXIT_CONFIG, "cannot become %s: %m", u->name);
	drop_capabilities();
	if (!user_is_bare(u))
		return err_set(err, EXIT_CONFIG, "cannot become %s: rights of root are left", u->name);
	return true;
}
