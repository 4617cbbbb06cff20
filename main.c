/*
 * main.c - options, commands, exit code.
 */
#include "check.h"
#include "completion.h"
#include "control.h"
#include "core/log.h"
#include "doctor.h"
#include "explain.h"
#include "misuse.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#ifndef HASPAN_VERSION
#define HASPAN_VERSION "0.0.0"
#endif

static int first_words(void)
{
	fputs("haspan turns HAProxy's log lines into OpenTelemetry traces.\n"
	      "  haspan haproxy.log                              show them as trees; --to stats: sum them up\n"
	      "  haspan --to http://localhost:4318 haproxy.log   send them to Jaeger, Tempo or a collector\n"
	      "  haspan check --rules RULES haproxy.log          hold them against rules, for CI\n"
	      "  haspan --help                                   all options; doctor and explain: what logs lack\n",
	      stderr);
	return EXIT_USAGE;
}

static int fail(const struct err *err)
{
	err_print(err);
	return (int)err->code;
}

/* On a terminal, and nothing says what to read: who typed options meant a file. */
static int no_file(const struct options *o)
{
	const char *command = strcmp(o->command, "run") ? o->command : "";

	if (o->nvalues == 0 && !*command)
		return first_words();
	log_error("no FILE given: haspan%s%s [OPTION]... haproxy.log, or - to type lines", *command ? " " : "", command);
	return EXIT_USAGE;
}

static int completion(const struct options *o)
{
	const char *shell = o->noperands == 1 ? o->operands[0] : "";

	if (completion_print(shell))
		return EXIT_DONE;
	log_error("expected a shell: haspan completion bash, zsh or fish");
	return EXIT_USAGE;
}

static int dispatch(struct settings *s, int argc, char **argv)
{
	struct options *o = &s->options;
	struct config *c = &s->config;
	const char *help = options_text(o, OPTION_HELP);
	struct err err = { 0 };

	if (help && strcmp(help, "man") == 0) {
		options_man();
		return EXIT_DONE;
	}
	if (help || strcmp(o->command, "help") == 0) {
		options_help(!help && o->noperands ? o->operands[0] : o->command);
		return EXIT_DONE;
	}
	if (options_text(o, OPTION_VERSION)) {
		puts("haspan " HASPAN_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(o->command, "formats") == 0) {
		formats_print();
		return EXIT_DONE;
	}
	if (strcmp(o->command, "completion") == 0)
		return completion(o);
	if (!misuse_word(o, &err) || !misuse_flags(o, &err))
		return fail(&err);
	if (strcmp(o->command, "doctor") == 0)
		return doctor_main(o);
	if (!config_make(c, o, &err) || !zone_prepare(c->timezone, &err))
		return fail(&err);
	if (strcmp(o->command, "explain") == 0)
		return explain(c, o->operands, o->noperands);
	if (!c->check_only && live_passed() == 0 && misuse_waits(o))
		return no_file(o);
	if (strcmp(o->command, "check") == 0)
		return check_main(s, argc, argv);
	return control_run(s, argc, argv, NULL);
}

/*
 * Who starts haspan may have closed 0 to 2: whatever is opened next would be taken for one of them. /dev/null the wrong
 * way round in their place: to read from 0, or to write to 1, is the error that it would have been.
 */
static bool standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

/*
 * Batches come and go by hundreds of KiB. Memory that goes back to the kernel with each of them comes back from it page by
 * page, zeroed: a tenth of what a live request costs.
 */
static void keep_memory(void)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, KEPT_ALLOCATION);
	mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
#endif
}

int main(int argc, char **argv)
{
	static struct settings settings;
	struct err err = { 0 };
	int code;

	log_init();
	keep_memory();
	if (!standard_fds()) {
		log_error("cannot open /dev/null: %m");
		return EXIT_CONFIG;
	}
	settings.options.arena = &settings.arena;
	if (!options_read(&settings.options, argc, argv, &err)) {
		err_print(&err);
		arena_free(&settings.arena);
		return (int)err.code;
	}
	if (options_text(&settings.options, OPTION_VERBOSE))
		log_max = LOG_LEVEL_DEBUG;
	code = dispatch(&settings, argc, argv);
	/* What failed earlier is no longer in the buffer that is flushed. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && (code == EXIT_DONE || code == EXIT_CHECK)) {
		log_error("cannot write to standard output");
		code = EXIT_EXPORT;
	}
	arena_free(&settings.arena);
	return code;
}
