/*
 * haproxy.cfg: any text is read or refused with a place in it, what is read becomes a format set, and that reads any
 * line. Input: the configuration up to a byte 1, then the line.
 */
#include "core/log.h"
#include "fuzz.h"
#include "parse/haproxy_cfg.h"
#include "parse/program.h"
#include "tree.h"

#include <sys/mman.h>
#include <unistd.h>

static struct formats set;
static struct cfg cfg;
static struct tree tree;
static int fd;
static char path[32];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_max = LOG_LEVEL_ERROR;	/* not a message for each format that is refused */
	fd = memfd_create("haproxy.cfg", 0);
	CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return argc == NULL || argv == NULL;
}

static void check_place(struct cfg_place place)
{
	CHECK(place.file == cfg.file[0] && place.line <= place.file->lines);
}

static void check_model(void)
{
	uint32_t proxies = 0, notes = 0;

	for (const struct cfg_section *s = cfg.section; s; s = s->next) {
		check_place(s->place);
		CHECK(s->last_line >= s->place.line && s->last_line <= cfg.file[0]->lines);
		CHECK(!s->from || s->from->kind == CFG_DEFAULTS);
		for (const struct cfg_directive *d = s->first; d; d = d->next) {
			check_place(d->place);
			CHECK(d->section == s && d->n >= 1 && d->n <= CFG_WORDS_MAX && d->place.line > s->place.line);
			for (uint32_t i = 0; i < d->n; i++)
				CHECK(d->word[i].p[d->word[i].len] == '\0');
		}
	}
	for (const struct cfg_proxy *p = cfg.proxy; p; p = p->next, proxies++) {
		CHECK(cfg_proxy_find(&cfg, p->name));
		CHECK(p->ncaptures[0] <= CAPTURES_MAX && p->ncaptures[1] <= CAPTURES_MAX);
		CHECK((p->log_kind == CFG_LOG_NONE) == !p->log_format.by);
		for (uint32_t i = 0; i < p->nlogs; i++)
			CHECK(p->log[i].by && p->log[i].len >= 80 && p->log[i].len <= 65535);
		for (uint32_t i = 0; i < p->nvariables; i++)
			cfg_meaning(&cfg, p, p->variable[i].value);
	}
	for (const struct cfg_note *n = cfg.note; n; n = n->next, notes++)
		check_place(n->place);
	CHECK(proxies == cfg.nproxies && notes == cfg.nnotes && notes <= CFG_NOTES_MAX);
}

static void check_formats(void)
{
	for (uint32_t i = 0; i < set.n; i++) {
		const struct format *f = set.v[i];

		CHECK(f->nextra <= EXTRAS_MAX && (!f->whole || f->whole->nextra == f->nextra));
		for (uint32_t k = 0; f->whole && k < 2; k++)
			CHECK((f->slots[k] & ~f->whole->slots[k]) == 0);
	}
	CHECK(set.norder <= set.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct naming naming;
	struct arena arena = { 0 };
	struct slice line = slice_of((const char *)data, size), text = slice_cut(&line, 1), name = slice_str(path);
	struct err err = { 0 };
	char *base;

	CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, text.p, text.len, 0) == (ssize_t)text.len);
	if (cfg_read(&cfg, &name, 1, &arena, &err)) {
		CHECK(err.code == EXIT_DONE);
		check_model();
		set = (struct formats){ .arena = &arena, .log_len = 1024 };
		CHECK(formats_add_cfg(&set, &cfg, &naming, &err));
		check_formats();
		CHECK(formats_add_auto(&set, &naming, &err));
		tree_init(&tree, &set, (unsigned)size);
		line = fuzz_padded((const uint8_t *)line.p, line.len, &base);
		tree_line(&tree, line);
		tree_free(&tree);
		free(base);
	} else {
		CHECK(err.code == EXIT_CONFIG && err.text[0] && err.line && err.caret <= strlen(err.quoted));
	}
	arena_free(&arena);
	return 0;
}
