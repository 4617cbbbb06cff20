/*
 * parse/formats.c - the formats of a run: built-in ones, and what --format names.
 */
#include "parse/parse.h"
#include "parse/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const struct {
	struct slice name, text;
	bool automatic;
} builtin[] = {
#define BUILTIN(name, automatic, since, text, sample) \
	{ { name, sizeof(name) - 1 }, { text, sizeof(text) - 1 }, automatic },
#include "formats/builtin.def"
#undef BUILTIN
};

#define BUILTINS (sizeof(builtin) / sizeof(builtin[0]))

static const struct { struct slice name; enum object_kind kind; const char *what; } generic[] = {
	{ { "json", 4 }, OBJECT_JSON, "members that are aliases or words, in any order" },
	{ { "cbor", 4 }, OBJECT_CBOR, "the same as CBOR, in hexadecimal or bytes" },
	{ { "keyvalue", 8 }, OBJECT_KEYVALUE, "the same as key=value key=\"value\" key=[value]" },
};

#define GENERICS (sizeof(generic) / sizeof(generic[0]))

struct slice formats_builtin(struct slice name)
{
	for (size_t i = 0; i < BUILTINS; i++)
		if (slice_eq(builtin[i].name, name))
			return builtin[i].text;
	return slice_of("", 0);
}

struct format *format_make(struct formats *set, struct slice name, struct slice text, const struct naming *naming,
			   const struct format *steps, struct err *err)
{
	struct format *f = arena_alloc(set->arena, sizeof(*f));

	f->name = arena_copy(set->arena, name);
	text = arena_copy(set->arena, text);
	if (steps) {
		f->extra = arena_alloc(set->arena, EXTRAS_MAX * sizeof(*f->extra));
		if (steps->nextra)
			memcpy(f->extra, steps->extra, steps->nextra * sizeof(*f->extra));
		f->nextra = f->nshared = steps->nextra;
	}
	if (slice_starts(text, SLICE("re:")) ? !regex_compile(f, slice_skip(text, 3), naming, set->arena, err) :
					       !program_compile(f, text, naming, set->arena, err))
		return NULL;
	return steps || format_complete(f, err) ? f : NULL;
}

bool formats_append(struct formats *set, struct format *f, struct err *err)
{
	if (set->n == FORMATS_MAX)
		return err_set(err, EXIT_CONFIG, "more than %d formats", FORMATS_MAX);
	set->order[set->norder++] = (uint16_t)set->n;
	set->v[set->n++] = f;
	return true;
}

static bool add(struct formats *set, struct slice name, struct slice text, const struct naming *naming,
		struct err *err)
{
	struct format *f = format_make(set, name, text, naming, NULL, err);

	if (f)
		f->behind = set->frontends != NULL;
	return f && formats_append(set, f, err);
}

void formats_own(struct formats *set)
{
	if (set->nfirst + 1 == set->n)
		set->nfirst = set->n <= FORMATS_FIRST ? set->n : 0;
}

void formats_learn(struct formats *set, const uint32_t *matches)
{
	/* Insertion keeps the order of equals; a run has few formats that match anything. */
	for (uint32_t i = 1; i < set->norder; i++) {
		uint16_t f = set->order[i];
		uint32_t k = i;

		for (; k > 0 && matches[set->order[k - 1]] < matches[f]; k--)
			set->order[k] = set->order[k - 1];
		set->order[k] = f;
	}
}

/* ---- is it the same? ------------------------------------------------------------------------------------- */

static bool same_captures(const struct format *a, const struct format *b)
{
	for (int side = 0; side < CAPTURE_SIDES; side++) {
		if (a->ncap[side] != b->ncap[side])
			return false;
		for (uint32_t i = 0; i < a->ncap[side]; i++) {
			const struct capture *x = &a->cap[side][i], *y = &b->cap[side][i];

			if (!slice_eq(x->name, y->name) || !slice_eq(x->key, y->key) || x->slot != y->slot)
				return false;
		}
	}
	return true;
}

static bool same_extras(const struct format *a, const struct format *b)
{
	if (a->nextra != b->nextra)
		return false;
	for (uint32_t i = 0; i < a->nextra; i++)
		if (!slice_eq(a->extra[i].name, b->extra[i].name) || !slice_eq(a->extra[i].key, b->extra[i].key) ||
		    a->extra[i].type != b->extra[i].type)
			return false;
	return true;
}

static bool same_format(const struct format *a, const struct format *b)
{
	return slice_eq(a->name, b->name) && slice_eq(a->text, b->text) && a->mode == b->mode && a->step == b->step &&
	       a->chosen_id == b->chosen_id && a->behind == b->behind && memcmp(a->slots, b->slots, sizeof(a->slots)) == 0 &&
	       a->nprog == b->nprog && a->nvariants == b->nvariants && same_captures(a, b) && same_extras(a, b);
}

bool formats_same(const struct formats *a, const struct formats *b)
{
	bool same = a->n == b->n && a->nfirst == b->nfirst && a->norder == b->norder && a->nplanned == b->nplanned && a->log_len == b->log_len;

	for (uint32_t i = 0; same && i < a->n; i++)
		same = same_format(a->v[i], b->v[i]);
	for (uint32_t i = 0; same && i < a->nplanned; i++)
		same = same_format(a->planned[i], b->planned[i]);
	return same;
}

bool formats_add_auto(struct formats *set, const struct naming *naming, struct err *err)
{
	for (size_t i = 0; i < BUILTINS; i++)
		if (builtin[i].automatic && !add(set, builtin[i].name, builtin[i].text, naming, err))
			return false;
	for (size_t i = 0; i < GENERICS; i++)
		if (!formats_append(set, generic_format(set, generic[i].kind, naming), err))
			return false;
	return true;
}

static bool add_line(struct formats *set, struct slice line, const char *path, unsigned number,
		     const struct naming *naming, struct err *err)
{
	char name[288];

	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	if (slice_trim(line).len == 0 || *line.p == '#')
		return true;
	snprintf(name, sizeof(name), "%.256s:%u", path, number);
	if (add(set, slice_str(name), line, naming, err)) {
		formats_own(set);
		return true;
	}
	err->line = number;
	return err_where(err, "%s", path);
}

/* A format a line, `#` comments. */
static bool add_file(struct formats *set, const char *path, const struct naming *naming, struct err *err)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	unsigned number = 0;
	ssize_t n;
	bool ok = true;

	if (!file)
		return err_set(err, EXIT_CONFIG, "cannot open the format file %s: %m", path);
	while (ok && (n = getline(&line, &cap, file)) >= 0) {
		n -= n && line[n - 1] == '\n';
		ok = add_line(set, slice_of(line, (size_t)n), path, ++number, naming, err);
	}
	free(line);
	fclose(file);
	return ok;
}

static bool unknown(struct slice arg, struct err *err)
{
	char names[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < BUILTINS; i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, " %s", builtin[i].name.p);
	for (size_t i = 0; i < GENERICS; i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, " %s", generic[i].name.p);
	return err_at(err, EXIT_CONFIG, arg.p, arg.len, 0,
		      "no format has this name, no file either, and it is no log-format (no %%): expected auto%s, "
		      "re:PATTERN, a file, or a text with %%-aliases", names);
}

/* Pasted with what stands around it in haproxy.cfg, a format would match nothing. */
static bool is_bare(struct slice text, struct err *err)
{
	size_t quotes = 0;

	if (slice_starts(text, SLICE("log-format ")) || slice_starts(text, SLICE("error-log-format ")))
		return err_at(err, EXIT_CONFIG, text.p, text.len, 0,
			      "expected the text of the format alone, without the keyword");
	for (size_t i = 0; i < text.len; i++)
		quotes += text.p[i] == *text.p && (i == 0 || text.p[i - 1] != '\\');
	if ((*text.p == '"' || *text.p == '\'') && text.p[text.len - 1] == *text.p && quotes == 2)
		return err_at(err, EXIT_CONFIG, text.p, text.len, 0,
			      "expected the text of the format alone, without the quotes of haproxy.cfg around it");
	return true;
}

bool formats_add(struct formats *set, struct slice arg, const struct naming *naming, struct err *err)
{
	char path[4096], name[32];
	struct stat st;

	if (slice_eq(arg, SLICE("auto")))
		return formats_add_auto(set, naming, err);
	for (size_t i = 0; i < BUILTINS; i++)
		if (slice_eq(builtin[i].name, arg))
			return add(set, arg, builtin[i].text, naming, err);
	for (size_t i = 0; i < GENERICS; i++)
		if (slice_eq(generic[i].name, arg))
			return formats_append(set, generic_format(set, generic[i].kind, naming), err);
	snprintf(path, sizeof(path), "%.*s", (int)(arg.len < sizeof(path) ? arg.len : 0), arg.p);
	if (!slice_starts(arg, SLICE("re:")) && slice_find(arg, '%') == arg.len)
		return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? add_file(set, path, naming, err) :
								     unknown(arg, err);
	if (!is_bare(arg, err))
		return false;
	snprintf(name, sizeof(name), "format %u", set->n + 1);
	if (!add(set, slice_str(name), arg, naming, err))
		return false;
	formats_own(set);
	return true;
}

/* ---- steps --------------------------------------------------------------------------------------------- */

/* What `f` has goes to what all of them have together. */
static void unite(struct format *whole, const struct format *f)
{
	for (int word = 0; word < 2; word++) {
		whole->slots[word] |= f->slots[word];
		whole->every[word] &= f->slots[word];
	}
	for (uint32_t k = 0; k < f->nextra; k++) {
		uint32_t i = 0;

		while (i < whole->nextra && !slice_eq(whole->extra[i].key, f->extra[k].key))
			i++;
		if (i == whole->nextra && i < EXTRAS_MAX)
			whole->extra[whole->nextra++] = f->extra[k];
	}
	for (int side = 0; side < CAPTURE_SIDES; side++)
		if (whole->ncap[side] < f->ncap[side]) {
			whole->cap[side] = f->cap[side];
			whole->ncap[side] = f->ncap[side];
		}
	if (f->mode == MODE_HTTP)
		whole->mode = MODE_HTTP;
}

static bool tells_step(const struct format *f)
{
	return format_has(f, SLOT_OG) && f->mode != MODE_ERROR && !f->whole && !f->nvariants;
}

struct format *formats_families(struct formats *set)
{
	struct format *whole = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->n; i++)
		n += tells_step(set->v[i]);
	if (n < 2)
		return NULL;
	whole = arena_alloc(set->arena, sizeof(*whole));
	whole->name = SLICE("steps");
	whole->mode = MODE_TCP;
	whole->every[0] = whole->every[1] = UINT64_MAX;
	whole->extra = arena_alloc(set->arena, EXTRAS_MAX * sizeof(*whole->extra));
	for (uint32_t i = 0; i < set->n; i++)
		if (tells_step(set->v[i])) {
			unite(whole, set->v[i]);
			set->v[i]->whole = whole;
		}
	return whole;
}

/* ---- haspan formats ---------------------------------------------------------------------------------- */

void formats_print(void)
{
	static const struct {
		const char *name, *since, *text, *sample;
	} rows[] = {
#define BUILTIN(name, automatic, since, text, sample) { name, since, text, sample },
#include "formats/builtin.def"
#undef BUILTIN
	};

	printf("Formats (--format NAME)\n");
	for (size_t i = 0; i < BUILTINS; i++)
		printf("\n%s (HAProxy %s+)%s\n  %s\n  e.g. %s\n", rows[i].name, rows[i].since,
		       builtin[i].automatic ? "" : ", only when named", rows[i].text, rows[i].sample);
	for (size_t i = 0; i < GENERICS; i++)
		printf("\n%s\n  %s\n", generic[i].name.p, generic[i].what);
	printf("\nFields (aliases of log-format, and names for --map and groups of re:)\n\n");
	for (int s = 0; s < SLOT_MAX; s++)
		if (slot_info[s].name.len)
			printf("  %s%-16s %-5s %s\n", s < SLOT_accept_us ? "%" : " ", slot_info[s].name.p,
			       slot_info[s].since.p, slot_info[s].meaning.p);
	words_print();
}
