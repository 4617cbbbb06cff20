#include "pipeline_private.h"

#include "core/wait.h"
#include "linetime.h"
#include "pace.h"
#include "sandbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool worker_init(struct worker *w, struct pipeline *p, struct err *err)
{
	w->pipeline = p;
	block_alloc(&w->block);
	unwrapper_init(&w->unwrapper);
	parser_init(&w->parser, &p->formats);
	for (uint32_t k = 0; k < p->nsinks; k++)
		w->wire[k].bytes.max = WIRE_MAX;
	w->rejects.max = WIRE_MAX;
	w->parts.max = w->asides.max = w->joined.max = WIRE_MAX;
	merge_init(&w->merge);
	w->rules = p->c->rules;
	if (!rebuilder_init(&w->rebuilder, &w->rules, p->c->timezone, err))
		return false;
	w->rebuilder.brief = true;
	return true;
}

int pipeline_open_rejects(const char *path, bool truncate, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | (truncate ? O_TRUNC : 0), 0600);

	if (fd < 0) {
		err_set(err, EXIT_CONFIG, "cannot write to it: %m");
		err_where(err, "%s", path);
	}
	return fd;
}

static bool open_sinks(struct pipeline *p, struct err *err)
{
	for (uint32_t k = 0; k < p->c->nsinks; k++) {
		bool ok;

		if (p->c->check_only) {
			ok = sink_check(p->c->sinks[k], &p->c->export, err);
		} else {
			p->sinks[k] = sink_open(p->c->sinks[k], &p->c->export, err);
			ok = p->sinks[k] != NULL;
			p->nsinks += ok;
			p->relays |= ok && p->sinks[k]->encoder->lines;
		}
		if (!ok)
			return p->c->sink_from[k] ? options_blame(p->c->sink_from[k], err) : false;
	}
	if (p->c->check_only && p->c->rejects && access(p->c->rejects, F_OK) == 0 && access(p->c->rejects, W_OK) != 0) {
		err_set(err, EXIT_CONFIG, "cannot write to it: %m");
		return err_where(err, "%s", p->c->rejects);
	}
	if (p->c->check_only)
		return true;
	sinks_opened(&p->c->export);
	if (p->c->rejects)
		p->rejects = pipeline_open_rejects(p->c->rejects, !p->live, err);
	return !p->c->rejects || p->rejects >= 0;
}

/* Paths that this run will write, NULL-terminated. */
static void outputs(const struct config *c, struct slice out[SINKS_MAX + 2])
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < c->nsinks; k++)
		if (slice_starts(c->sinks[k], SLICE("file:")))
			out[n++] = slice_skip(c->sinks[k], 5);
	if (c->rejects)
		out[n++] = slice_str(c->rejects);
	out[n] = (struct slice){ NULL, 0 };
}

/* To write into what is being read, or twice into one file, would destroy it without a word. */
static bool check_outputs(const struct config *c, const struct source *s, struct err *err)
{
	struct slice paths[SINKS_MAX + 2];
	struct stat st[SINKS_MAX + 1];
	char path[4096];

	outputs(c, paths);
	for (uint32_t i = 0; paths[i].p; i++) {
		snprintf(path, sizeof(path), "%.*s", (int)paths[i].len, paths[i].p);
		if (stat(path, &st[i]) != 0 || !S_ISREG(st[i].st_mode))
			st[i] = (struct stat){ 0 };
		else if (source_reads(s, &st[i]))
			err_set(err, EXIT_USAGE, "this file is being read: it can't be written too");
		for (uint32_t k = 0; k < i; k++)
			if (slice_eq(paths[i], paths[k]) ?
			    !slice_eq(paths[i], SLICE("/dev/null")) && !S_ISCHR(st[i].st_mode) :
			    st[i].st_ino && st[i].st_ino == st[k].st_ino && st[i].st_dev == st[k].st_dev)
				err_set(err, EXIT_USAGE, "this file would be written twice");
		if (err->code != EXIT_DONE)
			return err_where(err, "%s", path);
	}
	return true;
}

/* The configuration that names them may be replaced. */
static bool copy_uris(struct pipeline *p, struct err *err)
{
	for (uint32_t i = 0; i < p->c->nsources; i++) {
		p->uri[i] = strndup(p->c->sources[i].p, p->c->sources[i].len);
		if (!p->uri[i])
			return err_set(err, EXIT_CONFIG, "out of memory");
		p->nsources = i + 1;
	}
	return true;
}

/* To bind may take root's rights; all that comes after does not. */
static bool is_socket(struct slice uri)
{
	return live_names(uri) && !slice_starts(uri, SLICE("follow:"));
}

/* A file that is not there, or an address that is taken, must show before the first byte is sent anywhere. */
static bool check_sources(struct pipeline *p, bool sockets, struct err *err)
{
	const struct config *c = p->c;

	for (uint32_t i = 0; i < c->nsources; i++) {
		struct source *s;
		bool ok;

		if (is_socket(c->sources[i]) != sockets)
			continue;
		s = p->live && live_names(c->sources[i]) ? NULL : source_open(c->sources[i], err);
		p->live_number[i] = s ? 0 : p->nlive++;
		ok = s ? check_outputs(c, s, err) : err->code == EXIT_DONE && live_add(p->live, c->sources[i], err);
		p->files_size += s ? source_size(s) : 0;
		p->files_open |= s && source_size(s) == 0;
		source_close(s);
		if (!ok)
			return c->source_from[i] ? options_blame(c->source_from[i], err) : false;
	}
	return !p->live || live_add_passed(p->live, err);
}

/* From here on nothing takes root's rights, and nothing is opened that the configuration doesn't name. */
static bool confine(const struct config *c, struct err *err)
{
	if (c->check_only)
		return true;
	if (!user_drop(&c->user, err))
		return err_where(err, "--user");
	sandbox_enter(c);
	return true;
}

static bool open_live(struct pipeline *p, const struct config *c, struct err *err)
{
	bool any = live_passed() > 0;

	for (uint32_t i = 0; i < c->nsources; i++)
		any |= live_names(c->sources[i]);
	if (!any)
		return true;
	if (!ledger_init(&p->ledger))
		return err_set(err, EXIT_CONFIG, "out of memory");
	p->live = live_new(&c->live, err);
	return p->live != NULL;
}

bool pipeline_gives_host(const struct config *c)
{
	for (uint32_t i = 0; i < c->resource.n; i++)
		if (slice_eq(c->resource.keys[i], SLICE("host.name")))
			return true;
	return false;
}

struct pipeline *pipeline_open(const struct config *c, struct err *err)
{
	struct pipeline *p = calloc(1, sizeof(*p));

	if (!p || !(p->workers = calloc(c->threads, sizeof(*p->workers)))) {
		free(p);
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	p->c = c;
	p->formats = c->formats;
	p->threads = c->threads;
	p->rejects = -1;
	p->host_given = pipeline_gives_host(c);
	p->sampler = c->rules.sampler;
	wait_init(&p->released);
	pthread_mutex_init(&p->input, NULL);
	pthread_mutex_init(&p->output, NULL);
	pthread_cond_init(&p->turn, NULL);
	pthread_mutex_init(&p->keeping, NULL);
	wait_init(&p->keep);
	p->joiner = joiner_new(c->max_open, c->max_age_us, err);
	p->pace = pace_new(c, err);
	if (c->rebase)
		p->linetime = linetime_new(c, err);
	p->rules = rules_make(c, err);
	p->nrules = p->rules ? c->rules.nrules : 0;
	if (p->joiner && err->code == EXIT_DONE && copy_uris(p, err) && open_live(p, c, err) &&
	    check_sources(p, true, err) && confine(c, err) &&
	    check_sources(p, false, err) && open_sinks(p, err)) {
		unsigned i = 0;

		while (i < c->threads && worker_init(&p->workers[i], p, err))
			i++;
		if (i == c->threads)
			return p;
	}
	pipeline_close(p);
	return NULL;
}

bool pipeline_watch(struct pipeline *p, struct watcher *watcher, struct err *err)
{
	uint32_t k = p->nwatchers++;

	p->watcher[k] = watcher;
	for (unsigned i = 0; i < p->threads; i++) {
		p->workers[i].rebuilder.brief = false;
		if (!(p->workers[i].part[k] = watcher->ops->part(watcher)))
			return err_set(err, EXIT_CONFIG, "out of memory");
	}
	return true;
}

void pipeline_join_parts(struct pipeline *p)
{
	for (unsigned i = 0; i < p->threads; i++)
		for (uint32_t k = 0; k < p->nwatchers; k++)
			if (p->workers[i].part[k]) {
				p->watcher[k]->ops->join(p->watcher[k], p->workers[i].part[k]);
				p->workers[i].part[k] = NULL;
			}
}

void pipeline_close(struct pipeline *p)
{
	pipeline_join_parts(p);
	source_close(p->source);
	for (uint32_t i = 0; i < p->nsources; i++)
		free(p->uri[i]);
	for (uint32_t k = 0; k < p->nsinks; k++)
		p->sinks[k]->ops->free(p->sinks[k]);
	for (unsigned i = 0; i < p->threads; i++) {
		struct worker *w = &p->workers[i];

		block_free(&w->block);
		unwrapper_free(&w->unwrapper);
		parser_free(&w->parser);
		rebuilder_free(&w->rebuilder);
		buf_free(&w->rejects);
		buf_free(&w->parts);
		buf_free(&w->asides);
		buf_free(&w->joined);
		merge_free(&w->merge);
		for (uint32_t k = 0; k < SINKS_MAX; k++)
			buf_free(&w->wire[k].bytes);
	}
	if (p->rejects >= 0)
		close(p->rejects);
	live_free(p->live);
	ledger_free(&p->ledger);
	joiner_free(p->joiner);
	pace_free(p->pace);
	linetime_free(p->linetime);
	rules_free(p->rules, p->nrules);
	free(p->workers);
	free(p);
}
