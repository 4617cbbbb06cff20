/*
 * haspan doctor: of any configuration that can be read, what is missing becomes a patch that fits the file, and after
 * it the configuration can still be read.
 */
#include "core/log.h"
#include "doctor.h"
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static int fd;
static char path[32];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_max = LOG_LEVEL_ERROR;
	fd = memfd_create("haproxy.cfg", 0);
	CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return argc == NULL || argv == NULL;
}

static bool read_cfg(struct cfg *cfg, struct arena *arena, const char *text, size_t size)
{
	struct slice name = slice_str(path);
	struct err err = { 0 };

	CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, text, size, 0) == (ssize_t)size);
	return cfg_read(cfg, &name, 1, arena, &err);
}

static void look_at_all(const struct cfg *cfg, struct edits *edits)
{
	for (const struct cfg_proxy *p = cfg->proxy; p; p = p->next) {
		struct look *l = arena_alloc(cfg->arena, sizeof(*l));

		if (!p->front)
			continue;
		doctor_look(l, cfg, p);
		for (int id = 0; id < ADVICE_MAX; id++)
			CHECK(!l->finding[id].by || l->finding[id].by->place.file == cfg->file[0]);
		doctor_fix(l, edits);
	}
}

/* The edits one by one: in order, inside the file, lines that do not overlap; what they make of it goes to `out`. */
static void apply(const struct cfg_file *f, const struct edits *edits, struct buf *out)
{
	struct slice rest = f->text;
	unsigned at = 1;

	for (const struct edit *e = edits->first; e; e = e->next) {
		CHECK(e->file == f && e->at >= at && e->at + e->remove <= f->lines + 2);
		CHECK(!e->add.len || e->add.p[e->add.len - 1] == '\n');
		for (; at < e->at + e->remove; at++) {
			struct slice line = slice_cut(&rest, '\n');

			if (at < e->at) {
				buf_slice(out, line);
				buf_char(out, '\n');
			}
		}
		buf_slice(out, e->add);
	}
	buf_slice(out, rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cfg cfg;
	struct arena arena = { 0 };
	struct edits edits = { .arena = &arena };
	struct buf patch = { .max = 256 << 20 }, after = { .max = 256 << 20 };

	memset(&cfg, 0, sizeof(cfg));
	if (size < 16384 && read_cfg(&cfg, &arena, (const char *)data, size)) {
		look_at_all(&cfg, &edits);
		doctor_patch(&edits, &patch);
		CHECK(!edits.first == !patch.len);
		apply(cfg.file[0], &edits, &after);
		memset(&cfg, 0, sizeof(cfg));
		CHECK(read_cfg(&cfg, &arena, after.p ? after.p : "", after.len));
	}
	buf_free(&patch);
	buf_free(&after);
	arena_free(&arena);
	return 0;
}
