/*
 * ingest/follow_next.c - the chain of files that one log is written to: oldest predecessor, ..., youngest, the file
 * itself.
 *
 * Names move along the chain while it is read, files are compressed and deleted. So nothing is remembered but who the
 * last one was (struct position), and the chain is looked at anew each time.
 */
#include "core/log.h"
#include "ingest/follow.h"

#include <stdio.h>

static bool set(struct next *out, const char *path, uint64_t offset, bool rotated)
{
	struct stat st;

	snprintf(out->path, sizeof(out->path), "%s", path);
	out->offset = offset;
	out->rotated = rotated;
	out->empty = stat(path, &st) != 0 || st.st_size == 0;
	return true;
}

static bool is_file(const char *path, struct stat *st)
{
	return stat(path, st) == 0 && S_ISREG(st->st_mode);
}

/* ---- after a file ------------------------------------------------------------------------------------ */

static bool is_inode(const struct rotated *r, const struct position *at)
{
	return r->ino == at->ino && r->dev == at->dev;
}

/* How many of the list are no younger than `f`. */
static uint32_t place_of(const struct rotated_list *l, const struct followed *f)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		if (is_inode(&l->v[i], &f->at))
			return i + 1;
	for (i = l->n; i > 0 && f->at.head_len; i--)
		if (followed_is(l->v[i - 1].path, &f->at))
			return i;
	for (i = 0; i < l->n && l->v[i].mtime_ns <= f->at.mtime_ns; i++)
		;
	return i;
}

bool next_after(const char *path, const struct followed *f, struct next *out)
{
	struct rotated_list l = { 0 };
	struct stat st;
	bool there = is_file(path, &st), found = false;
	uint32_t i;

	if (there && st.st_ino == f->at.ino && st.st_dev == f->at.dev)
		return false;
	rotated_find(&l, path);
	i = place_of(&l, f);
	/* A copy that copytruncate makes at this moment: the same lines are in the file itself, until it is cut. */
	while (i < l.n && there && !l.v[i].path[l.v[i].plain_len] && followed_same_head(l.v[i].path, path))
		i++;
	if (i < l.n)
		found = set(out, l.v[i].path, 0, true);
	else if (there)
		found = set(out, path, 0, false);
	rotated_free(&l);
	return found;
}

bool next_oldest(const char *path, struct next *out)
{
	struct rotated_list l = { 0 };
	struct stat st;
	bool found = true;

	rotated_find(&l, path);
	if (l.n)
		set(out, l.v[0].path, 0, true);
	else if (is_file(path, &st))
		set(out, path, 0, false);
	else
		found = false;
	rotated_free(&l);
	return found;
}

/* ---- from a position --------------------------------------------------------------------------------- */

/* The same inode, and it was not used again: it begins as it did. */
static bool is_same(const char *path, uint64_t dev, uint64_t ino, const struct position *at)
{
	/* Of an empty file the inode is all that is known. Device numbers may change with a restart of the system. */
	return ino == at->ino && (at->head_len || dev == at->dev) && followed_is(path, at);
}

static bool find_same(const char *path, const struct rotated_list *l, const struct position *at, struct next *out)
{
	struct stat st;

	if (is_file(path, &st) && is_same(path, st.st_dev, st.st_ino, at))
		return set(out, path, at->offset, false);
	for (uint32_t i = 0; i < l->n; i++)
		if (is_same(l->v[i].path, l->v[i].dev, l->v[i].ino, at))
			return set(out, l->v[i].path, at->offset, true);
	/* Compressed, or copied: by its first bytes. */
	for (uint32_t i = l->n; i > 0 && at->head_len; i--)
		if (followed_is(l->v[i - 1].path, at))
			return set(out, l->v[i - 1].path, at->offset, true);
	/* The file itself with another inode: only if many bytes say that it is no new one. */
	if (at->head_len == FOLLOW_HEAD && is_file(path, &st) && followed_is(path, at))
		return set(out, path, at->offset, false);
	return false;
}

enum resume next_resume(const char *path, const struct position *at, struct next *out)
{
	struct rotated_list l = { 0 };
	enum resume how = RESUME_NEWER;
	struct stat st;
	uint32_t i = 0;

	rotated_find(&l, path);
	if (find_same(path, &l, at, out)) {
		how = RESUME_FOUND;
	} else {
		while (i < l.n && l.v[i].mtime_ns <= at->mtime_ns)
			i++;
		if (i < l.n)
			set(out, l.v[i].path, 0, true);
		else if (is_file(path, &st))
			set(out, path, 0, false);
		else
			how = RESUME_WAIT;
	}
	rotated_free(&l);
	return how;
}

bool next_copy(const char *path, const struct followed *f, struct next *out)
{
	struct rotated_list l = { 0 };
	bool found = false;

	rotated_find(&l, path);
	for (uint32_t i = l.n; i > 0 && f->at.head_len && !found; i--) {
		const struct rotated *r = &l.v[i - 1];

		if (!is_inode(r, &f->at) && followed_is(r->path, &f->at))
			found = set(out, r->path, f->at.offset, true);
	}
	rotated_free(&l);
	return found;
}
