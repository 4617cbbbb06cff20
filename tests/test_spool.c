/*
 * The spool alone: what is written comes back, whatever was cut off or turned over meanwhile; bounds hold; nothing is
 * answered for that was not.
 */
#include "export/spool.h"
#include "export/spool_record.h"

#include "core/limits.h"
#include "core/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];
static char sub[4096];		/* the sink's own folder */

/* ---- helpers ------------------------------------------------------------------------------------------------ */

/* Each file of the sink's folder. */
static void each(void (*what)(const char *path, void *arg), void *arg)
{
	DIR *d = opendir(sub);
	char path[8192];
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strstr(e->d_name, ".spool")) {
			snprintf(path, sizeof(path), "%s/%s", sub, e->d_name);
			what(path, arg);
		}
	if (d)
		closedir(d);
}

static void find_sub(void)
{
	DIR *d = opendir(root);
	struct dirent *e;

	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			snprintf(sub, sizeof(sub), "%s/%s", root, e->d_name);
	closedir(d);
}

/* Each test begins with nothing. */
static void clean(void)
{
	DIR *d = *sub ? opendir(sub) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(sub);
}

static struct spool *open_spool(uint64_t max)
{
	struct err err = { 0 };
	struct spool *s = spool_open(root, "http://collector:4318/v1/traces", "http://collector:4318/v1/traces", max, &err);

	if (!s)
		err_print(&err);
	assert_non_null(s);
	find_sub();
	return s;
}

/* Record `n`: its size and bytes are known from its number. */
static size_t make(unsigned n, char *to)
{
	size_t len = 1 + n * 37 % 200;

	for (size_t i = 0; i < len; i++)
		to[i] = (char)(n + i);
	return len;
}

static enum spool_put put(struct spool *s, unsigned n, bool may_keep, bool *kept)
{
	char bytes[256];
	struct spool_wire w = { .spans = n + 1, .json = n % 3 == 0, .seq = n, .keep = may_keep };
	enum spool_put result;

	w.bytes = slice_of(bytes, make(n, bytes));
	result = spool_append(s, &w);
	if (kept)
		*kept = w.kept;
	return result;
}

/* The number of the next record, all of it as it was put; -1: there is none. */
static int take(struct spool *s, uint64_t *lost, uint64_t *at)
{
	struct buf out = { .max = WIRE_MAX };
	struct spool_got_record r;
	char want[256];
	unsigned n;

	if (spool_read(s, &out, &r, lost) != SPOOL_GOT) {
		buf_free(&out);
		return -1;
	}
	n = r.spans - 1;
	assert_int_equal(r.json, n % 3 == 0);
	assert_int_equal(out.len, make(n, want));
	assert_memory_equal(out.p, want, out.len);
	buf_free(&out);
	if (at)
		*at = r.at;
	return (int)n;
}

static uint64_t bytes_on_disk(void)
{
	uint64_t bytes = 0;
	DIR *d = opendir(sub);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)))
		if (strstr(e->d_name, ".spool") && fstatat(dirfd(d), e->d_name, &st, 0) == 0)
			bytes += (uint64_t)st.st_size;
	if (d)
		closedir(d);
	return bytes;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void what_is_put_comes_back_in_order(void **state)
{
	struct spool *s;
	uint64_t lost = 0;

	(void)state;
	clean();
	s = open_spool(1 << 20);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(put(s, i, false, NULL), SPOOL_PUT);
	for (int i = 0; i < 500; i++)
		assert_int_equal(take(s, &lost, NULL), i);
	assert_int_equal(take(s, &lost, NULL), -1);
	assert_false(spool_behind(s));
	assert_int_equal(lost, 0);
	spool_close(s);
}

static void what_was_not_answered_for_is_there_after_a_restart(void **state)
{
	uint64_t lost = 0, at = 0, spans = 0;
	struct spool *s;

	(void)state;
	clean();
	s = open_spool(4096);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(put(s, i, false, NULL), SPOOL_PUT);
	for (int i = 0; i < 12; i++)
		assert_int_equal(take(s, &lost, &at), i);
	spool_settle(s, at);		/* record 11 is not answered for */
	spool_close(s);
	s = open_spool(4096);
	for (unsigned i = 11; i < 20; i++)
		spans += i + 1;
	assert_int_equal(spool_restored(s), spans);
	assert_int_equal(put(s, 20, true, NULL), SPOOL_PUT);
	for (int i = 11; i <= 20; i++)
		assert_int_equal(take(s, &lost, NULL), i);
	spool_settle(s, spool_end(s));
	spool_close(s);
	assert_int_equal(bytes_on_disk(), 0);
	s = open_spool(4096);
	assert_int_equal(spool_restored(s), 0);
	assert_int_equal(take(s, &lost, NULL), -1);
	spool_close(s);
}

/* Only who stands at the end of the stream may keep a copy: else it would be sent before older ones. */
static void the_copy_in_memory_is_kept_only_at_the_end(void **state)
{
	struct spool *s;
	uint64_t lost = 0;
	bool kept;

	(void)state;
	clean();
	s = open_spool(1 << 20);
	put(s, 0, true, &kept);
	assert_true(kept);
	put(s, 1, false, &kept);
	assert_false(kept);
	put(s, 2, true, &kept);
	assert_false(kept);
	assert_int_equal(take(s, &lost, NULL), 1);
	assert_int_equal(take(s, &lost, NULL), 2);
	put(s, 3, true, &kept);
	assert_true(kept);
	assert_int_equal(take(s, &lost, NULL), -1);
	spool_close(s);
}

static void the_bound_is_on_all_files_and_room_comes_back(void **state)
{
	uint64_t lost = 0, at = 0;
	unsigned in = 0, out = 0;
	struct spool *s;

	(void)state;
	clean();
	s = open_spool(4096);
	for (int round = 0; round < 50; round++) {
		while (put(s, in % 1000, false, NULL) == SPOOL_PUT)
			in++;
		assert_true(bytes_on_disk() <= 4096);
		assert_int_equal(put(s, in % 1000, true, NULL), SPOOL_FULL);
		for (int i = 0; i < 7; i++)
			assert_int_equal(take(s, &lost, &at), (int)(out++ % 1000));
		spool_settle(s, spool_cursor(s));
	}
	assert_true(in > 200);
	assert_int_equal(lost, 0);
	spool_close(s);
	/* A smaller bound: what is there is more than that, and is given all the same. */
	s = open_spool(1024);
	assert_int_equal(put(s, 0, true, NULL), SPOOL_FULL);
	while (out < in) {
		assert_int_equal(take(s, &lost, NULL), (int)(out++ % 1000));
		spool_settle(s, spool_cursor(s));
	}
	assert_int_equal(put(s, 0, true, NULL), SPOOL_PUT);
	spool_close(s);
}

static void a_record_larger_than_the_spool_is_not_for_it(void **state)
{
	struct spool *s;

	(void)state;
	clean();
	s = open_spool(100);
	assert_int_equal(put(s, 5, true, NULL), SPOOL_FAILED);	/* 186 bytes */
	assert_int_equal(put(s, 0, true, NULL), SPOOL_PUT);
	spool_close(s);
}

struct image {
	char *p;
	size_t len;
	char path[8192];
};

static void load(const char *path, void *arg)
{
	struct image *m = arg;
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_int_equal(fstat(fd, &st), 0);
	m->len = (size_t)st.st_size;
	m->p = malloc(m->len + 1);
	assert_int_equal(read(fd, m->p, m->len), m->len);
	snprintf(m->path, sizeof(m->path), "%s", path);
	close(fd);
}

static void store(const struct image *m, size_t len)
{
	int fd = open(m->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, m->p, len), len);
	close(fd);
}

/* Ten records in one file, as kill -9 leaves them. */
static void ten(struct image *m, size_t end[11])
{
	struct spool *s;

	clean();
	s = open_spool(1 << 20);
	end[0] = 0;
	for (unsigned i = 0; i < 10; i++) {
		put(s, i, false, NULL);
		end[i + 1] = (size_t)spool_end(s);
	}
	each(load, m);
	spool_close(s);
}

static void a_torn_tail_loses_nothing_before_it(void **state)
{
	struct spool_numbers numbers;
	struct image m;
	size_t end[11];

	(void)state;
	ten(&m, end);
	for (size_t cut = 0; cut <= m.len; cut++) {
		uint64_t lost = 0;
		struct spool *s;
		int whole = 0;

		while (whole < 10 && end[whole + 1] <= cut)
			whole++;
		clean();
		assert_int_equal(mkdir(sub, 0700), 0);
		store(&m, cut);
		s = open_spool(1 << 20);
		/* New ones go behind it, and both come back after another restart. */
		put(s, 100, false, NULL);
		for (int i = 0; i < whole; i++)
			assert_int_equal(take(s, &lost, NULL), i);
		assert_int_equal(take(s, &lost, NULL), 100);
		assert_int_equal(take(s, &lost, NULL), -1);
		spool_numbers(s, &numbers);
		assert_int_equal(numbers.corrupt, 0);
		assert_int_equal(lost, 0);
		spool_close(s);
		s = open_spool(1 << 20);
		for (int i = 0; i < whole; i++)
			assert_int_equal(take(s, &lost, NULL), i);
		assert_int_equal(take(s, &lost, NULL), 100);
		assert_int_equal(take(s, &lost, NULL), -1);
		spool_close(s);
	}
	free(m.p);
}

static void count_file(const char *path, void *arg)
{
	(void)path;
	(*(int *)arg)++;
}

/* kill -9 in the middle of a write, and of the first one after it. */
static void two_torn_tails_are_none_of_a_stranger_s(void **state)
{
	struct spool_numbers numbers;
	struct image m, again;
	size_t end[11];

	(void)state;
	ten(&m, end);
	again = m;
	for (size_t cut = end[4] + 1; cut < end[5]; cut++) {
		uint64_t lost = 0, at = 0;
		unsigned files = 0;
		struct spool *s;

		clean();
		assert_int_equal(mkdir(sub, 0700), 0);
		store(&m, cut);
		snprintf(again.path, sizeof(again.path), "%s/%016zx.spool", sub, end[4]);
		again.p = m.p + end[4];
		store(&again, 1 + (cut * 7) % (end[5] - end[4] - 1));
		s = open_spool(1 << 20);
		put(s, 100, false, NULL);
		for (int i = 0; i < 4; i++)
			assert_int_equal(take(s, &lost, NULL), i);
		assert_int_equal(take(s, &lost, &at), 100);
		spool_numbers(s, &numbers);
		assert_int_equal(numbers.corrupt, 0);
		assert_int_equal(lost, 0);
		spool_settle(s, spool_end(s));
		spool_close(s);
		spool_close(open_spool(1 << 20));
		each(count_file, &files);
		assert_int_equal(files, 0);
	}
	free(m.p);
}

static void a_turned_bit_costs_one_record_and_is_counted(void **state)
{
	struct spool_numbers numbers;
	struct image m;
	size_t end[11];

	(void)state;
	ten(&m, end);
	for (size_t bit = 0; bit < m.len * 8; bit += 5) {
		uint64_t lost = 0, restored;
		int hit = 0, n, next = 0;
		struct spool *s;

		while (end[hit + 1] <= bit / 8)
			hit++;
		m.p[bit / 8] ^= (char)(1 << bit % 8);
		clean();
		assert_int_equal(mkdir(sub, 0700), 0);
		store(&m, m.len);
		m.p[bit / 8] ^= (char)(1 << bit % 8);
		s = open_spool(1 << 20);
		restored = spool_restored(s);
		while ((n = take(s, &lost, NULL)) >= 0) {
			next += next == hit;
			assert_int_equal(n, next++);
		}
		assert_int_equal(next + (hit == 9), 10);
		spool_numbers(s, &numbers);
		assert_int_equal(numbers.corrupt, 1);
		/* What was said to be there, came or is lost. */
		assert_int_equal(restored, 55 - (unsigned)(hit + 1) + lost);
		spool_close(s);
	}
	free(m.p);
}

static void zeros_behind_a_loss_of_power_are_a_torn_tail(void **state)
{
	struct spool_numbers numbers;
	uint64_t lost = 0;
	struct image m;
	size_t end[11];
	struct spool *s;

	(void)state;
	ten(&m, end);
	memset(m.p + end[7], 0, m.len - end[7]);
	clean();
	assert_int_equal(mkdir(sub, 0700), 0);
	store(&m, m.len);
	s = open_spool(1 << 20);
	for (int i = 0; i < 7; i++)
		assert_int_equal(take(s, &lost, NULL), i);
	assert_int_equal(take(s, &lost, NULL), -1);
	spool_numbers(s, &numbers);
	assert_int_equal(numbers.corrupt, 0);
	spool_close(s);
	free(m.p);
}

/* A client can write what it wants into a log line: also the header of a record. */
static void a_header_in_a_payload_is_none(void **state)
{
	struct spool_record forged = { .len = 10, .spans = 1000000, .at = 12345 };
	struct spool_wire w = { .spans = 1, .seq = 1 };
	struct buf out = { .max = WIRE_MAX };
	struct spool_got_record r;
	struct image m;
	char bytes[256] = "";
	uint64_t lost = 0;
	struct spool *s;

	(void)state;
	clean();
	s = open_spool(1 << 20);
	spool_record_write(&forged, bytes + 20);
	w.bytes = slice_of(bytes, sizeof(bytes));
	assert_int_equal(spool_append(s, &w), SPOOL_PUT);
	put(s, 3, false, NULL);
	each(load, &m);
	spool_close(s);
	m.p[0] ^= 1;		/* now it is searched */
	store(&m, m.len);
	s = open_spool(1 << 20);
	assert_int_equal(spool_restored(s), 4);
	assert_int_equal(spool_read(s, &out, &r, &lost), SPOOL_GOT);
	assert_int_equal(r.spans, 4);
	buf_free(&out);
	spool_close(s);
	free(m.p);
}

static void a_second_process_is_told_who_has_it(void **state)
{
	struct err err = { 0 };
	struct spool *s;
	char pid[32];

	(void)state;
	clean();
	s = open_spool(1 << 20);
	assert_null(spool_open(root, "http://collector:4318/v1/traces", "http://collector:4318/v1/traces", 1 << 20, &err));
	assert_int_equal(err.code, EXIT_CONFIG);
	snprintf(pid, sizeof(pid), "process %d", getpid());
	assert_non_null(strstr(err.text, pid));
	spool_close(s);
	s = open_spool(1 << 20);
	spool_close(s);
}

/* The mark is two places, written in turn: any one of them may be bad. */
static void a_bad_mark_makes_duplicates_not_gaps(void **state)
{
	uint64_t lost = 0, at;
	char path[8192];
	struct spool *s;
	int fd, n, first;

	(void)state;
	for (int bad = 0; bad < 3; bad++) {
		clean();
		s = open_spool(1 << 20);
		for (unsigned i = 0; i < 10; i++)
			put(s, i, false, NULL);
		for (int i = 0; i < 5; i++)
			take(s, &lost, &at);
		spool_settle(s, at);
		spool_close(s);
		snprintf(path, sizeof(path), "%s/mark", sub);
		fd = open(path, O_WRONLY);
		for (int k = 0; k < 2; k++)
			if (bad == 2 || bad == k)
				assert_int_equal(pwrite(fd, "?", 1, (off_t)((size_t)k * SPOOL_MARK + 17)), 1);
		close(fd);
		s = open_spool(1 << 20);
		first = n = take(s, &lost, NULL);
		assert_true(first == 0 || first == 4);
		assert_true(bad != 2 || first == 0);
		while (n >= 0 && n < 9)
			assert_int_equal(take(s, &lost, NULL), ++n);
		spool_close(s);
	}
}

/* ---- what others do in the folder ------------------------------------------------------------------------------- */

static void delete(const char *path, void *arg)
{
	(void)arg;
	assert_int_equal(unlink(path), 0);
}

/* Deleted before, or after a sync: what comes then goes to a new file, and what can still be read is sent. */
static void a_deleted_file_is_said_and_not_written_to(void **state)
{
	(void)state;
	for (int sync = 0; sync < 2; sync++) {
		uint64_t lost = 0, at = 0;
		struct spool_numbers numbers;
		struct spool *s;
		int files = 0;

		clean();
		s = open_spool(1 << 20);
		for (unsigned i = 0; i < 5; i++)
			put(s, i, false, NULL);
		if (sync)
			spool_sync(s);
		each(delete, NULL);
		if (!sync)
			spool_sync(s);
		assert_true(spool_suspect(s) == (sync ? UINT64_MAX : 0));
		for (unsigned i = 5; i < 10; i++)
			put(s, i, false, NULL);
		each(count_file, &files);
		assert_int_equal(files, 1);
		assert_int_equal(spool_missing(s), 1 + 2 + 3 + 4 + 5);
		spool_numbers(s, &numbers);
		assert_int_equal(numbers.errors, 1);
		for (int i = 0; i < 10; i++)
			assert_int_equal(take(s, &lost, &at), i);
		assert_int_equal(lost, 0);
		spool_settle(s, at);
		assert_true(spool_suspect(s) == UINT64_MAX);
		assert_int_equal(spool_missing(s), 0);
		spool_close(s);
		s = open_spool(1 << 20);
		assert_int_equal(spool_restored(s), 10);
		spool_close(s);
	}
}

static void leave_file(const char *name, const char *text)
{
	char path[8192];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", sub, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_stray_file_hides_nothing(void **state)
{
	static const struct {
		const char *name, *text;
		unsigned corrupt;
	} stray[] = {
		{ "00000000000000AA.spool", "what is this?", 0 },
		{ "0x00000000000010.spool", "what is this?", 0 },
		{ " 000000000000010.spool", "", 0 },
		{ "0000000000000010.spool.gz", "", 0 },
		{ "0000000000000010.spool", "", 0 },
		{ "0000000000000010.spool", "what is this?", 1 },
		{ "ffffffffffffff00.spool", "what is this?", 1 },
		{ "7000000000000000.spool", "what is this?", 1 },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(stray) / sizeof(stray[0]); k++) {
		struct spool_numbers numbers;
		uint64_t lost = 0;
		struct spool *s;

		clean();
		s = open_spool(1 << 20);
		for (unsigned i = 0; i < 10; i++)
			put(s, i, false, NULL);
		spool_close(s);
		leave_file(stray[k].name, stray[k].text);
		s = open_spool(1 << 20);
		assert_int_equal(spool_restored(s), 55);
		spool_numbers(s, &numbers);
		assert_int_equal(numbers.corrupt, stray[k].corrupt);
		put(s, 10, false, NULL);
		for (int i = 0; i < 11; i++)
			assert_int_equal(take(s, &lost, NULL), i);
		assert_int_equal(lost, 0);
		spool_close(s);
	}
	clean();
}

static void a_link_is_not_written_through(void **state)
{
	static const char *const names[] = { "lock", "mark" };
	char path[8192], victim[128];
	struct stat st;

	(void)state;
	snprintf(victim, sizeof(victim), "%s/../%s-victim", root, strrchr(root, '/') + 1);
	for (int k = 0; k < 2; k++) {
		struct err err = { 0 };
		FILE *f;

		clean();
		spool_close(open_spool(1 << 20));
		f = fopen(victim, "w");
		fputs("mine", f);
		fclose(f);
		snprintf(path, sizeof(path), "%s/%s", sub, names[k]);
		unlink(path);
		assert_int_equal(symlink(victim, path), 0);
		assert_null(spool_open(root, "http://collector:4318/v1/traces", "http://collector:4318/v1/traces", 1 << 20, &err));
		assert_int_equal(err.code, EXIT_CONFIG);
		assert_non_null(strstr(err.text, names[k]));
		assert_int_equal(stat(victim, &st), 0);
		assert_int_equal(st.st_size, 4);
		unlink(victim);
	}
}

static int make_root(void **state)
{
	(void)state;
	log_max = LOG_LEVEL_ERROR;
	/* Thousands of small files: in memory if there is such a folder. */
	snprintf(root, sizeof(root), "%s/haspan-spool-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	clean();
	return rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_comes_back_in_order),
		cmocka_unit_test(what_was_not_answered_for_is_there_after_a_restart),
		cmocka_unit_test(the_copy_in_memory_is_kept_only_at_the_end),
		cmocka_unit_test(the_bound_is_on_all_files_and_room_comes_back),
		cmocka_unit_test(a_record_larger_than_the_spool_is_not_for_it),
		cmocka_unit_test(a_torn_tail_loses_nothing_before_it),
		cmocka_unit_test(two_torn_tails_are_none_of_a_stranger_s),
		cmocka_unit_test(a_turned_bit_costs_one_record_and_is_counted),
		cmocka_unit_test(zeros_behind_a_loss_of_power_are_a_torn_tail),
		cmocka_unit_test(a_header_in_a_payload_is_none),
		cmocka_unit_test(a_second_process_is_told_who_has_it),
		cmocka_unit_test(a_bad_mark_makes_duplicates_not_gaps),
		cmocka_unit_test(a_deleted_file_is_said_and_not_written_to),
		cmocka_unit_test(a_stray_file_hides_nothing),
		cmocka_unit_test(a_link_is_not_written_through),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
