/* --user: who is asked for, and that there is no way back. As root alone; each in a process of its own. */
#include "core/user.h"

#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena arena;

static bool parse(const char *text, struct user *u, struct err *err)
{
	*err = (struct err){ 0 };
	*u = (struct user){ 0 };
	return user_parse(slice_str(text), &arena, u, err);
}

static void names_and_numbers_are_users(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	struct user u;
	struct err err;

	(void)state;
	assert_non_null(nobody);
	assert_true(parse("nobody", &u, &err));
	assert_int_equal(u.uid, nobody->pw_uid);
	assert_int_equal(u.gid, nobody->pw_gid);
	assert_false(u.one_group);
	assert_true(parse("nobody:daemon", &u, &err));
	assert_int_equal(u.gid, getgrnam("daemon")->gr_gid);
	assert_true(u.one_group);
	assert_true(parse("65534", &u, &err));
	assert_int_equal(u.uid, 65534);
	assert_true(parse("123456:234567", &u, &err));
	assert_int_equal(u.uid, 123456);
	assert_int_equal(u.gid, 234567);
}

static void other_words_are_refused_where_they_stand(void **state)
{
	static const struct {
		const char *text;
		unsigned column;
	} bad[] = { { "", 1 },		 { "no-such-user", 1 },	      { "root", 1 },		 { "0:1", 1 },
		    { "nobody:", 8 },	 { "nobody:no-such-group", 8 }, { ":daemon", 1 },	 { "123456", 7 },
		    { "4294967295:1", 1 }, { "nobody:4294967295", 8 },	 { "-1:-1", 1 },	 { "nobody:daemon:x", 8 } };
	struct user u;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(parse(bad[i].text, &u, &err));
		assert_int_equal(err.code, EXIT_USAGE);
		if (err.column != bad[i].column)
			fail_msg("'%s': column %u, not %u: %s", bad[i].text, err.column, bad[i].column, err.text);
		assert_null(u.name);
	}
}

/* In a process of its own: its exit code. 40: user_drop said no. */
static int child(const char *text, int (*after)(const struct user *u))
{
	struct user u = { 0 };
	struct err err;
	int status;
	pid_t pid;

	assert_true(parse(text, &u, &err));
	if (geteuid() != 0)
		skip();
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(user_drop(&u, &err) ? after(&u) : 40);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int read_status(const char *name, char *out, size_t size)
{
	char line[512];
	FILE *file = fopen("/proc/thread-self/status", "re");
	size_t n = strlen(name);
	int found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			snprintf(out, size, "%s", line + n + 2);
			out[strcspn(out, "\n")] = '\0';
			found = 1;
		}
	if (file)
		fclose(file);
	return found;
}

static int has_nothing_left(const struct user *u)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	char text[512];
	uid_t r, e, s;

	if (getresuid(&r, &e, &s) != 0 || r != u->uid || e != u->uid || s != u->uid)
		return 1;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
		return 2;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		if (!read_status(sets[i], text, sizeof(text)) || strcmp(text, "0000000000000000") != 0)
			return 3;
	return read_status("NoNewPrivs", text, sizeof(text)) && strcmp(text, "1") == 0 ? 0 : 4;
}

static void there_is_no_way_back_to_root(void **state)
{
	(void)state;
	assert_int_equal(child("nobody", has_nothing_left), 0);
	assert_int_equal(child("123456:234567", has_nothing_left), 0);
}

static int has_one_group(const struct user *u)
{
	gid_t groups[8];
	int n = getgroups(8, groups);

	return n == 1 && groups[0] == u->gid && getgid() == u->gid ? 0 : 1;
}

static void a_group_that_is_given_is_the_only_one(void **state)
{
	(void)state;
	assert_int_equal(child("nobody:daemon", has_one_group), 0);
	assert_int_equal(child("nobody", has_one_group), 0);	/* it is in no other */
}

static int drops_again(const struct user *u)
{
	struct err err = { 0 };
	struct user other = { .name = "other", .uid = u->uid + 1, .gid = u->gid };

	if (!user_drop(u, &err))
		return 1;
	return user_drop(&other, &err) || err.code != EXIT_CONFIG ? 2 : 0;
}

static void only_root_becomes_another(void **state)
{
	(void)state;
	assert_int_equal(child("nobody", drops_again), 0);
}

static void nobody_asked_changes_nothing(void **state)
{
	const struct user none = { 0 };
	struct err err = { 0 };
	uid_t before = geteuid();

	(void)state;
	assert_true(user_drop(&none, &err));
	assert_int_equal(geteuid(), before);
	assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_are_users),
		cmocka_unit_test(other_words_are_refused_where_they_stand),
		cmocka_unit_test(there_is_no_way_back_to_root),
		cmocka_unit_test(a_group_that_is_given_is_the_only_one),
		cmocka_unit_test(only_root_becomes_another),
		cmocka_unit_test(nobody_asked_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
