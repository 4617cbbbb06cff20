/* core/folder.h: --spool and --state make what is missing above them. */
#include "core/folder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char work[] = "/tmp/test_folder.XXXXXX";

static int enter(void **state)
{
	(void)state;
	return !mkdtemp(work) || chdir(work) != 0;
}

static int leave(void **state)
{
	static const char *const made[] = { "a/b/c", "a/b", "a", "d", "e/f", "e", "file" };

	(void)state;
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
		remove(made[i]);
	return chdir("/") != 0 || rmdir(work) != 0;
}

static unsigned mode_of(const char *path)
{
	struct stat st = { 0 };

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? st.st_mode & 07777 : 0;
}

static void everything_above_is_made_too(void **state)
{
	char whole[64];

	(void)state;
	umask(022);
	assert_true(folder_could("a/b/c"));
	assert_int_equal(mode_of("a"), 0);			/* asking made nothing */
	assert_true(folder_make("a/b/c"));
	assert_int_equal(mode_of("a/b/c"), 0700);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(mode_of("a"), 0755);
	assert_true(folder_make("a/b/c"));
	assert_true(folder_make("d/"));
	assert_int_equal(mode_of("d"), 0700);
	snprintf(whole, sizeof(whole), "%s//e//f//", work);
	assert_true(folder_could(whole));
	assert_true(folder_make(whole));
	assert_int_equal(mode_of("e/f"), 0700);
	assert_true(folder_make("/"));
}

static void what_cannot_be_made_says_why(void **state)
{
	FILE *f = fopen("file", "w");

	(void)state;
	assert_non_null(f);
	fclose(f);
	assert_false(folder_make("file/below/it"));
	assert_int_equal(errno, ENOTDIR);
	assert_false(folder_could("file/below/it"));
	assert_int_equal(errno, ENOTDIR);
	assert_false(folder_make(""));
	assert_int_equal(errno, ENOENT);
	assert_false(folder_make("/proc/none/such"));
	assert_false(folder_could("/proc/none/such") && geteuid() != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_above_is_made_too),
		cmocka_unit_test(what_cannot_be_made_says_why),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
