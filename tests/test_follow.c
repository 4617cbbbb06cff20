/*
 * What follow: is made of: names of rotated files and their order, checkpoints, positions that wait; and which file
 * comes next in a folder, without anybody who reads it.
 */
#include "ingest/follow.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[96];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/haspan-test-follow-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/haproxy.log", dir);
	return 0;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* A file of so many lines that begin with `mark`, `age` seconds old. */
static void file(const char *suffix, char mark, unsigned lines, long age)
{
	struct timespec times[2] = { { .tv_sec = 1700000000 - age }, { .tv_sec = 1700000000 - age } };
	char name[128];
	FILE *f;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	f = fopen(name, "w");
	assert_non_null(f);
	for (unsigned i = 0; i < lines; i++)
		fprintf(f, "%c line %08u of a log that somebody wrote\n", mark, i);
	fclose(f);
	assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

/* The position in a file of this folder that is `offset` bytes behind its beginning. */
static struct position position_in(const char *suffix, uint64_t offset)
{
	struct followed f = { .fd = -1 };
	struct position at;
	char name[128];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	assert_true(followed_open(&f, name, offset, true));
	at = f.at;
	followed_close(&f);
	return at;
}

/* What stands behind the folder's haproxy.log in a path. */
static const char *suffix_of(const struct next *n)
{
	assert_memory_equal(n->path, path, strlen(path));
	return n->path + strlen(path);
}

/* ---- names ------------------------------------------------------------------------------------------- */

static enum rotated_kind kind(const char *name, const char *base)
{
	struct rotated_name what;

	return rotated_parse(slice_str(name), slice_str(base), &what);
}

static void names_of_logrotate_are_known(void **state)
{
	static const struct {
		const char *name;
		enum rotated_kind kind;
	} names[] = {
		{ "haproxy.log.1", ROTATED_NUMBER },
		{ "haproxy.log.12.gz", ROTATED_NUMBER },
		{ "haproxy.1.log", ROTATED_NUMBER },
		{ "haproxy.1.log.xz", ROTATED_NUMBER },
		{ "haproxy.log-20240131", ROTATED_DATE },
		{ "haproxy.log-20240131.zst", ROTATED_DATE },
		{ "haproxy.log-2024-01-31", ROTATED_DATE },
		{ "haproxy.log.20240131", ROTATED_DATE },
		{ "haproxy.log_2024-01-31T10:20:30", ROTATED_DATE },
		{ "haproxy.log-20240131-1706659200.gz", ROTATED_DATE },
		{ "haproxy-20240131.log", ROTATED_DATE },
		{ "haproxy.log", ROTATED_NOT },
		{ "haproxy.log.gz", ROTATED_NOT },
		{ "haproxy.log.", ROTATED_NOT },
		{ "haproxy.log.old", ROTATED_NOT },
		{ "haproxy.log.1.bak", ROTATED_NOT },
		{ "haproxy.log~", ROTATED_NOT },
		{ "haproxy.log-1", ROTATED_NOT },
		{ "haproxy.log1", ROTATED_NOT },
		{ "haproxy.log.1.gz.tmp", ROTATED_NOT },
		{ "haproxy-1.log", ROTATED_NOT },	/* another server's, not an older one */
		{ "haproxy-admin.log", ROTATED_NOT },
		{ "haproxy.logs.1", ROTATED_NOT },
		{ ".haproxy.log.1", ROTATED_NOT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (kind(names[i].name, "haproxy.log") != names[i].kind)
			fail_msg("%s", names[i].name);
	assert_int_equal(kind("messages.1", "messages"), ROTATED_NUMBER);
	assert_int_equal(kind("messages-20240131.gz", "messages"), ROTATED_DATE);
	assert_int_equal(kind("log.1", ".log"), ROTATED_NOT);
}

static void order_is(const char *const *suffixes, unsigned n)
{
	struct rotated_list l = { 0 };

	assert_true(rotated_find(&l, path));
	assert_int_equal(l.n, n);
	for (unsigned i = 0; i < n; i++)
		assert_string_equal(l.v[i].path + strlen(path), suffixes[i]);
	rotated_free(&l);
}

static void numbers_fall_and_dates_rise(void **state)
{
	(void)state;
	file(".2", 'b', 1, 0);
	file(".10.gz", 'a', 1, 5);
	file(".1", 'c', 1, 9);		/* times lie, numbers do not */
	order_is((const char *const[]){ ".10.gz", ".2", ".1" }, 3);
}

static void dates_rise(void **state)
{
	(void)state;
	file("-20240131", 'b', 1, 9);
	file("-20231231.gz", 'a', 1, 0);
	file("-20240131-2", 'c', 1, 5);
	order_is((const char *const[]){ "-20231231.gz", "-20240131", "-20240131-2" }, 3);
}

static void two_kinds_of_names_go_by_time(void **state)
{
	(void)state;
	file("-20240131", 'b', 1, 10);
	file(".1", 'a', 1, 20);
	order_is((const char *const[]){ ".1", "-20240131" }, 2);
}

static void a_half_compressed_file_is_not_seen(void **state)
{
	(void)state;
	file(".1", 'a', 1, 0);
	file(".1.gz", 'a', 1, 0);
	file(".2.gz", 'b', 1, 0);
	order_is((const char *const[]){ ".2.gz", ".1" }, 2);
}

static void a_folder_that_is_not_there(void **state)
{
	struct rotated_list l = { 0 };

	(void)state;
	assert_false(rotated_find(&l, "/tmp/there/is/no/such.log"));
	assert_int_equal(l.n, 0);
	rotated_free(&l);
}

/* ---- which one comes next ---------------------------------------------------------------------------- */

static void the_chain_is_walked_while_names_move(void **state)
{
	struct followed f = { .fd = -1 };
	char name[128], to[128];
	struct next n;

	(void)state;
	file(".2", 'a', 50, 30);
	file(".1", 'b', 50, 20);
	file("", 'c', 50, 10);
	snprintf(name, sizeof(name), "%s.2", path);
	assert_true(followed_open(&f, name, 0, true));
	snprintf(to, sizeof(to), "%s.3", path);
	rename(name, to);
	snprintf(name, sizeof(name), "%s.1", path);
	snprintf(to, sizeof(to), "%s.2", path);
	rename(name, to);
	assert_true(next_after(path, &f, &n));
	assert_string_equal(suffix_of(&n), ".2");
	assert_true(followed_open(&f, n.path, 0, true));
	assert_true(next_after(path, &f, &n));
	assert_string_equal(suffix_of(&n), "");
	assert_true(followed_open(&f, n.path, 0, false));
	assert_false(next_after(path, &f, &n));
	followed_close(&f);
}

static void a_deleted_file_is_placed_by_its_time(void **state)
{
	struct followed f = { .fd = -1 };
	char name[128];
	struct next n;

	(void)state;
	file(".2", 'a', 50, 30);
	file(".1", 'b', 50, 20);
	file("", 'c', 50, 10);
	snprintf(name, sizeof(name), "%s.2", path);
	assert_true(followed_open(&f, name, 0, true));
	unlink(name);
	assert_true(next_after(path, &f, &n));
	assert_string_equal(suffix_of(&n), ".1");
	followed_close(&f);
}

static void a_copy_in_the_making_is_passed_over(void **state)
{
	struct followed f = { .fd = -1 };
	char name[128];
	struct next n;

	(void)state;
	file(".2", 'a', 50, 30);
	file(".1", 'c', 40, 0);
	file("", 'c', 60, 10);
	snprintf(name, sizeof(name), "%s.2", path);
	assert_true(followed_open(&f, name, 0, true));
	assert_true(next_after(path, &f, &n));
	assert_string_equal(suffix_of(&n), "");
	followed_close(&f);
}

static void a_place_is_found_by_what_stands_before_it(void **state)
{
	struct position at;
	char command[256];
	struct next n;

	(void)state;
	file("", 'a', 50, 30);
	at = position_in("", 400);
	assert_int_equal(next_resume(path, &at, &n), RESUME_FOUND);
	assert_string_equal(suffix_of(&n), "");
	assert_int_equal(n.offset, 400);
	/* Another file with the inode: it is a copy that is meant. */
	snprintf(command, sizeof(command), "cp '%s' '%s.1' && gzip '%s.1' && : > '%s'", path, path, path, path);
	assert_int_equal(system(command), 0);
	assert_int_equal(next_resume(path, &at, &n), RESUME_FOUND);
	assert_string_equal(suffix_of(&n), ".1.gz");
	assert_true(n.rotated);
}

static void a_short_beginning_proves_no_new_file(void **state)
{
	struct position at;
	struct next n;

	(void)state;
	file("", 'a', 2, 30);
	at = position_in("", 40);
	at.ino ^= 1;			/* the same first line, another file: it must be read from its start */
	assert_int_equal(next_resume(path, &at, &n), RESUME_NEWER);
	assert_int_equal(n.offset, 0);
	file("", 'a', 50, 30);
	at = position_in("", 400);
	at.ino ^= 1;
	assert_int_equal(next_resume(path, &at, &n), RESUME_FOUND);
	assert_int_equal(n.offset, 400);
}

static void of_a_lost_file_the_newer_ones_are_read(void **state)
{
	struct position at;
	struct next n;
	char name[128];

	(void)state;
	file("", 'x', 50, 25);
	at = position_in("", 400);
	unlink(path);
	assert_int_equal(next_resume(path, &at, &n), RESUME_WAIT);
	file(".3", 'a', 50, 30);
	assert_int_equal(next_resume(path, &at, &n), RESUME_WAIT);
	file(".2", 'b', 50, 20);
	file(".1", 'c', 50, 10);
	file("", 'd', 50, 0);
	assert_int_equal(next_resume(path, &at, &n), RESUME_NEWER);
	assert_string_equal(suffix_of(&n), ".2");
	/* A file that is shorter than what was read of it is another one. */
	snprintf(name, sizeof(name), "%s.2", path);
	at = position_in(".2", 100000);
	assert_int_equal(next_resume(path, &at, &n), RESUME_NEWER);
	assert_string_equal(suffix_of(&n), ".1");
}

static void an_end_is_behind_the_last_newline(void **state)
{
	struct followed f = { .fd = -1 };
	FILE *out;

	(void)state;
	file("", 'a', 3000, 0);
	assert_true(followed_open(&f, path, 0, false));
	assert_int_equal(followed_last_line(&f), f.seen);
	out = fopen(path, "a");
	fputs("half a line", out);
	fclose(out);
	assert_true(followed_intact(&f));
	assert_int_equal(followed_last_line(&f), f.seen - 11);
	followed_close(&f);
}

/* ---- checkpoints ------------------------------------------------------------------------------------- */

static const struct position sample = { .dev = 0xfe00, .ino = UINT64_MAX, .offset = 123456789012,
					.mtime_ns = 1700000000123456789, .head_len = 1024,
					.head = { 1, 2, UINT64_MAX, 0x123456789abcdef } };

static void is_sample(const struct position *at)
{
	assert_true(at->dev == sample.dev && at->ino == sample.ino && at->offset == sample.offset &&
		    at->mtime_ns == sample.mtime_ns && at->head_len == sample.head_len);
	assert_memory_equal(at->head, sample.head, sizeof(at->head));
}

static void a_checkpoint_comes_back(void **state)
{
	struct buf b = { .max = CHECKPOINT_MAX };
	struct slice source = SLICE("follow:/tmp/a\nb%41\x7f\xc3\xa4");
	struct position at = { 0 };

	(void)state;
	checkpoint_format(&b, source, &sample);
	assert_null(checkpoint_parse(slice_of(b.p, b.len), source, &at));
	is_sample(&at);
	assert_non_null(checkpoint_parse(slice_of(b.p, b.len), SLICE("follow:/tmp/a"), &at));
	buf_free(&b);
}

static void no_other_byte_is_taken_for_one(void **state)
{
	struct buf b = { .max = CHECKPOINT_MAX };
	struct slice source = SLICE("follow:/var/log/haproxy.log");
	struct position at = { .offset = 7 };

	(void)state;
	checkpoint_format(&b, source, &sample);
	for (size_t i = 0; i < b.len; i++) {
		assert_non_null(checkpoint_parse(slice_of(b.p, i), source, &at));
		b.p[i] ^= 1;
		assert_non_null(checkpoint_parse(slice_of(b.p, b.len), source, &at));
		b.p[i] ^= 1;
	}
	buf_char(&b, '\n');
	assert_non_null(checkpoint_parse(slice_of(b.p, b.len), source, &at));
	assert_int_equal(at.offset, 7);
	buf_free(&b);
}

static void the_longest_path_has_room(void **state)
{
	char source[FOLLOW_PATH + 8];
	struct buf b = { .max = CHECKPOINT_MAX };
	struct position at;

	(void)state;
	memset(source, '\x01', sizeof(source));
	checkpoint_format(&b, slice_of(source, sizeof(source)), &sample);
	assert_true(b.len < CHECKPOINT_MAX);
	assert_null(checkpoint_parse(slice_of(b.p, b.len), slice_of(source, sizeof(source)), &at));
	buf_free(&b);
}

static void a_checkpoint_has_one_owner(void **state)
{
	struct err err = { 0 };
	struct checkpoint *c = checkpoint_open(dir, "follow:/a/b", &err), *other;
	struct position at;

	(void)state;
	assert_non_null(c);
	assert_int_equal(checkpoint_read(c, &at), CHECKPOINT_NONE);
	assert_true(checkpoint_write(c, &sample));
	assert_null(checkpoint_open(dir, "follow:/a/b", &err));
	assert_int_equal(err.code, EXIT_CONFIG);
	err = (struct err){ 0 };
	other = checkpoint_open(dir, "follow:/c/b", &err);	/* the same name, another file */
	assert_non_null(other);
	assert_int_equal(checkpoint_read(other, &at), CHECKPOINT_NONE);
	checkpoint_close(other);
	checkpoint_close(c);
	c = checkpoint_open(dir, "follow:/a/b", &err);
	assert_non_null(c);
	assert_int_equal(checkpoint_read(c, &at), CHECKPOINT_THERE);
	is_sample(&at);
	checkpoint_close(c);
}

/* ---- marks ------------------------------------------------------------------------------------------- */

static void marks_cover_what_is_before_them(void **state)
{
	struct marks m;
	struct position at = { 0 };

	(void)state;
	marks_init(&m);
	for (uint64_t i = 1; i <= 3; i++)
		marks_add(&m, 10 * i, &(struct position){ .offset = 10 * i });
	assert_false(marks_take(&m, 9, &at));
	assert_true(marks_take(&m, 29, &at));
	assert_int_equal(at.offset, 20);
	assert_false(marks_take(&m, 29, &at));
	marks_add(&m, 30, &(struct position){ .offset = 0, .ino = 1 });	/* the file behind it */
	assert_true(marks_take(&m, 30, &at));
	assert_int_equal(at.ino, 1);
	marks_free(&m);
}

static void too_many_marks_become_coarser_and_never_wrong(void **state)
{
	struct position at = { 0 };
	struct marks m;
	uint64_t n = 10 * FOLLOW_MARKS + 3;

	(void)state;
	marks_init(&m);
	for (uint64_t i = 1; i <= n; i++)
		marks_add(&m, i, &(struct position){ .offset = i });
	for (uint64_t i = 1; i <= n; i++) {
		marks_take(&m, i, &at);
		assert_true(at.offset <= i);
	}
	assert_int_equal(at.offset, n);
	marks_free(&m);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_logrotate_are_known),
		IN_DIR(numbers_fall_and_dates_rise),
		IN_DIR(dates_rise),
		IN_DIR(two_kinds_of_names_go_by_time),
		IN_DIR(a_half_compressed_file_is_not_seen),
		cmocka_unit_test(a_folder_that_is_not_there),
		IN_DIR(the_chain_is_walked_while_names_move),
		IN_DIR(a_deleted_file_is_placed_by_its_time),
		IN_DIR(a_copy_in_the_making_is_passed_over),
		IN_DIR(a_place_is_found_by_what_stands_before_it),
		IN_DIR(a_short_beginning_proves_no_new_file),
		IN_DIR(of_a_lost_file_the_newer_ones_are_read),
		IN_DIR(an_end_is_behind_the_last_newline),
		cmocka_unit_test(a_checkpoint_comes_back),
		cmocka_unit_test(no_other_byte_is_taken_for_one),
		cmocka_unit_test(the_longest_path_has_room),
		IN_DIR(a_checkpoint_has_one_owner),
		cmocka_unit_test(marks_cover_what_is_before_them),
		cmocka_unit_test(too_many_marks_become_coarser_and_never_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
