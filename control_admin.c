/*
 * control_admin.c - the admin socket, which speaks as HAProxy's does: a line of commands, separated by `;`, their
 * answers, an empty line behind each, and the connection is closed; unless the client asked for a `prompt`.
 *
 * Nothing here waits: each turn of the main loop does what can be done. Who asks much and reads little is answered
 * command by command, so that one answer is what a client can make haspan hold.
 */
#include "control_private.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/term.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
	int fd;				/* -1: nobody */
	char in[ADMIN_INPUT_MAX];
	size_t n;			/* bytes in `in` */
	struct buf out;
	size_t sent;
	int64_t moved_ms;		/* when it last sent or took a byte */
	bool prompt;			/* asked for: the connection stays */
	bool ended;			/* nothing more will come from it */
	bool asked;			/* a line was answered */
	bool leaving;			/* close when all is sent */
};

struct admin {
	int fd;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct stat made;		/* our socket: at the end only that one is removed */
	struct client client[ADMIN_CLIENTS_MAX];
};

/* ---- commands ------------------------------------------------------------------------------------------------ */

struct ask {
	struct control *control;
	struct client *client;
	struct slice rest;		/* what stands behind the command's words */
	struct buf *out;
};

static void do_info(struct ask *a)
{
	show_info(a->control, a->out);
}

static void do_sources(struct ask *a)
{
	show_sources(a->control, a->out);
}

static void do_sinks(struct ask *a)
{
	show_sinks(a->control, a->out);
}

static void do_rules(struct ask *a)
{
	show_rules(a->control, a->out);
}

static void do_metrics(struct ask *a)
{
	show_metrics(a->control, a->out, false);
}

/* `10%`, `off` (nothing leaves), `on` (everything does): false when it is none of these. */
static bool parse_sampling(struct slice s, struct sampler *out)
{
	struct err ignored = { 0 };
	char number[16], text[32], *end;
	double percent;

	if (slice_eq(s, SLICE("off")))
		return sampler_parse(SLICE("always_off"), SLICE(""), out, &ignored);
	if (slice_eq(s, SLICE("on")))
		return sampler_parse(SLICE("always_on"), SLICE(""), out, &ignored);
	if (s.len < 2 || s.len > sizeof(number) || s.p[s.len - 1] != '%')
		return false;
	memcpy(number, s.p, s.len - 1);
	number[s.len - 1] = '\0';
	if (strspn(number, "0123456789.") != s.len - 1)
		return false;
	percent = strtod(number, &end);
	if (*end || !(percent >= 0 && percent <= 100))
		return false;
	snprintf(text, sizeof(text), "%.17g", percent / 100);
	return sampler_parse(SLICE("traceidratio"), slice_str(text), out, &ignored);
}

static void do_sampling(struct ask *a)
{
	struct control *c = a->control;
	struct sampler s;

	if (slice_eq(a->rest, SLICE("default"))) {
		c->sampling[0] = '\0';
		pipeline_sample(c->pipeline, NULL);
	} else if (parse_sampling(a->rest, &s)) {
		snprintf(c->sampling, sizeof(c->sampling), "%.*s", (int)a->rest.len, a->rest.p);
		pipeline_sample(c->pipeline, &s);
	} else {
		buf_lit(a->out, "Expected 'set sampling <percent>%', as in 10%, or 'on', 'off', 'default'.\n");
		return;
	}
	log_info("admin: set sampling %.*s", (int)a->rest.len, a->rest.p);
}

/* Sources or sinks. */
struct ends {
	uint32_t n;
	const char *(*uri)(const void *of, uint32_t i);
	const void *of;
	char *const *given;
};

/* By its number in the table, by its URI there, or as the configuration has it; `e->n`: there is none. */
static uint32_t find_end(struct slice name, const struct ends *e)
{
	uint64_t number;

	if (slice_uint(name, &number))
		return number >= 1 && number <= e->n ? (uint32_t)number - 1 : e->n;
	for (uint32_t i = 0; i < e->n; i++)
		if (slice_eq(name, slice_str(e->uri(e->of, i))))
			return i;
	for (uint32_t i = 0; i < e->n; i++)
		if (e->given[i] && slice_eq(name, slice_str(e->given[i])))
			return i;
	return e->n;
}

static const char *source_uri(const void *of, uint32_t i)
{
	return pipeline_source_uri(of, i);
}

static const char *sink_uri(const void *of, uint32_t i)
{
	return ((const struct account *)of)->sink[i].uri;
}

static void enable_source(struct ask *a, bool enable)
{
	struct pipeline *p = a->control->pipeline;
	const struct ends sources = { pipeline_sources(p), source_uri, p, a->control->given_source };
	uint32_t i = find_end(a->rest, &sources);

	if (i == sources.n) {
		buf_lit(a->out, "No such source: expected its number or its URI, as 'show sources' lists them.\n");
		return;
	}
	pipeline_enable_source(p, i, enable);
	log_info("admin: %s source %s", enable ? "enable" : "disable", pipeline_source_uri(p, i));
}

static void enable_sink(struct ask *a, bool enable)
{
	struct pipeline *p = a->control->pipeline;
	struct account account;
	uint32_t i;

	pipeline_account(p, &account);
	i = find_end(a->rest, &(struct ends){ account.nsinks, sink_uri, &account, a->control->given_sink });
	if (i == account.nsinks) {
		buf_lit(a->out, "No such sink: expected its number or its URI, as 'show sinks' lists them.\n");
		return;
	}
	pipeline_enable_sink(p, i, enable);
	log_info("admin: %s sink %s", enable ? "enable" : "disable", account.sink[i].uri);
}

static void do_disable_source(struct ask *a)
{
	enable_source(a, false);
}

static void do_enable_source(struct ask *a)
{
	enable_source(a, true);
}

static void do_disable_sink(struct ask *a)
{
	enable_sink(a, false);
}

static void do_enable_sink(struct ask *a)
{
	enable_sink(a, true);
}

static void do_prompt(struct ask *a)
{
	a->client->prompt = true;
}

static void do_quit(struct ask *a)
{
	a->client->leaving = true;
}

static void do_help(struct ask *a);

static const struct command {
	const char *words[2];
	const char *argument;		/* or NULL: none is taken */
	void (*act)(struct ask *a);
	const char *help;
} commands[] = {
	{ { "help", NULL }, NULL, do_help, "this list" },
	{ { "prompt", NULL }, NULL, do_prompt, "keep the connection, and print a prompt" },
	{ { "quit", NULL }, NULL, do_quit, "close the connection" },
	{ { "show", "info" }, NULL, do_info, "how it is, and every counter" },
	{ { "show", "sources" }, NULL, do_sources, "where lines come from" },
	{ { "show", "sinks" }, NULL, do_sinks, "where spans go to, and what became of them" },
	{ { "show", "rules" }, NULL, do_rules, "--keep and --drop, and how many requests each has decided" },
	{ { "show", "metrics" }, NULL, do_metrics, "all numbers, in Prometheus' format" },
	{ { "set", "sampling" }, "<percent>%|on|off|default", do_sampling, "sample so, whatever the configuration says" },
	{ { "disable", "source" }, "<number|uri>", do_disable_source, "do not read it" },
	{ { "enable", "source" }, "<number|uri>", do_enable_source, "read it again" },
	{ { "disable", "sink" }, "<number|uri>", do_disable_sink, "send nothing there; hold it" },
	{ { "enable", "sink" }, "<number|uri>", do_enable_sink, "send what was held, and go on" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void list_commands(struct buf *out)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];
		char text[80];

		snprintf(text, sizeof(text), "%s%s%s%s%s", c->words[0], c->words[1] ? " " : "", c->words[1] ? c->words[1] : "",
			 c->argument ? " " : "", c->argument ? c->argument : "");
		buf_printf(out, "  %-41s : %s\n", text, c->help);
	}
}

static void do_help(struct ask *a)
{
	buf_lit(a->out, "The following commands are valid at this level:\n");
	list_commands(a->out);
}

static struct slice next_word(struct slice *rest)
{
	struct slice word;

	*rest = slice_trim(*rest);
	word = slice_cut(rest, ' ');
	*rest = slice_trim(*rest);
	return word;
}

static const struct command *find_command(struct slice line, struct slice *rest)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];

		*rest = line;
		if (slice_eq(next_word(rest), slice_str(c->words[0])) &&
		    (!c->words[1] || slice_eq(next_word(rest), slice_str(c->words[1]))) && (c->argument || rest->len == 0))
			return c;
	}
	return NULL;
}

static void answer(struct control *control, struct client *c, struct slice line)
{
	struct ask a = { .control = control, .client = c, .out = &c->out };
	const struct command *command = find_command(line, &a.rest);

	if (command) {
		command->act(&a);
	} else {
		buf_lit(&c->out, "Unknown command: '");
		term_text(&c->out, line, 64);
		buf_lit(&c->out, "'. Please enter one of the following commands only:\n");
		list_commands(&c->out);
	}
	buf_char(&c->out, '\n');
}

/* ---- clients ------------------------------------------------------------------------------------------------- */

/* What it sent in vain is read first, as far as that is not too much: else the kernel cuts off what it was answered. */
static void client_close(struct client *c)
{
	for (int i = 0; i < 64 && recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT) > 0; i++)
		;
	close(c->fd);
	buf_free(&c->out);
	*c = (struct client){ .fd = -1 };
}

static void client_open(struct client *c, int fd)
{
	*c = (struct client){ .fd = fd, .moved_ms = clock_ms() };
	c->out.max = SHOW_MAX;
}

/* The next command in what has come; what ends a line ends a command too. */
static bool next_command(struct client *c, struct slice *line, bool *ends_line)
{
	size_t n = 0;

	while (n < c->n && c->in[n] != '\n' && c->in[n] != ';')
		n++;
	if (n == c->n && !c->ended)
		return false;
	if (n == c->n && c->n == 0)
		return false;
	*ends_line = n == c->n || c->in[n] == '\n';
	*line = slice_of(c->in, n);
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	*line = slice_trim(*line);
	return true;
}

static void drop_command(struct client *c)
{
	size_t n = 0;

	while (n < c->n && c->in[n] != '\n' && c->in[n] != ';')
		n++;
	n += n < c->n;
	memmove(c->in, c->in + n, c->n - n);
	c->n -= n;
}

/* Answer the next command. false: there is none. */
static bool client_command(struct control *control, struct client *c)
{
	struct slice line;
	bool ends_line;

	if (c->leaving || !next_command(c, &line, &ends_line))
		return false;
	if (line.len)
		answer(control, c, line);
	drop_command(c);
	c->asked |= ends_line;
	if (c->prompt && ends_line && !c->leaving)
		buf_lit(&c->out, "> ");
	return true;
}

static void client_read(struct client *c)
{
	ssize_t n;

	if (c->n == sizeof(c->in)) {
		buf_lit(&c->out, "This line is too long.\n\n");
		c->n = 0;
		c->leaving = true;
		return;
	}
	n = recv(c->fd, c->in + c->n, sizeof(c->in) - c->n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->ended = n <= 0;
	c->n += n > 0 ? (size_t)n : 0;
	c->moved_ms = clock_ms();
}

/* Send what there is. false: the client is gone. */
static bool client_send(struct client *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.p + c->sent, c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		c->sent += (size_t)n;
		c->moved_ms = clock_ms();
	}
	c->out.len = c->sent = 0;
	return true;
}

static bool is_late(const struct client *c)
{
	bool thinks = c->prompt && c->out.len == 0;

	return clock_ms() - c->moved_ms >= (thinks ? ADMIN_PROMPT_MS : ADMIN_SILENT_MS);
}

static void client_turn(struct control *control, struct client *c, short events)
{
	bool there = true;

	if (events & (POLLIN | POLLHUP | POLLERR))
		client_read(c);
	do
		there = client_send(c);
	while (there && c->out.len == 0 && client_command(control, c));
	/* As HAProxy: without a prompt the first line is all that is answered, with what came along with it. */
	if (!there || is_late(c) || (c->out.len == 0 && (c->leaving || c->ended || (c->asked && !c->prompt))))
		client_close(c);
}

/* ---- the socket ---------------------------------------------------------------------------------------------- */

struct place {
	struct sockaddr_un at;
	mode_t mode;
};

static bool parse_mode(struct slice s, mode_t *mode)
{
	mode_t m = 0;

	if (!slice_starts(s, SLICE("mode=")) || s.len < 8 || s.len > 9)
		return false;
	for (size_t i = 5; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '7')
			return false;
		m = m * 8 + (mode_t)(s.p[i] - '0');
	}
	*mode = m & 0777;
	return true;
}

static bool parse_place(const char *where, struct place *out, struct err *err)
{
	struct slice path = slice_str(where), query;
	size_t at;

	*out = (struct place){ .at = { .sun_family = AF_UNIX }, .mode = 0600 };
	if (!slice_starts(path, SLICE("unix:")) || path.len == 5)
		return err_at(err, EXIT_USAGE, where, strlen(where), 0, "expected unix:PATH");
	path = slice_skip(path, 5);
	at = slice_find(path, '?');
	query = at < path.len ? slice_skip(path, at + 1) : slice_of(NULL, 0);
	path.len = at;
	if (query.p && !parse_mode(query, &out->mode))
		return err_at(err, EXIT_USAGE, where, strlen(where), (size_t)(query.p - where), "expected mode=660 or the like");
	/* It is made under another name first. */
	if (path.len == 0 || path.len + 4 >= sizeof(out->at.sun_path))
		return err_at(err, EXIT_USAGE, where, strlen(where), 5, "a socket's path has at most %zu bytes",
			      sizeof(out->at.sun_path) - 5);
	memcpy(out->at.sun_path, path.p, path.len);
	return true;
}

bool admin_check(const char *where, struct err *err)
{
	struct place place;

	return parse_place(where, &place, err) || err_where(err, "--admin");
}

/* Is there something that must not be replaced? */
static bool is_free(const struct place *place, struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const char *path = place->at.sun_path;
	struct stat st;
	bool taken;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		err_set(err, EXIT_CONFIG, "%s is there, and is no socket", path);
	taken = fd >= 0 && (connect(fd, (const struct sockaddr *)&place->at, sizeof(place->at)) == 0 || errno == EAGAIN);
	if (taken)
		err_set(err, EXIT_INPUT, "somebody answers at %s already", path);
	if (fd >= 0)
		close(fd);
	return err->code == EXIT_DONE;
}

/* Bound beside its place and moved there when it listens: nobody meets it with another mode, or deaf. */
static bool listen_there(struct admin *a, const struct place *place, struct err *err)
{
	struct sockaddr_un beside = place->at;
	const char *path = place->at.sun_path;
	size_t len = strlen(path);
	bool ok;

	memcpy(beside.sun_path + len, ".new", 5);
	unlink(beside.sun_path);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ok = a->fd >= 0 && bind(a->fd, (const struct sockaddr *)&beside, sizeof(beside)) == 0 &&
	     chmod(beside.sun_path, place->mode) == 0 && listen(a->fd, SOMAXCONN) == 0 &&
	     rename(beside.sun_path, path) == 0 && stat(path, &a->made) == 0;
	if (!ok) {
		err_set(err, EXIT_INPUT, "%s: cannot listen there: %m", path);
		unlink(beside.sun_path);
	}
	memcpy(a->path, path, len + 1);
	return ok;
}

struct admin *admin_open(const char *where, struct err *err)
{
	struct admin *a = calloc(1, sizeof(*a));
	struct place place;

	if (!a) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	a->fd = -1;
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++)
		a->client[i].fd = -1;
	if (parse_place(where, &place, err) && is_free(&place, err) && listen_there(a, &place, err)) {
		log_info("admin socket at %s", a->path);
		return a;
	}
	admin_close(a);
	return NULL;
}

void admin_fds(const struct admin *a, struct pollfd fds[ADMIN_FDS])
{
	bool room = false;

	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
		const struct client *c = &a->client[i];
		bool full = c->out.len > 0;

		fds[1 + i] = (struct pollfd){ .fd = c->fd, .events = full ? POLLOUT : POLLIN };
		room |= c->fd < 0;
	}
	fds[0] = (struct pollfd){ .fd = room ? a->fd : -1, .events = POLLIN };
}

void admin_turn(struct admin *a, const struct pollfd fds[ADMIN_FDS], struct control *control)
{
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++)
		if (a->client[i].fd >= 0)
			client_turn(control, &a->client[i], fds[1 + i].revents);
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX && fds[0].revents; i++) {
		int fd = a->client[i].fd < 0 ? accept4(a->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;

		if (fd >= 0)
			client_open(&a->client[i], fd);
	}
}

void admin_close(struct admin *a)
{
	struct stat st;

	if (!a)
		return;
	for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++)
		if (a->client[i].fd >= 0)
			client_close(&a->client[i]);
	if (a->fd >= 0)
		close(a->fd);
	/* Another haspan's socket may have taken its place. */
	if (a->made.st_ino && lstat(a->path, &st) == 0 && st.st_ino == a->made.st_ino && st.st_dev == a->made.st_dev)
		unlink(a->path);
	free(a);
}
