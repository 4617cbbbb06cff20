/*
 * control.c - the main loop: signals, the admin socket, new configurations, the service manager.
 */
#include "control_private.h"

#include "core/log.h"
#include "core/notify.h"
#include "core/stop.h"
#include "progress.h"
#include "report/stats.h"
#include "sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The pipeline runs beside the thread that takes signals. */
struct job {
	struct pipeline *pipeline;
	struct onlooker *onlooker;	/* or NULL */
	bool refused;			/* by it, with `err`: nothing was read */
	struct err err;
	int done;			/* eventfd */
};

/* A new configuration takes over in a thread of its own: sinks may let it wait, and the main loop must turn. */
struct reload {
	struct pipeline *pipeline;
	struct settings *next;		/* NULL: none is on its way */
	pthread_t thread;
	struct err err;
	bool taken, again;		/* `again`: another SIGHUP came meanwhile */
	int done;			/* eventfd */
};

/* What the main loop waits for, in this order. */
enum { FD_JOB, FD_SIGNALS, FD_RELOAD, FD_ADMIN, FD_MAX = FD_ADMIN + ADMIN_FDS };

struct loop {
	struct control control;
	struct job job;
	struct reload reload;
	struct admin *admin;
	struct metrics_port *metrics;
	struct watcher *stats;		/* of `--to stats`, or NULL */
	int signals;
	int64_t watchdog_ms, status_ms;	/* when the service manager was last told */
};

static void announce(int done)
{
	const uint64_t one = 1;

	if (write(done, &one, sizeof(one)) < 0)
		abort();
}

static void *job_main(void *arg)
{
	struct job *job = arg;

	job->refused = job->onlooker && job->onlooker->begin && !job->onlooker->begin(job->onlooker, &job->err);
	if (!job->refused)
		pipeline_run(job->pipeline, &job->err);
	announce(job->done);
	return NULL;
}

/* ---- a new configuration ------------------------------------------------------------------------------------- */

static void settings_free(struct settings *s, const struct settings *first)
{
	arena_free(&s->arena);
	if (s != first)
		free(s);
}

static struct settings *settings_make(int argc, char **argv, struct err *err)
{
	struct settings *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	s->options.arena = &s->arena;
	if (options_read(&s->options, argc, argv, err) && config_make(&s->config, &s->options, err))
		return s;
	settings_free(s, NULL);
	return NULL;
}

static void reload_refused(struct control *c, const struct err *err)
{
	err_print(err);
	if (sandbox_entered() && strstr(err->text, strerror(EACCES)))
		log_warn("the sandbox knows the paths of the configuration at start: a new one may need a restart");
	log_warn("this configuration is not taken: the old one goes on");
	c->reloads_failed++;
}

static void *reload_main(void *arg)
{
	struct reload *r = arg;

	r->taken = pipeline_reload(r->pipeline, &r->next->config, &r->err);
	announce(r->done);
	return NULL;
}

static void say_ready(struct control *c)
{
	if (c->state == STATE_STOPPING)
		return;
	c->state = STATE_RUNNING;
	notify_say("READY=1");
}

static void reload_begin(struct loop *l)
{
	struct control *c = &l->control;
	struct reload *r = &l->reload;

	if (c->state == STATE_STOPPING || (r->again = r->next != NULL))
		return;
	if (c->onlooker) {
		log_warn("a check ends with the configuration that it began with");
		return;
	}
	c->state = STATE_RELOADING;
	notify_say("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, notify_monotonic_us());
	r->err = (struct err){ 0 };
	r->pipeline = c->pipeline;
	r->next = settings_make(c->argc, c->argv, &r->err);
	if (r->next && pthread_create(&r->thread, NULL, reload_main, r) == 0)
		return;
	if (r->next)
		settings_free(r->next, NULL);
	r->next = NULL;
	err_set(&r->err, EXIT_CONFIG, "cannot start a thread");
	reload_refused(c, &r->err);
	say_ready(c);
}

/* The thread has ended: what nobody uses any more is given back. */
static void reload_end(struct loop *l, const struct settings *first)
{
	struct control *c = &l->control;
	struct reload *r = &l->reload;
	struct settings *next = r->next;
	uint64_t n;

	pthread_join(r->thread, NULL);
	r->next = NULL;
	if (read(r->done, &n, sizeof(n)) < 0)
		log_debug("reload: %m");
	if (r->taken) {
		settings_free(c->now, first);
		c->now = next;
		log_max = options_text(&next->options, OPTION_VERBOSE) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
		c->reloads++;
		log_info("the new configuration is taken");
	} else {
		reload_refused(c, &r->err);
		settings_free(next, NULL);
	}
	say_ready(c);
	if (r->again) {
		r->again = false;
		reload_begin(l);
	}
}

/* ---- what it does, and what it does not understand ----------------------------------------------------------- */

static bool is_socket(struct slice uri)
{
	return live_names(uri) && !slice_starts(uri, SLICE("follow:")) && !slice_starts(uri, SLICE("kafka://"));
}

/* Who runs it as a service finds in its log what it does; who reads a file sees that. */
static void say_ends(const struct control *c)
{
	struct account a;

	if (!c->live)
		return;
	for (uint32_t i = 0; i < pipeline_sources(c->pipeline); i++) {
		const char *uri = pipeline_source_uri(c->pipeline, i);

		const char *bound = pipeline_source_bound(c->pipeline, i);

		/* udp:// leaves out what it means */
		if (strstr(uri, bound))
			log_info("%s %s", is_socket(slice_str(uri)) ? "listens on" : "reads", uri);
		else
			log_info("listens on %s, which is %s", uri, bound);
	}
	pipeline_account(c->pipeline, &a);
	for (uint32_t k = 0; k < a.nsinks; k++)
		log_info("sends to %s", a.sink[k].uri);
	if (a.nsinks == 0)
		log_info("sends nothing: %s", c->onlooker ? "the verdict comes at the end" : "--to stats prints at the end");
}

/* Sources without an end have no summary that says it: the first time at once, then at most once a minute. */
static void say_rejected(struct control *c)
{
	struct buf shown = { .max = 4096 };
	struct account a;

	if (!c->live)
		return;
	pipeline_account(c->pipeline, &a);
	if (a.total.rejected == c->rejected || !log_due(&c->said_rejected_ms, SAY_REJECTED_MS))
		return;
	a.total.rejected = pipeline_rejected(c->pipeline, &shown);
	log_warn("%" PRIu64 " of %" PRIu64 " lines so far were not understood, as this one: %.*s", a.total.rejected,
		 a.total.lines, (int)shown.len, shown.p ? shown.p : "");
	log_info("`haspan explain` says why; --rejects FILE keeps such lines");
	c->rejected = a.total.rejected;
	buf_free(&shown);
}

static void remember_given(struct control *c, const struct config *config)
{
	c->live = live_passed() > 0;
	for (uint32_t i = 0; i < config->nsources; i++) {
		c->given_source[i] = strndup(config->sources[i].p, config->sources[i].len);
		c->live |= live_names(config->sources[i]);
	}
	for (uint32_t k = 0; k < config->nsinks; k++)
		c->given_sink[k] = strndup(config->sinks[k].p, config->sinks[k].len);
}

static void forget_given(struct control *c)
{
	for (uint32_t i = 0; i < SOURCES_MAX; i++)
		free(c->given_source[i]);
	for (uint32_t k = 0; k < SINKS_MAX; k++)
		free(c->given_sink[k]);
}

/* ---- signals ------------------------------------------------------------------------------------------------- */

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
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void stop(struct control *c)
{
	if (stop_requested() && c->state == STATE_STOPPING) {		/* the second time: at once */
		pipeline_summary(c->pipeline);
		_exit(EXIT_EXPORT);
	}
	c->state = STATE_STOPPING;
	notify_say("STOPPING=1\nSTATUS=sending what is left");
	stop_request();
}

/* Is SIGHUP to be ignored (nohup)? A blocked signal comes all the same. */
static bool hangup_ignored(void)
{
	struct sigaction now;

	return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void take_signals(struct loop *l)
{
	struct control *c = &l->control;
	struct signalfd_siginfo info;

	while (read(l->signals, &info, sizeof(info)) == sizeof(info)) {
		bool hangup = info.ssi_signo == SIGHUP && info.ssi_code == SI_KERNEL;

		if (info.ssi_signo == SIGUSR1)
			pipeline_summary(c->pipeline);
		else if (info.ssi_signo == SIGHUP && !hangup)
			reload_begin(l);
		else if (hangup ? !hangup_ignored() : info.ssi_signo != SIGPIPE)	/* the terminal went away */
			stop(c);
	}
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

bool control_alive(const struct control *c)
{
	return clock_ms() - c->turned_ms < STUCK_MS && pipeline_busy_ms(c->pipeline) < STUCK_MS;
}

static void say_status(struct control *c)
{
	struct account a;
	uint64_t held = 0;

	pipeline_account(c->pipeline, &a);
	for (uint32_t k = 0; k < a.nsinks; k++)
		held += a.sink[k].held;
	notify_say("STATUS=%" PRIu64 " lines, %" PRIu64 " requests, %" PRIu64 " rejected; %" PRIu64 " spans held",
		   a.total.lines, a.total.requests, a.total.rejected, held);
}

/* What the service manager wants to hear. A watchdog that hears nothing starts haspan anew. */
static void tell_manager(struct loop *l)
{
	int64_t every = notify_watchdog_ms();

	if (every && log_due(&l->watchdog_ms, every) && pipeline_busy_ms(l->control.pipeline) < STUCK_MS)
		notify_say("WATCHDOG=1");
	if (l->control.state == STATE_RUNNING && log_due(&l->status_ms, STATUS_MS))
		say_status(&l->control);
}

/* In time for the watchdog, though poll(2) and the clock round. */
static int turn_ms(void)
{
	int64_t every = notify_watchdog_ms() / 2;

	return every && every < TURN_MS ? (int)(every ? every : 1) : TURN_MS;
}

static void turn(struct loop *l, const struct settings *first)
{
	struct pollfd p[FD_MAX] = {
		[FD_JOB] = { .fd = l->job.done, .events = POLLIN },
		[FD_SIGNALS] = { .fd = l->signals, .events = POLLIN },
		[FD_RELOAD] = { .fd = l->reload.done, .events = POLLIN },
	};
	size_t n = FD_ADMIN;
	int ready;

	if (l->admin) {
		admin_fds(l->admin, p + FD_ADMIN);
		n = FD_MAX;
	}
	ready = poll(p, n, turn_ms());
	l->control.turned_ms = clock_ms();
	if (ready > 0 && p[FD_RELOAD].revents)
		reload_end(l, first);
	take_signals(l);
	if (l->admin && ready >= 0)
		admin_turn(l->admin, p + FD_ADMIN, &l->control);
	tell_manager(l);
	say_rejected(&l->control);
	progress_turn(l->control.pipeline);
}

static bool job_ended(const struct loop *l)
{
	struct pollfd p = { .fd = l->job.done, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static bool check_doors(const struct config *c, struct err *err)
{
	return (!c->admin || admin_check(c->admin, err)) && (!c->listen_metrics || metrics_check(c->listen_metrics, err));
}

/* Sockets and ports are there before anything is read; nothing of that is done for --check-config. */
static bool open_doors(struct loop *l, const struct config *c, struct err *err)
{
	if (c->admin && !(l->admin = admin_open(c->admin, err)))
		return err_where(err, "--admin");
	if (c->listen_metrics && !(l->metrics = metrics_open(c->listen_metrics, err)))
		return err_where(err, "--listen-metrics");
	return true;
}

/* Who sees every request, beside the sinks. */
static bool open_watchers(struct loop *l, const struct config *c, struct err *err)
{
	for (size_t i = 0; l->job.onlooker && i < 2; i++)
		if (l->job.onlooker->watcher[i] && !pipeline_watch(l->control.pipeline, l->job.onlooker->watcher[i], err))
			return false;
	if (!c->stats)
		return true;
	l->stats = stats_new(&c->stats_config);
	return l->stats ? pipeline_watch(l->control.pipeline, l->stats, err) : err_set(err, EXIT_CONFIG, "out of memory");
}

static bool open_all(struct loop *l, const struct config *c, struct err *err)
{
	l->job.done = eventfd(0, EFD_CLOEXEC);
	l->reload.done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->signals = signals_open();
	if (l->job.done < 0 || l->reload.done < 0 || l->signals < 0 || !stop_init())
		return err_set(err, EXIT_CONFIG, "no descriptor left: %m");
	if (!check_doors(c, err))
		return false;
	/* The doors first: the pipeline gives up root's rights when its own sockets are bound. */
	if (!c->check_only && !open_doors(l, c, err))
		return false;
	l->control.pipeline = l->job.pipeline = pipeline_open(c, err);
	return l->control.pipeline != NULL && (c->check_only || open_watchers(l, c, err));
}

static void close_all(struct loop *l)
{
	const int fds[] = { l->job.done, l->reload.done, l->signals };

	metrics_close(l->metrics);
	admin_close(l->admin);
	if (l->control.pipeline)
		pipeline_close(l->control.pipeline);
	stats_free(l->stats);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Before the summary, also on the same terminal. Whether it could be written is main's to see. */
static void print_stats(struct watcher *stats)
{
	stats_print(stats);
	fflush(stdout);
}

static int run(struct loop *l, const struct settings *first)
{
	struct err err = { 0 };
	pthread_t thread;
	int code;

	l->control.turned_ms = clock_ms();
	if ((l->metrics && !metrics_start(l->metrics, &l->control, &err)) ||
	    (pthread_create(&thread, NULL, job_main, &l->job) != 0 && !err_set(&err, EXIT_CONFIG, "cannot start a thread"))) {
		err_print(&err);
		return (int)err.code;
	}
	say_ready(&l->control);
	say_ends(&l->control);
	while (!job_ended(l))
		turn(l, first);
	pthread_join(thread, NULL);
	if (l->reload.next) {
		l->reload.again = false;
		reload_end(l, first);
	}
	l->control.state = STATE_STOPPING;
	if (l->stats)
		print_stats(l->stats);
	if (l->job.err.code != EXIT_DONE)
		err_print(&l->job.err);
	if (l->job.refused)
		return (int)l->job.err.code;
	pipeline_summary(l->control.pipeline);
	code = pipeline_exit_code(l->control.pipeline);
	return l->control.onlooker ? l->control.onlooker->judge(l->control.onlooker, l->control.pipeline, code) : code;
}

int control_run(struct settings *first, int argc, char **argv, struct onlooker *onlooker)
{
	static struct loop l;		/* the metrics' thread looks at it until it is closed */
	const struct config *c = &first->config;
	struct err err = { 0 };
	int code = EXIT_DONE;

	l.control = (struct control){ .now = first, .argc = argc, .argv = argv, .onlooker = onlooker };
	l.job.onlooker = onlooker;
	l.control.started = time(NULL);
	l.control.started_ms = clock_ms();
	notify_init();
	progress_init(c);
	remember_given(&l.control, c);
	if (!open_all(&l, c, &err)) {
		err_print(&err);
		code = (int)err.code;
	} else if (!c->check_only) {
		code = run(&l, first);
	} else {
		puts("the configuration is valid");
	}
	close_all(&l);
	forget_given(&l.control);
	if (l.control.now != first)
		settings_free(l.control.now, first);
	return code;
}
