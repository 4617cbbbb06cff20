#include "options.h"

#include "core/limits.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { ONE, MANY };

static const struct option_row rows[OPTION_MAX] = {
#define SECTION(title, first)
#define OPTION(id, name, letter, arg, many, help, otherwise) \
	[OPTION_##id] = { name, letter, arg, many, help, otherwise },
#include "cli.def"
#undef OPTION
#undef SECTION
};

static const char *const commands[] = { "run", "check", "doctor", "explain", "formats", "completion", "help" };

/* ---- values ------------------------------------------------------------------------------------------ */

void options_add(struct options *o, enum option_id id, enum level level, const char *text, const char *where,
		 unsigned line)
{
	struct option_value *v;

	if (level < o->v[id].level)
		return;
	if (!rows[id].arg && id != OPTION_HELP && (strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0 ||
						   strcasecmp(text, "no") == 0))
		return;
	if (level > o->v[id].level || rows[id].many == ONE)
		o->v[id].first = o->v[id].last = NULL;
	v = arena_alloc(o->arena, sizeof(*v));
	*v = (struct option_value){ .text = arena_copy(o->arena, slice_str(text)), .where = where, .line = line,
				    .order = o->nvalues++ };
	if (o->v[id].last)
		o->v[id].last->next = v;
	else
		o->v[id].first = v;
	o->v[id].last = v;
	o->v[id].level = level;
}

const char *options_text(const struct options *o, enum option_id id)
{
	return o->v[id].first ? o->v[id].first->text.p : NULL;
}

bool options_blame(const struct option_value *v, struct err *err)
{
	if (!err->where[0])
		err->line = v->line;
	if (!err->where[0] && err->column)
		err->column += v->column;
	if (v->line && err->code == EXIT_USAGE)		/* it stands in the configuration */
		err->code = EXIT_CONFIG;
	return err_where(err, "%s", v->where);
}

static int find(struct slice name)
{
	for (int id = 0; id < OPTION_MAX; id++)
		if (slice_eq(slice_str(rows[id].name), name))
			return id;
	return -1;
}

/* ---- flags ------------------------------------------------------------------------------------------- */

static const char *flag_name(struct options *o, int id)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s", rows[id].name);
	return arena_copy(o->arena, slice_str(name)).p;
}

static void fill_getopt(struct option longs[], char *shorts)
{
	size_t n = 0;

	shorts[n++] = ':';
	for (int id = 0; id < OPTION_MAX; id++) {
		/* --help=man prints the manual page's source */
		longs[id].name = rows[id].name;
		longs[id].has_arg = id == OPTION_HELP ? optional_argument : rows[id].arg ? required_argument : no_argument;
		longs[id].flag = NULL;
		longs[id].val = 256 + id;
		if (rows[id].letter) {
			shorts[n++] = rows[id].letter;
			if (rows[id].arg)
				shorts[n++] = ':';
		}
	}
	shorts[n] = '\0';
}

static int by_letter(int letter)
{
	for (int id = 0; id < OPTION_MAX; id++)
		if (rows[id].letter == letter)
			return id;
	return -1;
}

/* The option that a mistyped one most resembles: shares the longest beginning. */
static bool unknown_flag(const char *given, struct err *err)
{
	const char *name = given + strspn(given, "-");
	int best = -1;
	size_t most = 1;

	for (int id = 0; id < OPTION_MAX; id++) {
		size_t n = 0;

		while (name[n] && name[n] != '=' && name[n] == rows[id].name[n])
			n++;
		if (n > most) {
			most = n;
			best = id;
		}
	}
	if (best >= 0)
		return err_set(err, EXIT_USAGE, "unknown option %s: did you mean --%s? (haspan --help lists all)", given,
			       rows[best].name);
	return err_set(err, EXIT_USAGE, "unknown option %s: haspan --help lists all", given);
}

static bool read_flags(struct options *o, int argc, char **argv, struct err *err)
{
	struct option longs[OPTION_MAX + 1] = { 0 };
	char shorts[2 * OPTION_MAX + 2];
	int c, id;

	fill_getopt(longs, shorts);
	opterr = optind = 0;		/* 0: from the beginning, as for a new configuration (glibc) */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == ':')
			return err_set(err, EXIT_USAGE, "%s wants a value", argv[optind - 1]);
		id = c >= 256 ? c - 256 : by_letter(c);
		if (c == '?' || id < 0) {
			char letter[3] = { '-', (char)optopt, 0 };

			return unknown_flag(optopt && optopt < 256 ? letter : argv[optind - 1], err);
		}
		options_add(o, (enum option_id)id, LEVEL_FLAG, optarg ? optarg : "true", flag_name(o, id), 0);
	}
	o->operands = argv + optind;
	o->noperands = argc - optind;
	return true;
}

/* ---- environment --------------------------------------------------------------------------------------- */

static void read_environment(struct options *o)
{
	for (int id = 0; id < OPTION_MAX; id++) {
		char name[64] = "HASPAN_", *line, *rest;
		const char *where, *text;
		size_t n = 7;

		for (const char *p = rows[id].name; *p; p++)
			name[n++] = *p == '-' ? '_' : (char)toupper(*p);
		text = getenv(name);
		if (!text || !*text)		/* an empty value is an unset one (OpenTelemetry's rule) */
			continue;
		where = arena_copy(o->arena, slice_str(name)).p;
		if (rows[id].many == ONE) {
			options_add(o, (enum option_id)id, LEVEL_ENV, text, where, 0);
			continue;
		}
		for (rest = (char *)arena_alloc(o->arena, strlen(text) + 1), memcpy(rest, text, strlen(text));
		     (line = strsep(&rest, "\n"));)
			if (*line)
				options_add(o, (enum option_id)id, LEVEL_ENV, line, where, 0);
	}
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static bool read_line(struct options *o, struct slice line, const char *path, unsigned number, struct err *err)
{
	struct slice rest = slice_trim(line), name;
	bool flag;
	int id;

	if (rest.len && rest.p[rest.len - 1] == '\r')
		rest.len--;
	if (rest.len == 0 || *rest.p == '#')
		return true;
	name = slice_cut(&rest, ' ');
	if (slice_starts(name, SLICE("--")))
		name = slice_skip(name, 2);
	id = find(name);
	err->line = number;
	if (id < 0) {
		err_at(err, EXIT_CONFIG, line.p, line.len, (size_t)(name.p - line.p),
		       "no such option: expected `option value`; haspan --help lists all");
		return err_where(err, "%s", path);
	}
	rest = slice_trim(rest.p ? rest : slice_of("", 0));
	flag = !rows[id].arg && (slice_eq(rest, SLICE("true")) || slice_eq(rest, SLICE("false")));
	if ((rest.len == 0) != !rows[id].arg && !flag) {
		err_at(err, EXIT_CONFIG, line.p, line.len, (size_t)(name.p - line.p),
		       rows[id].arg ? "this option wants a value" : "this option takes no value");
		return err_where(err, "%s", path);
	}
	err->line = 0;
	options_add(o, (enum option_id)id, LEVEL_FILE,
		    rest.len ? arena_copy(o->arena, rest).p : "true", path, number);
	if (rest.len && o->v[id].last && o->v[id].last->line == number)
		o->v[id].last->column = (unsigned)(rest.p - line.p);
	return true;
}

static bool read_file(struct options *o, const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	char *text = malloc(CONFIG_MAX + 1);
	size_t n = f && text ? fread(text, 1, CONFIG_MAX + 1, f) : 0;
	struct slice rest = slice_of(text, n);
	unsigned number = 0;
	bool ok = f && text && !ferror(f) && n <= CONFIG_MAX;

	if (!ok)
		err_set(err, EXIT_CONFIG, n > CONFIG_MAX ? "this is no configuration: it is longer than %zu bytes" :
							   "cannot open the configuration: %m", CONFIG_MAX);
	if (!ok)
		err_where(err, "%s", path);
	while (ok && rest.len)
		ok = read_line(o, slice_cut(&rest, '\n'), path, ++number, err);
	free(text);
	if (f)
		fclose(f);
	return ok;
}

bool options_read(struct options *o, int argc, char **argv, struct err *err)
{
	const char *path;

	o->command = "run";
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i]) == 0) {
			o->command = commands[i];
			argv++;
			argc--;
			break;
		}
	if (!read_flags(o, argc, argv, err))
		return false;
	read_environment(o);
	path = options_text(o, OPTION_CONFIG);
	return !path || read_file(o, path, err);
}

/* ---- help ---------------------------------------------------------------------------------------------- */

static const struct {
	enum option_id first;
	const char *title;
} sections[] = {
#define SECTION(title, first) { OPTION_##first, title },
#define OPTION(id, name, letter, arg, many, help, otherwise)
#include "cli.def"
#undef OPTION
#undef SECTION
};

/* Words of `text` in lines of at most 100 columns, indented by `indent`; the first line is begun already. */
static void wrap(const char *text, unsigned indent)
{
	unsigned column = indent;

	while (*text) {
		unsigned n = (unsigned)strcspn(text, " ");

		if (column > indent && column + 1 + n > 100) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)n, text);
		column += n;
		text += n;
		text += strspn(text, " ");
	}
}

static const char *title_of(int id)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if ((int)sections[i].first == id)
			return sections[i].title;
	return NULL;
}

static void help_option(int id)
{
	const struct option_row *r = &rows[id];
	char flag[80];
	int n = snprintf(flag, sizeof(flag), "  %c%c%c --%s%s%s", r->letter ? '-' : ' ', r->letter ? r->letter : ' ',
			 r->letter ? ',' : ' ', r->name, r->arg ? " " : "", r->arg ? r->arg : "");

	if (n > 34)
		printf("%s\n%36s", flag, "");
	else
		printf("%-36s", flag);
	wrap(r->help, 36);
	if (r->otherwise) {
		printf("\n%36s", "");
		printf("[%s]", r->otherwise);
	}
	putchar('\n');
}

/* Commands that take few of the options, which are named from the first to OPTION_MAX. */
static const struct command_help {
	const char *name, *text;
	enum option_id options[32];
} command_helps[] = {
	{ "explain",
	  "haspan explain [OPTION]... [LINE]...\n\n"
	  "Says of each line, or of those of standard input, step by step what haspan makes of it: the envelope,\n"
	  "the format, every field, the spans and their attributes, and why other formats do not fit.\n"
	  "Exit: 0 all lines were understood, 1 one was not.\n",
	  { OPTION_FORMAT, OPTION_HAPROXY_CFG, OPTION_MAP, OPTION_CAPTURE_REQUEST, OPTION_CAPTURE_RESPONSE, OPTION_TIMEZONE,
	    OPTION_LOG_LEN, OPTION_PHASES, OPTION_ROUTE, OPTION_PROPAGATORS, OPTION_SAMPLER, OPTION_KEEP, OPTION_DROP,
	    OPTION_CONFIG, OPTION_MAX } },
	{ "check",
	  "haspan check --rules RULES [OPTION]... [FILE]...\n\n"
	  "Holds captured logs against rules, as status < 500 or p99(Tr) < 200ms where backend == \"api\", a line each.\n"
	  "--write-rules proposes some from a good capture. Input and formats are as of haspan run.\n"
	  "Exit: 0 all rules of severity error hold, 1 one does not, 2 usage, 3 rules or formats, 4 input.\n",
	  { OPTION_RULES, OPTION_REJECTED_OK, OPTION_OUTPUT, OPTION_BASELINE, OPTION_BASELINE_ALPHA, OPTION_BASELINE_EFFECT,
	    OPTION_BASELINE_SHIFT, OPTION_BASELINE_FAILURES, OPTION_WRITE_RULES, OPTION_FROM, OPTION_FORMAT, OPTION_HAPROXY_CFG,
	    OPTION_MAP, OPTION_CAPTURE_REQUEST, OPTION_CAPTURE_RESPONSE, OPTION_LOG_LEN, OPTION_TIMEZONE, OPTION_ROUTE, OPTION_REJECTS, OPTION_TO, OPTION_THREADS,
	    OPTION_CONFIG, OPTION_CHECK, OPTION_MAX } },
	{ "doctor",
	  "haspan doctor [OPTION]... CFG...\n\n"
	  "Says which spans a haproxy.cfg would give, what its logs lack for good traces, and the lines to add.\n",
	  { OPTION_FIX, OPTION_JSON, OPTION_MAX } },
	{ "completion",
	  "haspan completion bash|zsh|fish\n\n"
	  "Prints a script by which this shell completes commands, options and their values, for who did not install\n"
	  "haspan by its package or make install: source <(haspan completion bash), in ~/.bashrc.\n", { OPTION_MAX } },
	{ "formats",
	  "haspan formats\n\nLists the formats that are known, and the fields that they yield.\n", { OPTION_MAX } },
};

/* NULL: it takes all of them. */
static const struct command_help *help_of(const char *command)
{
	for (size_t i = 0; i < sizeof(command_helps) / sizeof(command_helps[0]); i++)
		if (strcmp(command, command_helps[i].name) == 0)
			return &command_helps[i];
	return NULL;
}

static bool help_command(const char *command)
{
	const struct command_help *h = help_of(command);

	if (!h)
		return false;
	printf("%s\n", h->text);
	for (size_t k = 0; h->options[k] != OPTION_MAX; k++)
		help_option((int)h->options[k]);
	printf("%sAll options and variables: haspan --help, man haspan\n", h->options[0] == OPTION_MAX ? "" : "\n");
	return true;
}

const struct option_row *options_row(enum option_id id)
{
	return &rows[id];
}

const char *options_command(size_t i)
{
	return i < sizeof(commands) / sizeof(commands[0]) ? commands[i] : NULL;
}

bool options_takes(const char *command, enum option_id id)
{
	const struct command_help *h = help_of(command);

	for (size_t k = 0; h && h->options[k] != OPTION_MAX; k++)
		if (h->options[k] == id)
			return true;
	return !h || id == OPTION_HELP;
}

void options_help(const char *command)
{
	if (help_command(command))
		return;
	printf("haspan: HAProxy's logs as OpenTelemetry traces\n\n"
	       "  haspan [run] [OPTION]... [FILE]...   read, reconstruct, send\n"
	       "  haspan check --rules RULES [FILE]...  hold captured logs against rules, for CI\n"
	       "  haspan doctor [--fix|--json] CFG...   what a haproxy.cfg lacks for good traces\n"
	       "  haspan explain [OPTION]... [LINE]...  one line, step by step, for who writes log-formats\n"
	       "  haspan formats                       the formats and fields that are known\n"
	       "  haspan completion bash|zsh|fish      a script that completes all of this\n");
	for (int id = 0; id < OPTION_MAX; id++) {
		if (title_of(id))
			printf("\n%s\n", title_of(id));
		help_option(id);
	}
	printf("\nEach option is also a variable (--buffer-max: HASPAN_BUFFER_MAX) and a line of --config.\n"
	       "The OTEL_* variables work as OpenTelemetry says. Exit: 0 done, 1 a check failed, or lines were\n"
	       "rejected under --strict, 2 usage, 3 configuration or format, 4 input or a taken address,\n"
	       "5 export. Manual: man haspan\n");
}

/* Text in man(7)'s language: what it would take for its own is escaped. */
static void roff(const char *s)
{
	if (*s == '.' || *s == '\'')
		printf("\\&");
	for (; *s; s++) {
		if (*s == '-')
			printf("\\-");
		else if (*s == '\\')
			printf("\\e");
		else
			putchar(*s);
	}
}

void options_man(void)
{
	for (int id = 0; id < OPTION_MAX; id++) {
		const struct option_row *r = &rows[id];

		if (title_of(id))
			printf(".SS %s\n", title_of(id));
		printf(".TP\n");
		if (r->letter)
			printf("\\fB\\-%c\\fR, ", r->letter);
		printf("\\fB\\-\\-");
		roff(r->name);
		printf("\\fR");
		if (r->arg) {
			printf(" \\fI");
			roff(r->arg);
			printf("\\fR");
		}
		printf("\n");
		roff(r->help);
		if (r->many)
			printf("; may be given several times");
		printf(".\n");
		if (r->otherwise) {
			printf("Default: ");
			roff(r->otherwise);
			printf(".\n");
		}
	}
}
