#include "misuse.h"

#include <unistd.h>

/* ---- flags that do nothing here ------------------------------------------------------------------------- */

static bool is_run(const char *command)
{
	return strcmp(command, "run") == 0;
}

static bool asks_stats(const struct options *o)
{
	for (const struct option_value *v = o->v[OPTION_TO].first; v; v = v->next)
		if (slice_eq(v->text, SLICE("stats")))
			return true;
	return false;
}

/* What would have to be there for this option to do something; NULL: it is there. */
static const char *lacks(const struct options *o, enum option_id id)
{
	bool reads = is_run(o->command) || strcmp(o->command, "check") == 0;

	if (id >= OPTION_RULES && id <= OPTION_WRITE_RULES && strcmp(o->command, "check") != 0)
		return "this is of haspan check, as in: haspan check --rules FILE haproxy.log";
	if ((id == OPTION_FIX || id == OPTION_JSON) && strcmp(o->command, "doctor") != 0)
		return "this is of haspan doctor, as in: haspan doctor haproxy.cfg";
	if ((id == OPTION_BY || id == OPTION_TOP) && !(reads && asks_stats(o)))
		return reads ? "this is of stats: add --to stats" :
			       "this is of stats, as in: haspan --to stats haproxy.log";
	return NULL;
}

bool misuse_flags(const struct options *o, struct err *err)
{
	for (int id = 0; id < OPTION_MAX; id++) {
		const char *why = o->v[id].level == LEVEL_FLAG ? lacks(o, (enum option_id)id) : NULL;

		if (why) {
			err_set(err, EXIT_USAGE, "%s", why);
			return options_blame(o->v[id].first, err);
		}
	}
	return true;
}

/* ---- words ----------------------------------------------------------------------------------------------- */

/* How many bytes both begin with. */
static size_t common(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

/* The command that shares the longest beginning with the word, of two bytes at least; NULL: none does. */
static const char *near_command(const char *word)
{
	const char *best = NULL;
	size_t most = 1;

	for (size_t i = 0; options_command(i); i++)
		if (common(word, options_command(i)) > most) {
			best = options_command(i);
			most = common(word, best);
		}
	return best;
}

static bool is_option(const char *word)
{
	for (int id = 0; id < OPTION_MAX; id++)
		if (strcmp(options_row((enum option_id)id)->name, word) == 0)
			return true;
	return false;
}

bool misuse_word(const struct options *o, struct err *err)
{
	const char *word = o->noperands ? o->operands[0] : "-", *near;

	if (!is_run(o->command) || strspn(word, "abcdefghijklmnopqrstuvwxyz") != strlen(word) || access(word, F_OK) == 0)
		return true;
	near = near_command(word);
	if (strcmp(word, "stats") == 0 || strcmp(word, "tree") == 0 || strcmp(word, "null") == 0)
		err_set(err, EXIT_INPUT, "no such file, and no such command: did you mean --to %s?", word);
	else if (is_option(word))
		err_set(err, EXIT_INPUT, "no such file, and no such command: did you mean --%s?", word);
	else if (near)
		err_set(err, EXIT_INPUT, "no such file, and no such command: did you mean haspan %s?", near);
	else
		err_set(err, EXIT_INPUT, "no such file, and no such command: haspan has run, check, doctor, explain, formats, "
			"completion and help");
	return err_where(err, "%s", word);
}

bool misuse_waits(const struct options *o)
{
	return o->noperands == 0 && !o->v[OPTION_FROM].first && isatty(STDIN_FILENO);
}
