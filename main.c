/*
 * main.c - options, pipeline, signals, exit code.
 */
#include "core/log.h"
#include "core/stop.h"
#include "doctor.h"
#include "explain.h"
#include "pipeline.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#ifndef HASPAN_VERSION
#define HASPAN_VERSION "0.0.0"
#endif

/* The pipeline runs beside the thread that takes signals. */
struct job {
	struct pipeline *pipeline;
	struct err err;
	int done;			/* eventfd */
};

static void *job_main(void *arg)
{
	struct job *job = arg;
	const uint64_t one = 1;

	pipeline_run(job->pipeline, &job->err);
	if (write(job->done, &one, sizeof(one)) < 0)
		abort();
	return NULL;
}

/*
 * When the pipeline is about to run, and before its first thread: threads inherit the mask. Until then, and for
 * commands that have no pipeline, a signal does what it always does.
 */
static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signals(int fd, struct pipeline *p)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			pipeline_summary(p);
		} else if (info.ssi_signo != SIGPIPE) {
			if (stop_requested()) {		/* the second time: at once */
				pipeline_summary(p);
				_exit(EXIT_EXPORT);
			}
			stop_request();
		}
	}
}

static int run(const struct config *c)
{
	struct job job = { .done = eventfd(0, EFD_CLOEXEC) };
	int signals = signals_open();
	struct pollfd p[2] = { { .fd = job.done, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	pthread_t thread;
	int code;

	if (job.done < 0 || signals < 0 || !stop_init())
		err_set(&job.err, EXIT_CONFIG, "no descriptor left: %m");
	else
		job.pipeline = pipeline_open(c, &job.err);
	if (!job.pipeline) {
		err_print(&job.err);
		return (int)job.err.code;
	}
	if (c->check_only) {
		pipeline_close(job.pipeline);
		return EXIT_DONE;
	}
	if (pthread_create(&thread, NULL, job_main, &job) != 0) {
		log_error("cannot start a thread");
		return EXIT_CONFIG;
	}
	while (poll(p, 2, -1) < 0 || !p[0].revents)
		take_signals(signals, job.pipeline);
	pthread_join(thread, NULL);
	if (job.err.code != EXIT_DONE)
		err_print(&job.err);
	pipeline_summary(job.pipeline);
	code = pipeline_exit_code(job.pipeline);
	pipeline_close(job.pipeline);
	close(job.done);
	close(signals);
	return code;
}

static int first_words(void)
{
	fputs("haspan turns HAProxy's log lines into OpenTelemetry traces.\n"
	      "  haspan haproxy.log                              show them as trees\n"
	      "  haspan --to http://localhost:4318 haproxy.log   send them to Jaeger, Tempo or a collector\n"
	      "  haspan --to file:spans.jsonl haproxy.log.gz     write OTLP JSON lines\n"
	      "  haspan --help                                   all options\n", stderr);
	return EXIT_USAGE;
}

static int dispatch(struct options *o, struct config *c)
{
	const char *help = options_text(o, OPTION_HELP);
	struct err err = { 0 };

	if (help) {
		if (strcmp(help, "man") == 0)
			options_man();
		else
			options_help();
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
	if (strcmp(o->command, "doctor") == 0)
		return doctor_main(o);
	if (strcmp(o->command, "run") != 0 && strcmp(o->command, "explain") != 0) {
		log_error("this version has no `haspan %s` yet", o->command);
		return EXIT_USAGE;
	}
	if (!config_make(c, o, &err)) {
		err_print(&err);
		return (int)err.code;
	}
	if (strcmp(o->command, "explain") == 0)
		return explain(c, o->operands, o->noperands);
	if (o->noperands == 0 && !o->v[OPTION_FROM].first && !c->check_only && isatty(STDIN_FILENO))
		return first_words();
	return run(c);
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
	static struct arena arena;
	static struct config config;
	struct options options = { .arena = &arena };
	struct err err = { 0 };
	int code;

	keep_memory();
	if (!standard_fds()) {
		log_error("cannot open /dev/null: %m");
		return EXIT_CONFIG;
	}
	if (!options_read(&options, argc, argv, &err)) {
		err_print(&err);
		arena_free(&arena);
		return (int)err.code;
	}
	if (options_text(&options, OPTION_VERBOSE))
		log_max = LOG_LEVEL_DEBUG;
	code = dispatch(&options, &config);
	/* What failed earlier is no longer in the buffer that is flushed. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && (code == EXIT_DONE || code == EXIT_CHECK)) {
		log_error("cannot write to standard output");
		code = EXIT_EXPORT;
	}
	arena_free(&arena);
	return code;
}
