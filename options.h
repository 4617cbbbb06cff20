/*
 * options.h - the values of all options, from flags, HASPAN_* variables and the configuration file. What they
 * mean is config.c's.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "core/arena.h"
#include "core/err.h"

enum option_id {
#define SECTION(title, first)
#define OPTION(id, name, letter, arg, many, help, otherwise) OPTION_##id,
#include "cli.def"
#undef OPTION
#undef SECTION
	OPTION_MAX
};

/* Who said it; a higher level wins (haspan(1)). */
enum level { LEVEL_NONE, LEVEL_OTEL, LEVEL_FILE, LEVEL_ENV, LEVEL_FLAG };

struct option_value {
	struct slice text;	/* NUL-terminated */
	const char *where;	/* "--format", "HASPAN_FORMAT", "haspan.conf" */
	unsigned line;		/* of a file, else 0 */
	unsigned order;		/* which of all values it was, in the order in which they were read */
	unsigned column;	/* how many bytes of that line stand before the text */
	struct option_value *next;
};

/* Zero it before use. All memory is the arena's. */
struct options {
	struct arena *arena;
	struct {
		enum level level;
		struct option_value *first, *last;
	} v[OPTION_MAX];
	unsigned nvalues;			/* read so far */
	const char *command;			/* "run" when none was named */
	char **operands;			/* what is left; lent by argv */
	int noperands;
};

/* Read flags, then the file of --config, then the environment. false: `err` filled (EXIT_USAGE, EXIT_CONFIG). */
bool options_read(struct options *o, int argc, char **argv, struct err *err);

/* Set `text` for an option at `level`, if no higher one has spoken; a lower one is forgotten. */
void options_add(struct options *o, enum option_id id, enum level level, const char *text, const char *where,
		 unsigned line);

/* The text of a ONE option, or NULL. */
const char *options_text(const struct options *o, enum option_id id);

/* Say in `err` that the value `v` is the one at fault; always false. */
bool options_blame(const struct option_value *v, struct err *err);

/* A row of cli.def. */
struct option_row {
	const char *name;
	char letter;			/* or '\0' */
	const char *arg;		/* as --help names it; NULL: it takes none */
	int many;
	const char *help, *otherwise;	/* `otherwise`: the default; may be NULL */
};

/* Lent for ever. */
const struct option_row *options_row(enum option_id id);

/* The words that may stand first, from 0; NULL: there are no more. */
const char *options_command(size_t i);

/* Does this command take that option? */
bool options_takes(const char *command, enum option_id id);

/* The screen of --help, of all or of a command that has one of its own; and the page in man(7)'s language. */
void options_help(const char *command);
void options_man(void);

#endif
