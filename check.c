#include "check.h"

#include "baseline.h"
#include "core/log.h"
#include "core/term.h"
#include "export/tree.h"
#include "ingest/ingest.h"
#include "parse/haproxy_cfg.h"
#include "pipeline.h"
#include "report/propose.h"
#include "report/rules.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef HASPAN_VERSION
#define HASPAN_VERSION "0.0.0"
#endif

/* A line that was not understood, as it is shown, and the bytes that it takes at most. */
#define SAMPLE_MAX 1024

struct output {
	void (*report)(FILE *out, const struct results *r);
	const char *path;	/* NULL: standard output */
	FILE *file;		/* owned, unless it is standard output; NULL: -n, and nothing will be written */
};

struct check {
	struct onlooker onlooker;	/* first */
	const struct config *c;
	struct expr_names names;
	struct ruleset *rules;
	struct baseline *baseline;	/* --baseline, or NULL */
	struct arena arena;
	struct output output[OUTPUTS_MAX];
	uint32_t noutputs;
	bool proposes;			/* --write-rules */
	int64_t began_ms, when_s;
};

/* ---- outputs -------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*report)(FILE *out, const struct results *r);
} forms[] = {
#define OUTPUT(name, meaning) { #name, report_##name },
#include "report/outputs.def"
#undef OUTPUT
};

static const char form_names[] =
#define OUTPUT(name, meaning) " or " #name
#include "report/outputs.def"
#undef OUTPUT
	;

static bool find_form(struct slice name, struct output *o)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (slice_eq(name, slice_str(forms[i].name))) {
			o->report = forms[i].report;
			return true;
		}
	return false;
}

/* What is in it stays, until it is known that nothing else is meant by it. */
static FILE *open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (fd >= 0 && !file)
		close(fd);
	return file;
}

static bool open_output(struct check *k, struct slice text, struct err *err)
{
	struct output *o = &k->output[k->noutputs];
	struct slice path = text, name = slice_cut(&path, '=');

	if (k->noutputs == OUTPUTS_MAX)
		return err_set(err, EXIT_USAGE, "too many outputs (at most %d)", OUTPUTS_MAX);
	if (!find_form(name, o))
		return err_at(err, EXIT_USAGE, text.p, text.len, 0, "expected %s, with =FILE or without", form_names + 4);
	o->path = path.p && !slice_eq(path, SLICE("-")) ? path.p : NULL;
	for (uint32_t i = 0; !o->path && i < k->noutputs; i++)
		if (!k->output[i].path)
			return err_at(err, EXIT_USAGE, text.p, text.len, name.len,
				      "two outputs would be mixed on standard output: give one a file, as in json=FILE");
	o->file = !o->path ? stdout : k->c->check_only ? NULL : open_file(o->path);
	if (!o->file && !k->c->check_only) {
		err_set(err, EXIT_CONFIG, "cannot write to it: %m");
		return err_where(err, "%s", o->path);
	}
	k->noutputs++;
	return true;
}

static bool same_file(const char *path, const struct stat *st)
{
	struct stat other;

	return stat(path, &other) == 0 && other.st_ino == st->st_ino && other.st_dev == st->st_dev;
}

static bool is_path(struct slice text, const struct stat *st)
{
	char path[4096];

	snprintf(path, sizeof(path), "%.*s", (int)text.len, text.p);
	return same_file(path, st);
}

/* Of a source, a baseline or a rules file; what follow: names is there, or will be. */
static bool names_file(struct slice uri, const struct stat *st)
{
	struct err unread = { 0 };	/* who reads it will say so */
	struct source *s;
	bool found;

	if (slice_starts(uri, SLICE("follow:"))) {
		const char *mark = memrchr(uri.p, '?', uri.len);

		return is_path(slice_to(uri.p + 7, mark ? mark : uri.p + uri.len), st);
	}
	s = live_names(uri) ? NULL : source_open(uri, &unread);
	found = s && source_reads(s, st);
	source_close(s);
	return found;
}

/* Is it the capture, or any other file that this run reads? */
static bool is_read(const struct check *k, const struct options *o, const struct stat *st)
{
	bool found = false;

	for (const struct option_value *v = o->v[OPTION_RULES].first; v; v = v->next)
		found |= slice_eq(v->text, SLICE("-")) ? names_file(v->text, st) : same_file(v->text.p, st);
	for (const struct option_value *v = o->v[OPTION_BASELINE].first; v; v = v->next)
		found |= names_file(v->text, st);
	for (uint32_t i = 0; i < k->c->nsources; i++)
		found |= names_file(k->c->sources[i], st);
	for (const char *const *path = k->c->rereads; *path; path++)
		found |= same_file(*path, st);
	for (uint32_t i = 0; k->c->haproxy && i < k->c->haproxy->nfiles; i++)
		found |= same_file(k->c->haproxy->file[i]->path.p, st);
	return found;
}

/* Do a sink, --rejects or an output before this one write to it? */
static bool is_written(const struct check *k, uint32_t outputs, const struct stat *st)
{
	bool found = k->c->rejects && same_file(k->c->rejects, st);

	for (uint32_t n = 0; n < outputs; n++)
		found |= k->output[n].path && same_file(k->output[n].path, st);
	for (uint32_t i = 0; i < k->c->nsinks; i++)
		found |= slice_starts(k->c->sinks[i], SLICE("file:")) && is_path(slice_skip(k->c->sinks[i], 5), st);
	return found;
}

/* What an earlier run found goes; whatever else is in such a file is somebody's. */
static bool empty_output(struct check *k, const struct options *o, uint32_t i, struct err *err)
{
	struct output *mine = &k->output[i];
	struct stat st;

	if (!mine->path || !mine->file || fstat(fileno(mine->file), &st) != 0 || !S_ISREG(st.st_mode))
		return true;
	if (is_written(k, i, &st))
		err_set(err, EXIT_USAGE, "this file would be written twice");
	if (is_read(k, o, &st))
		err_set(err, EXIT_USAGE, "this file is being read: it can't be written too");
	if (err->code == EXIT_DONE && ftruncate(fileno(mine->file), 0) != 0)
		err_set(err, EXIT_CONFIG, "cannot write to it: %m");
	return err->code == EXIT_DONE || err_where(err, "%s", mine->path);
}

/*
 * Files are opened before anything is read: what can't be written shows at once, and what an earlier run found is not
 * taken for what this one did, however it ends.
 */
static bool open_outputs(struct check *k, const struct options *o, struct err *err)
{
	for (const struct option_value *v = o->v[OPTION_OUTPUT].first; v; v = v->next)
		if (!open_output(k, v->text, err))
			return options_blame(v, err);
	if (!k->noutputs && !k->proposes && !open_output(k, SLICE("people"), err))
		return false;
	for (uint32_t i = 0; i < k->noutputs; i++)
		if (!empty_output(k, o, i, err))
			return false;
	return true;
}

static bool close_outputs(struct check *k)
{
	bool ok = true;

	for (uint32_t i = 0; i < k->noutputs; i++) {
		struct output *o = &k->output[i];
		bool failed = o->file && (ferror(o->file) || fflush(o->file) != 0);

		if (o->file && o->path)
			failed |= fclose(o->file) != 0;
		if (failed)
			log_error("cannot write to %s", o->path ? o->path : "standard output");
		ok &= !failed;
	}
	k->noutputs = 0;
	return ok;
}

/* ---- rules ---------------------------------------------------------------------------------------------- */

static bool read_rules(struct check *k, const struct options *o, struct err *err)
{
	const struct option_value *ok = o->v[OPTION_REJECTED_OK].first;
	uint64_t rejected_ok = 0;

	if (ok && !slice_uint(ok->text, &rejected_ok)) {
		err_at(err, EXIT_USAGE, ok->text.p, ok->text.len, 0, "expected a number of lines");
		return options_blame(ok, err);
	}
	k->rules = ruleset_new(&k->names, &k->arena);
	if (k->proposes)
		return o->v[OPTION_RULES].first || k->baseline ?
		       err_set(err, EXIT_USAGE, "--write-rules makes rules: it takes no --rules and no --baseline") :
		       propose_begin(k->rules, err);
	if (!o->v[OPTION_RULES].first && !k->baseline)
		return err_set(err, EXIT_USAGE, "haspan check wants --rules FILE, a rule a line, as in status < 500, or --baseline "
						"OLD, an older capture to compare with; --write-rules proposes rules from a good one");
	for (const struct option_value *v = o->v[OPTION_RULES].first; v; v = v->next)
		if (!ruleset_add_file(k->rules, v->text.p, err))
			return false;
	for (uint32_t i = 0; i < k->c->nsources; i++)
		if (slice_starts(k->c->sources[i], SLICE("udp://")))
			ruleset_lossy(k->rules);
	if (live_passed())
		ruleset_lossy(k->rules);
	return ruleset_close(k->rules, rejected_ok, ok != NULL, err);
}

/* ---- the verdict ---------------------------------------------------------------------------------------- */

static struct run_counts counts(struct pipeline *p)
{
	struct account a;

	pipeline_account(p, &a);
	return (struct run_counts){
		.lines = a.total.lines, .requests = a.total.requests, .merged = a.total.merged, .other = a.total.other,
		.rejected = a.total.rejected, .spans = a.total.spans, .truncated = a.total.truncated,
		.invalid_contexts = a.total.invalid_contexts, .lost = pipeline_lost(p),
	};
}

static bool begin(struct onlooker *o, struct err *err)
{
	return baseline_read(((struct check *)o)->baseline, err);
}

static int judge(struct onlooker *o, struct pipeline *p, int code)
{
	struct check *k = (struct check *)o;
	struct run_counts run = counts(p);
	struct buf sample = { .max = SAMPLE_MAX };
	struct results r = { .interrupted = pipeline_interrupted(p), .unreadable = pipeline_unreadable(p), .when_s = k->when_s, .elapsed_s = (double)(clock_ms() - k->began_ms) / 1e3,
			     .colour = k->c->export.colour, .width = k->c->export.width, .version = HASPAN_VERSION };

	pipeline_rejected(p, &sample);
	r.sample = slice_of(sample.p, sample.len);
	ruleset_judge(k->rules, &run, &r);
	if (k->baseline)
		baseline_judge(k->baseline, &r);
	if (k->proposes)
		propose_rules(stdout, &r);
	for (uint32_t i = 0; i < k->noutputs; i++)
		k->output[i].report(k->output[i].file, &r);
	buf_free(&sample);
	if (!close_outputs(k) && code < EXIT_EXPORT)
		code = EXIT_EXPORT;
	if ((k->proposes ? r.interrupted || run.requests == 0 : !r.passed) && code < EXIT_CHECK)
		code = EXIT_CHECK;
	return code;
}

int check_main(struct settings *s, int argc, char **argv)
{
	struct check k = { .c = &s->config, .began_ms = clock_ms(), .when_s = time(NULL), .onlooker = { .judge = judge } };
	const struct options *o = &s->options;
	struct err err = { 0 };
	int code;

	k.names = (struct expr_names){ .format = s->config.formats.v, .nformats = s->config.formats.n,
				       .no_routes = s->config.rules.nroutes == 0 };
	k.proposes = o->v[OPTION_WRITE_RULES].first != NULL;
	/* Trees stand indented below their rule. */
	tree_setup(k.c->export.colour, k.c->export.width - 4);
	/* The files first: what an earlier run found in them must not stay where this one finds a mistake in the rules. */
	if (!open_outputs(&k, o, &err) || !baseline_new(k.c, o, &k.baseline, &err) || !read_rules(&k, o, &err)) {
		err_print(&err);
		code = (int)err.code;
	} else {
		k.onlooker.watcher[0] = ruleset_watcher(k.rules);
		if (k.baseline) {
			k.onlooker.watcher[1] = baseline_watcher(k.baseline);
			k.onlooker.begin = begin;
		}
		code = control_run(s, argc, argv, &k.onlooker);
	}
	close_outputs(&k);
	ruleset_free(k.rules);
	baseline_free(k.baseline);
	arena_free(&k.arena);
	return code;
}
