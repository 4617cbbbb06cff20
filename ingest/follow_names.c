/*
 * ingest/follow_names.c - how logrotate (and newsyslog, and cronolog) call a file that they have put aside.
 *
 * haproxy.log.1  haproxy.log.2.gz  haproxy.log-20240131  haproxy.log-20240131-1706659200.gz  haproxy.log.2024-01-31
 * and, with logrotate's `extension .log`, haproxy.1.log and haproxy-20240131.log.gz
 */
#include "core/log.h"
#include "ingest/follow.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

int64_t mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec < 0 ? 0 : (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* ---- one name ---------------------------------------------------------------------------------------- */

static bool ends_with(struct slice s, struct slice tail)
{
	return s.len > tail.len && slice_eq(slice_skip(s, s.len - tail.len), tail);
}

static struct slice without_packing(struct slice name)
{
	static const struct slice endings[] = { { ".gz", 3 }, { ".zst", 4 }, { ".xz", 3 } };

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (ends_with(name, endings[i]))
			return slice_of(name.p, name.len - endings[i].len);
	return name;
}

/* `.1` is a number; a date has at least six digits, and may have dashes and the like between them. */
static enum rotated_kind order_kind(char sep, struct slice s)
{
	size_t digits = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] >= '0' && s.p[i] <= '9')
			digits++;
		else if (i == 0 || i + 1 == s.len || !strchr("-_.:T", s.p[i]))
			return ROTATED_NOT;
	}
	if (digits >= 6 && s.len <= 40)
		return ROTATED_DATE;
	return sep == '.' && digits == s.len && digits && digits < 6 ? ROTATED_NUMBER : ROTATED_NOT;
}

static enum rotated_kind order_of(struct slice rest, struct slice *order)
{
	if (rest.len < 2 || !strchr(".-_", rest.p[0]))
		return ROTATED_NOT;
	*order = slice_skip(rest, 1);
	return order_kind(rest.p[0], *order);
}

enum rotated_kind rotated_parse(struct slice name, struct slice base, struct rotated_name *out)
{
	struct slice plain = without_packing(name), order, stem = base, ending;
	enum rotated_kind kind = ROTATED_NOT;

	if (slice_starts(plain, base))
		kind = order_of(slice_skip(plain, base.len), &order);
	while (stem.len && stem.p[stem.len - 1] != '.')
		stem.len--;
	if (kind == ROTATED_NOT && stem.len > 1) {
		stem.len--;
		ending = slice_skip(base, stem.len);
		if (slice_starts(plain, stem) && plain.len > stem.len + ending.len && ends_with(plain, ending))
			kind = order_of(slice_of(plain.p + stem.len, plain.len - stem.len - ending.len), &order);
	}
	if (kind != ROTATED_NOT)
		*out = (struct rotated_name){ kind, order, plain };
	return kind;
}

/* ---- a folder ---------------------------------------------------------------------------------------- */

static void add(struct rotated_list *l, const char *folder, struct slice name, const struct rotated_name *what)
{
	char path[FOLLOW_PATH];
	struct rotated *r;
	struct stat st;
	size_t len = (size_t)snprintf(path, sizeof(path), "%s/%.*s", folder, (int)name.len, name.p), before = len - name.len;

	if (len >= sizeof(path) || stat(path, &st) != 0 || !S_ISREG(st.st_mode) || l->n == FOLLOW_ROTATED_MAX)
		return;
	if (st.st_ino == l->self_ino && st.st_dev == l->self_dev)
		return;		/* `path` is a link to the newest */
	for (uint32_t i = 0; i < l->n; i++)
		if (l->v[i].ino == st.st_ino && l->v[i].dev == st.st_dev)
			return;		/* a link, or a folder seen twice */
	if (l->n == l->room) {
		uint32_t room = l->room ? 2 * l->room : 16;
		struct rotated *more = realloc(l->v, room * sizeof(*more));

		if (!more)
			return;
		l->v = more;
		l->room = room;
	}
	r = &l->v[l->n];
	*r = (struct rotated){ .path = strdup(path), .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size,
			       .mtime_ns = mtime_ns(&st), .kind = what->kind,
			       .order = (uint32_t)(before + (size_t)(what->order.p - name.p)),
			       .order_len = (uint32_t)what->order.len, .plain_len = (uint32_t)(before + what->plain.len) };
	l->n += r->path != NULL;
}

static bool find_in(struct rotated_list *l, const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[FOLLOW_PATH];
	struct rotated_name what;
	struct dirent *e;
	DIR *d;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	d = opendir(*folder ? folder : "/");
	if (!d)
		return false;
	while ((e = readdir(d)) != NULL)
		if (rotated_parse(slice_str(e->d_name), slice_str(slash ? slash + 1 : path), &what) != ROTATED_NOT)
			add(l, folder, slice_str(e->d_name), &what);
	closedir(d);
	return true;
}

/* While a file is compressed both are there, and the compressed one is not whole. */
static void drop_unfinished(struct rotated_list *l)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		struct rotated *r = &l->v[i];
		bool unfinished = false;

		for (uint32_t k = 0; k < l->n && r->path[r->plain_len] && !unfinished; k++)
			unfinished = k != i && l->v[k].path && strncmp(l->v[k].path, r->path, r->plain_len) == 0 &&
				     !l->v[k].path[r->plain_len];
		if (unfinished) {
			free(r->path);
			r->path = NULL;
		}
	}
	for (uint32_t i = 0; i < l->n; i++)
		if (l->v[i].path)
			l->v[kept++] = l->v[i];
	l->n = kept;
}

/* ---- order ------------------------------------------------------------------------------------------- */

static struct slice order_text(const struct rotated *r)
{
	return slice_of(r->path + r->order, r->order_len);
}

static int by_mtime(const void *a, const void *b)
{
	const struct rotated *x = a, *y = b;

	return x->mtime_ns != y->mtime_ns ? (x->mtime_ns > y->mtime_ns) - (x->mtime_ns < y->mtime_ns) :
					    strcmp(x->path, y->path);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = 0, y = 0;

	slice_uint(order_text(a), &x);
	slice_uint(order_text(b), &y);
	return x != y ? (x < y) - (x > y) : by_mtime(a, b);
}

static int by_date(const void *a, const void *b)
{
	struct slice x = order_text(a), y = order_text(b);
	int c = memcmp(x.p, y.p, x.len < y.len ? x.len : y.len);

	return c ? c : x.len != y.len ? (x.len > y.len) - (x.len < y.len) : by_mtime(a, b);
}

bool rotated_find(struct rotated_list *l, const char *path)
{
	char target[PATH_MAX];
	bool numbers = true, dates = true;
	struct stat st;
	bool ok;

	if (stat(path, &st) == 0) {
		l->self_dev = st.st_dev;
		l->self_ino = st.st_ino;
	}
	ok = find_in(l, path);
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, target) && !find_in(l, target))
		ok = false;
	drop_unfinished(l);
	for (uint32_t i = 0; i < l->n; i++) {
		numbers &= l->v[i].kind == ROTATED_NUMBER;
		dates &= l->v[i].kind == ROTATED_DATE;
	}
	/* Names can be trusted more than times, but two kinds of names say nothing about each other. */
	if (l->n)
		qsort(l->v, l->n, sizeof(l->v[0]), numbers ? by_number : dates ? by_date : by_mtime);
	return ok;
}

void rotated_free(struct rotated_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
	*l = (struct rotated_list){ 0 };
}
