/*
 * parse/haproxy_cfg.c - files and folders to sections and directives.
 */
#include "parse/cfg_lex.h"
#include "parse/cfg_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- notes --------------------------------------------------------------------------------------------- */

void cfg_note(struct cfg *cfg, struct cfg_place place, const char *fmt, ...)
{
	struct cfg_note *note;
	char text[512];
	va_list args;
	int n;

	if (cfg->nnotes == CFG_NOTES_MAX)
		return;
	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	note = arena_alloc(cfg->arena, sizeof(*note));
	*note = (struct cfg_note){ place, arena_copy(cfg->arena, slice_of(text, n < 0 ? 0 : strlen(text))), NULL };
	*cfg->note_end = note;
	cfg->note_end = &note->next;
	cfg->nnotes++;
}

/* ---- one file ------------------------------------------------------------------------------------------ */

/* The states of an .if (HAProxy's nested_conds): is this branch taken, may a later one be? */
enum branch {
	BRANCH_TAKEN, BRANCH_NOT_YET, BRANCH_DONE,
	BRANCH_ELSE = 4,		/* flag: behind .else */
};

struct reader {
	struct cfg *cfg;
	struct err *err;
	struct cfg_lexer lexer;
	const struct cfg_file *file;
	struct cfg_section *section;		/* the current one; NULL at the start of a file */
	const struct cfg_directive **directive_end;
	const struct cfg_section **section_end;
	const struct cfg_section *defaults;	/* the last one */
	unsigned line;
	struct slice text;			/* of the line */
	enum branch branch[CFG_NEST_MAX + 1];
	unsigned depth;
	bool lost;				/* a note said that lines stand outside any section */
};

static struct cfg_place here(const struct reader *r)
{
	return (struct cfg_place){ r->file, r->line };
}

static bool skipping(const struct reader *r)
{
	return r->depth && (r->branch[r->depth] & 3) != BRANCH_TAKEN;
}

/* ---- .if ------------------------------------------------------------------------------------------------- */

static bool condition(struct reader *r)
{
	const struct cfg_lexer *lx = &r->lexer;
	struct slice text = { "", 0 };
	bool truth, guessed;
	const char *wrong;

	/* The words are one behind the other in the lexer's buffer: joined by blanks they are the expression. */
	if (lx->n > 1) {
		const struct slice *last = &lx->word[lx->n - 1];
		char *at = lx->out + (lx->word[1].p - lx->out);

		text = slice_to(at, last->p + last->len);
		for (size_t i = 0; i < text.len; i++)
			if (!at[i])
				at[i] = ' ';
	}
	wrong = cfg_condition(lx, text, &truth, &guessed);
	if (wrong)
		cfg_note(r->cfg, here(r), "the condition can't be read (%s): it is taken as false", wrong);
	else if (guessed)
		cfg_note(r->cfg, here(r), "this depends on the HAProxy that runs: it is taken as %s, as the newest one "
			 "with all features would", truth ? "true" : "false");
	return truth && !wrong;
}

/* .if, .elif, .else, .endif and messages: false when the line is none of them. */
static bool macro(struct reader *r)
{
	struct slice word = r->lexer.word[0];
	enum branch *b = &r->branch[r->depth];

	if (*word.p != '.')
		return false;
	if (slice_eq(word, SLICE(".if"))) {
		if (r->depth == CFG_NEST_MAX) {
			cfg_note(r->cfg, here(r), "more nested .if than HAProxy takes");
			return true;
		}
		/* Within a branch that is left out nothing is looked at. */
		b[1] = skipping(r) ? BRANCH_DONE : condition(r) ? BRANCH_TAKEN : BRANCH_NOT_YET;
		r->depth++;
	} else if (r->depth && slice_eq(word, SLICE(".elif"))) {
		*b = *b == BRANCH_NOT_YET && condition(r) ? BRANCH_TAKEN : *b == BRANCH_NOT_YET ? *b : BRANCH_DONE;
	} else if (r->depth && slice_eq(word, SLICE(".else"))) {
		*b = (*b == BRANCH_NOT_YET ? BRANCH_TAKEN : BRANCH_DONE) | BRANCH_ELSE;
	} else if (r->depth && slice_eq(word, SLICE(".endif"))) {
		r->depth--;
	} else if (!slice_eq(word, SLICE(".diag")) && !slice_eq(word, SLICE(".notice")) &&
		   !slice_eq(word, SLICE(".warning")) && !slice_eq(word, SLICE(".alert")) && !skipping(r)) {
		cfg_note(r->cfg, here(r), "%s has no .if before it, or is unknown", word.p);
	}
	return true;
}

/* ---- sections and directives ----------------------------------------------------------------------------- */

static const struct {
	const char *keyword;
	enum cfg_kind kind;
} sections[] = {
	{ "global", CFG_GLOBAL }, { "defaults", CFG_DEFAULTS }, { "frontend", CFG_FRONTEND },
	{ "listen", CFG_LISTEN }, { "backend", CFG_BACKEND }, { "log-profile", CFG_LOG_PROFILE },
	{ "ring", CFG_RING }, { "peers", CFG_OTHER }, { "resolvers", CFG_OTHER }, { "mailers", CFG_OTHER },
	{ "userlist", CFG_OTHER }, { "cache", CFG_OTHER }, { "program", CFG_OTHER }, { "http-errors", CFG_OTHER },
	{ "fcgi-app", CFG_OTHER }, { "log-forward", CFG_OTHER }, { "crt-store", CFG_OTHER },
	{ "traces", CFG_OTHER }, { "acme", CFG_OTHER }, { "namespace_list", CFG_OTHER },
};

/* The defaults section that `from NAME` means: the last of that name. */
static const struct cfg_section *named_defaults(struct reader *r, struct slice name)
{
	const struct cfg_section *found = NULL;

	for (const struct cfg_section *s = r->cfg->section; s; s = s->next)
		if (s->kind == CFG_DEFAULTS && s != r->section && slice_eq(s->name, name))
			found = s;
	if (!found)
		cfg_note(r->cfg, here(r), "no defaults section before has the name %s", name.p);
	return found;
}

/* `KEYWORD [NAME] [from DEFAULTS]` */
static void open_section(struct reader *r, enum cfg_kind kind)
{
	const struct slice *word = r->lexer.word;
	struct cfg_section *s = arena_alloc(r->cfg->arena, sizeof(*s));
	bool proxy = kind == CFG_FRONTEND || kind == CFG_LISTEN || kind == CFG_BACKEND;
	bool nameless = r->lexer.n < 2 || (kind == CFG_DEFAULTS && r->lexer.n == 3 &&
					   slice_eq(word[1], SLICE("from")));
	uint32_t from = nameless ? 1 : 2;

	*s = (struct cfg_section){
		.kind = kind, .keyword = arena_copy(r->cfg->arena, word[0]), .place = here(r), .last_line = r->line,
		.name = nameless ? SLICE("") : arena_copy(r->cfg->arena, word[1]), .indent = SLICE("    "),
		.from = proxy ? r->defaults : NULL,
	};
	r->section = s;
	r->directive_end = &s->first;
	r->lexer.section = s->name.len ? s->name : s->keyword;
	if ((proxy || kind == CFG_DEFAULTS) && r->lexer.n > from + 1 && slice_eq(word[from], SLICE("from")))
		s->from = named_defaults(r, word[from + 1]);
	*r->section_end = s;
	r->section_end = &s->next;
	if (kind == CFG_DEFAULTS)
		r->defaults = s;
	if (proxy && nameless)
		cfg_note(r->cfg, here(r), "a %s without a name", word[0].p);
}

/* setenv and its like work on the lines behind them. */
static void environment(struct reader *r, const struct cfg_directive *d)
{
	struct slice value;

	if (cfg_is(d, 0, "setenv") && d->n > 2)
		cfg_setenv(&r->lexer, d->word[1], d->word[2], true);
	else if (cfg_is(d, 0, "presetenv") && d->n > 2 && !cfg_env(&r->lexer, d->word[1], &value))
		cfg_setenv(&r->lexer, d->word[1], d->word[2], true);
	else if (cfg_is(d, 0, "unsetenv"))
		for (uint32_t i = 1; i < d->n; i++)
			cfg_setenv(&r->lexer, d->word[i], slice_of("", 0), false);
}

static struct slice indent_of(struct slice line)
{
	size_t n = 0;

	while (n < line.len && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	return slice_of(line.p, n);
}

static void add_directive(struct reader *r)
{
	struct arena *arena = r->cfg->arena;
	const struct slice *in = r->lexer.word;
	uint32_t n = r->lexer.n;
	struct cfg_directive *d = arena_alloc(arena, sizeof(*d));
	struct slice *word;

	*d = (struct cfg_directive){ .place = here(r), .section = r->section };
	if (n > 1 && (slice_eq(in[0], SLICE("no")) || slice_eq(in[0], SLICE("default")))) {
		d->no = in[0].len == 2;
		d->reset = !d->no;
		in++;
		n--;
	}
	d->word = word = arena_alloc(arena, n * sizeof(*word));
	d->n = n;
	for (uint32_t i = 0; i < n; i++)
		word[i] = arena_copy(arena, in[i]);
	if (!r->section->first)
		r->section->indent = indent_of(r->text);
	r->section->last_line = r->line;
	*r->directive_end = d;
	r->directive_end = &d->next;
	if (r->section->kind == CFG_GLOBAL)
		environment(r, d);
	if (r->lexer.unset.len && cfg_wanted(word[0]))
		cfg_note(r->cfg, here(r), "the variable %.*s is not set here: if HAProxy has it, give it to haspan too",
			 (int)(r->lexer.unset.len < 200 ? r->lexer.unset.len : 200), r->lexer.unset.p);
}

/* A line that can't be cut into words: an error when what it says is wanted. */
static bool unreadable(struct reader *r, const char *wrong, size_t at)
{
	bool wanted = r->lexer.n == 0 || cfg_wanted(r->lexer.word[r->lexer.n > 1 && slice_eq(r->lexer.word[0],
										       SLICE("no"))]);

	if (!wanted || skipping(r)) {
		cfg_note(r->cfg, here(r), "column %zu: %s: the line is ignored", at + 1, wrong);
		return true;
	}
	err_at(r->err, EXIT_CONFIG, r->text.p, r->text.len, at, "%s", wrong);
	r->err->line = r->line;
	return err_where(r->err, "%s", r->file->path.p);
}

static bool read_line(struct reader *r)
{
	struct slice start = slice_trim(r->text);
	const char *wrong;
	size_t at;

	if (start.len == 0 || *start.p == '#' || *start.p == '[')	/* a scope, of which HAProxy says nothing */
		return true;
	r->lexer.line = r->line;
	wrong = cfg_lex(&r->lexer, r->text, &at);
	if (wrong)
		return unreadable(r, wrong, at);
	if (r->lexer.n == 0 || r->lexer.word[0].len == 0 || macro(r) || skipping(r))
		return true;
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (slice_eq(r->lexer.word[0], slice_str(sections[i].keyword))) {
			open_section(r, sections[i].kind);
			return true;
		}
	if (r->section) {
		add_directive(r);
	} else if (!r->lost) {
		cfg_note(r->cfg, here(r), "expected a section such as global, defaults or frontend");
		r->lost = true;
	}
	return true;
}

static bool read_text(struct reader *r)
{
	struct slice rest = r->file->text;
	bool ok = true;

	/* A section ends with its file (section 2.1). */
	r->section = NULL;
	r->depth = 0;
	r->line = 0;
	r->lost = false;
	r->lexer.file = r->file->path;
	r->lexer.section = slice_of("", 0);
	while (ok && rest.len) {
		r->text = slice_cut(&rest, '\n');
		r->line++;
		ok = read_line(r);
	}
	if (ok && r->depth)
		cfg_note(r->cfg, here(r), "an .if without its .endif");
	return ok;
}

/* ---- files and folders ----------------------------------------------------------------------------------- */

static bool cannot(struct reader *r, const char *path, const char *what)
{
	err_set(r->err, EXIT_CONFIG, "%s", what);
	return err_where(r->err, "%s", path);
}

static bool slurp(struct reader *r, const char *path, struct slice *text)
{
	FILE *file = fopen(path, "re");
	size_t cap = 0, len = 0, n = 1;
	char *p = NULL;
	bool failed;

	if (!file) {
		err_set(r->err, EXIT_CONFIG, "cannot open the configuration of HAProxy: %m");
		return err_where(r->err, "%s", path);
	}
	while (n && len <= CFG_FILE_MAX) {
		if (len == cap && !(p = realloc(p, cap = cap ? 2 * cap : 64 * 1024)))
			abort();
		n = fread(p + len, 1, cap - len, file);
		len += n;
	}
	failed = ferror(file) != 0;
	fclose(file);
	*text = arena_copy(r->cfg->arena, slice_of(p, len));
	free(p);
	return failed ? cannot(r, path, "cannot read the configuration of HAProxy") :
	       len > CFG_FILE_MAX ? cannot(r, path, "this is too large for a configuration of HAProxy") : true;
}

static bool read_file(struct reader *r, struct slice path)
{
	struct cfg_file *f = arena_alloc(r->cfg->arena, sizeof(*f));

	f->path = arena_copy(r->cfg->arena, path);
	if (r->cfg->nfiles == CFG_FILES_MAX)
		return cannot(r, f->path.p, "too many files");
	if (!slurp(r, f->path.p, &f->text))
		return false;
	for (size_t i = 0; i < f->text.len; i++)
		f->lines += f->text.p[i] == '\n' || i + 1 == f->text.len;
	r->file = f;
	r->cfg->file[r->cfg->nfiles++] = f;
	return read_text(r);
}

static int is_cfg(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 4 && *e->d_name != '.' && strcmp(e->d_name + n - 4, ".cfg") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* HAProxy reads of a folder what ends in .cfg and is not hidden, in the order of the names (management guide, -f). */
static bool read_folder(struct reader *r, const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, is_cfg, by_bytes);
	bool ok = n > 0;
	char name[4096];

	if (n < 0)
		return cannot(r, path, "cannot read this folder");
	if (n == 0)
		cannot(r, path, "no file in this folder ends in .cfg");
	for (int i = 0; i < n; i++) {
		int len = snprintf(name, sizeof(name), "%s/%s", path, list[i]->d_name);

		ok = ok && len > 0 && (size_t)len < sizeof(name) && read_file(r, slice_str(name));
		free(list[i]);
	}
	free(list);
	return ok;
}

bool cfg_read(struct cfg *cfg, const struct slice *paths, uint32_t n, struct arena *arena, struct err *err)
{
	struct reader r = { .cfg = cfg, .err = err, .lexer.arena = arena };
	bool ok = true;

	*cfg = (struct cfg){ .arena = arena };
	cfg->note_end = &cfg->note;
	cfg->file = arena_alloc(arena, CFG_FILES_MAX * sizeof(*cfg->file));
	r.section_end = &cfg->section;
	r.lexer.out = malloc(CFG_LINE_MAX);
	if (!r.lexer.out)
		return err_set(err, EXIT_CONFIG, "out of memory");
	for (uint32_t i = 0; i < n && ok; i++) {
		struct slice path = arena_copy(arena, paths[i]);
		struct stat st;

		ok = stat(path.p, &st) == 0 && S_ISDIR(st.st_mode) ? read_folder(&r, path.p) : read_file(&r, path);
	}
	free(r.lexer.out);
	if (ok)
		cfg_model(cfg);
	return ok;
}
