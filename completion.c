/*
 * completion.c - scripts for bash, zsh and fish: commands, options, and what may stand behind an option.
 */
#include "completion.h"

#include "options.h"

#include <stdio.h>
#include <string.h>

/* ---- what may stand behind an option ------------------------------------------------------------------------ */

enum more { NOTHING, FILES, FOLDERS };

/* Words, one blank between them. One that ends in ':' or '/' goes on; behind file:, follow: and unix: a path does. */
struct values {
	char words[600];
	enum more more;
};

/* Options whose argument, as --help names it, does not tell. */
static const struct {
	enum option_id id;
	const char *words;
	enum more more;
} special[] = {
	{ OPTION_FROM, "file: follow: unix: udp:// tcp:// tls:// kafka:// -", FILES },
	{ OPTION_TO, "tree stats null - file: http:// https:// kafka://", NOTHING },
	{ OPTION_ADMIN, "unix:", NOTHING },
	{ OPTION_SAMPLER, "always_on always_off traceidratio: parentbased_always_on parentbased_always_off "
	  "parentbased_traceidratio:", NOTHING },
	{ OPTION_BASELINE, "", FILES },
	{ OPTION_BY,
#define GROUP(name, slot) name " "
#include "formats/groups.def"
#undef GROUP
	  "none", NOTHING },
	{ OPTION_OUTPUT,
#define OUTPUT(name, meaning) #name " "
#include "report/outputs.def"
#undef OUTPUT
	  "", NOTHING },
	{ OPTION_PROPAGATORS, "tracecontext b3 b3multi jaeger xray none", NOTHING },
	{ OPTION_FORMAT,
#define BUILTIN(name, ...) name " "
#include "formats/builtin.def"
#undef BUILTIN
	  "auto", FILES },
};

/* The words of `auto|all|none`: what stands there in small letters is meant as it stands. */
static void words_of(const char *arg, struct values *v)
{
	size_t n = 0;

	for (const char *p = arg; *p; p += strcspn(p, "|"), p += *p == '|') {
		size_t len = strcspn(p, "|");

		if (strspn(p, "abcdefghijklmnopqrstuvwxyz") < len)
			continue;
		n += (size_t)snprintf(v->words + n, sizeof(v->words) - n, "%s%.*s", n ? " " : "", (int)len, p);
	}
}

static struct values values_of(enum option_id id)
{
	const char *arg = options_row(id)->arg;
	struct values v = { .more = NOTHING };

	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (special[i].id == id) {
			snprintf(v.words, sizeof(v.words), "%s", special[i].words);
			v.more = special[i].more;
			return v;
		}
	if (strncmp(arg, "FILE", 4) == 0)
		v.more = FILES;
	else if (strcmp(arg, "DIR") == 0)
		v.more = FOLDERS;
	else
		words_of(arg, &v);
	return v;
}

/* Fewer bytes than so many say whom it concerns, as in "check: …". */
#define BRIEF_LEAST 12
#define BRIEF_MOST 84

/* The beginning of the help: what fits beside an option in a list. */
static void brief(char out[BRIEF_MOST + 1], const char *help)
{
	size_t n = 0, comma = 0;

	for (; help[n] && n < BRIEF_MOST && help[n] != ';'; n++) {
		if (n >= BRIEF_LEAST && (strncmp(help + n, ": ", 2) == 0 || strncmp(help + n, " (", 2) == 0))
			break;
		if (n >= BRIEF_LEAST && strncmp(help + n, ", ", 2) == 0)
			comma = n;
	}
	if (n == BRIEF_MOST)
		for (n = comma ? comma : n; n && !comma && help[n] != ' '; n--)
			;
	while (n && strchr(" ,:", help[n - 1]))
		n--;
	snprintf(out, BRIEF_MOST + 1, "%.*s", (int)n, help);
}

/* `s` within '…' of a shell; `also` are characters that want a backslash besides. */
static void quoted(const char *s, const char *also)
{
	for (; *s; s++) {
		if (*s == '\'')
			printf("'\\''");
		else
			printf(strchr(also, *s) ? "\\%c" : "%c", *s);
	}
}

/* ---- bash --------------------------------------------------------------------------------------------------- */

/* Bash takes ':' and '=' for ends of words: what it replaces is what stands behind the last of them. */
static const char bash_head[] =
	"# haspan: completion for bash. Made by `haspan completion bash`.\n"
	"_haspan_say() {	# PREFIX WORD...: those that begin as the word does, without what bash keeps of it\n"
	"	local keep=$1 w\n"
	"	shift\n"
	"	for w; do\n"
	"		[[ $w == \"$cur\"* ]] || continue\n"
	"		[[ $w == *[:/=] ]] && compopt -o nospace 2>/dev/null\n"
	"		COMPREPLY+=(\"${w#\"$keep\"}\")\n"
	"	done\n"
	"}\n"
	"_haspan_paths() {	# -f or -d, and the part of a path; what stands before it stays\n"
	"	local kind=$1 path=$2 before=$3 p\n"
	"	compopt -o filenames 2>/dev/null\n"
	"	while IFS= read -r p; do\n"
	"		COMPREPLY+=(\"$before$p\")\n"
	"	done < <(compgen \"$kind\" -- \"$path\")\n"
	"}\n"
	"_haspan() {\n"
	"	local line=${COMP_LINE:0:COMP_POINT} cur prev command=run keep='' i words more=''\n"
	"	local -a typed\n"
	"	read -ra typed <<<\"$line\"\n"
	"	[[ $line == *[[:space:]] ]] && typed+=('')\n"
	"	cur=${typed[${#typed[@]} - 1]}\n"
	"	prev=${typed[${#typed[@]} - 2]}\n"
	"	COMPREPLY=()\n"
	"	if [[ $cur == --*=* ]]; then\n"
	"		prev=${cur%%=*} cur=${cur#*=}\n"
	"		[[ $COMP_WORDBREAKS == *=* ]] || return\n"
	"	fi\n"
	"	[[ $cur == *:* && $COMP_WORDBREAKS == *:* ]] && keep=${cur%\"${cur##*:}\"}\n"
	"	case \" $commands_of_haspan \" in\n"
	"	*\" ${typed[1]-} \"*) [[ ${#typed[@]} -gt 2 ]] && command=${typed[1]} ;;\n"
	"	esac\n";

static void bash_values(enum option_id id)
{
	const struct option_row *r = options_row(id);
	struct values v = values_of(id);

	printf("	");
	if (r->letter)
		printf("-%c|", r->letter);
	printf("--%s) words='%s' more=%s ;;\n", r->name, v.words, v.more == FILES ? "-f" : v.more == FOLDERS ? "-d" : "-");
}

static void bash_options(const char *command)
{
	printf("	%s) words='", command);
	for (int id = 0; id < OPTION_MAX; id++)
		if (options_takes(command, (enum option_id)id))
			printf("%s--%s", id ? " " : "", options_row((enum option_id)id)->name);
	printf("' ;;\n");
}

static void bash(void)
{
	const char *command;

	printf("commands_of_haspan='");
	for (size_t i = 0; (command = options_command(i)); i++)
		printf("%s%s", i ? " " : "", command);
	printf("'\n%s	case $prev in\n", bash_head);
	for (int id = 0; id < OPTION_MAX; id++)
		if (options_row((enum option_id)id)->arg)
			bash_values((enum option_id)id);
	printf("	esac\n"
	       "	if [[ -n $more ]]; then\n"
	       "		_haspan_say \"$keep\" $words\n"
	       "		case $cur in\n"
	       "		file:*|follow:*|unix:*)\n"
	       "			i=${cur%%%%:*}:\n"
	       "			[[ -n $keep ]] && i=\n"
	       "			_haspan_paths -f \"${cur#*:}\" \"$i\"\n"
	       "			;;\n"
	       "		*) [[ $more == - ]] || _haspan_paths \"$more\" \"$cur\" '' ;;\n"
	       "		esac\n"
	       "		return\n"
	       "	fi\n"
	       "	case $command in\n");
	for (size_t i = 0; (command = options_command(i)); i++)
		bash_options(command);
	printf("	esac\n"
	       "	if [[ $cur == -* ]]; then\n"
	       "		_haspan_say '' $words\n"
	       "		return\n"
	       "	fi\n"
	       "	[[ ${#typed[@]} -eq 2 ]] && _haspan_say '' $commands_of_haspan\n"
	       "	case $command in\n"
	       "	completion) _haspan_say '' bash zsh fish ;;\n"
	       "	help) _haspan_say '' $commands_of_haspan ;;\n"
	       "	formats) ;;\n"
	       "	*) _haspan_paths -f \"$cur\" '' ;;\n"
	       "	esac\n"
	       "}\n"
	       "complete -F _haspan haspan\n");
}

/* ---- zsh ---------------------------------------------------------------------------------------------------- */

static void zsh_option(enum option_id id)
{
	const struct option_row *r = options_row(id);
	struct values v = r->arg ? values_of(id) : (struct values){ .more = NOTHING };
	char help[BRIEF_MOST + 1];

	brief(help, r->help);
	printf("	'");
	if (r->many)
		printf("*");
	else if (r->letter)
		printf("(-%c --%s)", r->letter, r->name);
	if (r->letter)
		printf("'{-%c%s,--%s%s}'", r->letter, r->arg ? "+" : "", r->name, r->arg ? "=" : "");
	else
		printf("--%s%s", r->name, r->arg ? "=" : "");
	printf("[");
	quoted(help, "[]:\\");
	printf("]");
	if (r->arg) {
		printf(":");
		quoted(r->arg, "[]:\\");
		printf(":{_haspan_values %s ", v.more == FILES ? "-f" : v.more == FOLDERS ? "-d" : "-");
		quoted(v.words, ":");
		printf("}");
	}
	printf("'\n");
}

static const char zsh_head[] =
	"#compdef haspan\n"
	"# haspan: completion for zsh. Made by `haspan completion zsh`.\n"
	"_haspan_values() {	# -f, -d or -; WORD...\n"
	"	local more=$1\n"
	"	shift\n"
	"	if compset -P '(file|follow|unix):'; then\n"
	"		_files\n"
	"		return\n"
	"	fi\n"
	"	compadd -S '' -- ${(M)@:#*[:/]}\n"
	"	compadd -- ${@:#*[:/]}\n"
	"	case $more in\n"
	"	-f) _files ;;\n"
	"	-d) _files -/ ;;\n"
	"	esac\n"
	"}\n"
	"_haspan() {\n"
	"	local command=run\n"
	"	local -a commands options\n";

static void zsh(void)
{
	const char *command;

	printf("%s	commands=(", zsh_head);
	for (size_t i = 0; (command = options_command(i)); i++)
		printf("%s%s", i ? " " : "", command);
	printf(")\n"
	       "	(( CURRENT > 2 && ${commands[(Ie)${words[2]}]} )) && command=${words[2]}\n"
	       "	case $command in\n");
	for (size_t i = 0; (command = options_command(i)); i++) {
		printf("	%s) options=(\n", command);
		for (int id = 0; id < OPTION_MAX; id++)
			if (options_takes(command, (enum option_id)id))
				zsh_option((enum option_id)id);
		printf("	) ;;\n");
	}
	printf("	esac\n"
	       "	case $command in\n"
	       "	completion) _arguments -s $options '2:shell:(bash zsh fish)' ;;\n"
	       "	help) _arguments -s $options '2:command:('\"$commands\"')' ;;\n"
	       "	formats) _arguments -s $options ;;\n"
	       "	*) _arguments -s -S $options \\\n"
	       "		'1: :{_alternative \"commands:command:('\"$commands\"')\" \"files:file:_files\"}' '*:file:_files' ;;\n"
	       "	esac\n"
	       "}\n"
	       "if [[ $funcstack[1] = _haspan ]]; then _haspan \"$@\"; else compdef _haspan haspan; fi\n");
}

/* ---- fish --------------------------------------------------------------------------------------------------- */

static void fish_option(const char *condition, enum option_id id)
{
	const struct option_row *r = options_row(id);
	struct values v = { .more = NOTHING };
	char help[BRIEF_MOST + 1];

	brief(help, r->help);
	printf("complete -c haspan -n '%s' -l %s", condition, r->name);
	if (r->letter)
		printf(" -s %c", r->letter);
	if (r->arg) {
		v = values_of(id);
		printf(v.more == FILES ? " -r -F" : " -x");
		if (v.more == FOLDERS)
			printf(" -a '(__fish_complete_directories)'");
		else if (v.words[0])
			printf(" -a '%s'", v.words);
	}
	printf(" -d '");
	for (const char *p = help; *p; p++)
		printf(strchr("'\\", *p) ? "\\%c" : "%c", *p);
	printf("'\n");
}

/* Has the command no options of its own? */
static bool takes_all(const char *command)
{
	for (int id = 0; id < OPTION_MAX; id++)
		if (!options_takes(command, (enum option_id)id))
			return false;
	return true;
}

static void fish(void)
{
	const char *command;
	char condition[160] = "not __fish_seen_subcommand_from";
	size_t n = strlen(condition);

	printf("# haspan: completion for fish. Made by `haspan completion fish`.\n");
	for (size_t i = 0; (command = options_command(i)); i++)
		printf("complete -c haspan -n __fish_use_subcommand -a %s\n", command);
	printf("complete -c haspan -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n");
	for (size_t i = 0; (command = options_command(i)); i++)
		if (!takes_all(command) && n < sizeof(condition))
			n += (size_t)snprintf(condition + n, sizeof(condition) - n, " %s", command);
	for (int id = 0; id < OPTION_MAX; id++)
		fish_option(condition, (enum option_id)id);
	for (size_t i = 0; (command = options_command(i)); i++) {
		if (takes_all(command))
			continue;
		snprintf(condition, sizeof(condition), "__fish_seen_subcommand_from %s", command);
		for (int id = 0; id < OPTION_MAX; id++)
			if (options_takes(command, (enum option_id)id))
				fish_option(condition, (enum option_id)id);
	}
}

bool completion_print(const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		bash();
	else if (strcmp(shell, "zsh") == 0)
		zsh();
	else if (strcmp(shell, "fish") == 0)
		fish();
	else
		return false;
	return true;
}
