/*
 * control_http.c - /metrics, /healthz and /readyz, by libmicrohttpd: a thread of its own answers, so that a probe is
 * answered when the main loop is stuck, with the news that it is.
 */
#include "control_private.h"

#include "core/library.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/stop.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection, as libmicrohttpd's thread sees it. */
struct client {
	bool open, told;		/* told: it has to go */
	int fd;
	int64_t since_ms;		/* when its last request was answered, or when it came */
};

struct metrics_port {
	int fd;				/* -1: the daemon's */
	struct MHD_Daemon *daemon;
	struct control *control;
	char shown[NI_MAXHOST + NI_MAXSERV + 4];
	struct client client[METRICS_CONNECTIONS_MAX + METRICS_CONNECTIONS_MORE];
};

/* Loaded by who asks for metrics: it brings a TLS library along that haspan does not need. */
static struct library library = { "libmicrohttpd.so.12",
				  "--listen-metrics needs libmicrohttpd (Debian: apt install libmicrohttpd12)", NULL };

#define MHD_FUNCTIONS(X) \
	X(add_response_header) X(create_response_from_buffer) X(destroy_response) X(get_connection_info) \
	X(lookup_connection_value) X(queue_response) X(start_daemon) X(stop_daemon)

static struct {
#define X(name) __typeof__(MHD_##name) *name;
	MHD_FUNCTIONS(X)
#undef X
} mhd;

static bool mhd_load(struct err *err)
{
	if (!library_load(&library, err))
		return false;
#define X(name) \
	if (!library_find(&library, "MHD_" #name, &mhd.name, err)) \
		return false;
	MHD_FUNCTIONS(X)
#undef X
	return true;
}

#define TEXT "text/plain; charset=utf-8"
#define TEXT_PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* ---- answers ------------------------------------------------------------------------------------------------- */

/* `body` is taken. */
static enum MHD_Result reply(struct MHD_Connection *to, unsigned status, const char *type, struct buf *body)
{
	struct MHD_Response *r = mhd.create_response_from_buffer(body->len, body->p, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result done = MHD_NO;

	if (!r) {
		buf_free(body);
		return MHD_NO;
	}
	if (mhd.add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
	    (status != MHD_HTTP_METHOD_NOT_ALLOWED || mhd.add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES))
		done = mhd.queue_response(to, status, r);
	mhd.destroy_response(r);
	return done;
}

static enum MHD_Result reply_word(struct MHD_Connection *to, unsigned status, const char *word)
{
	struct buf body = { .max = SHOW_MAX };

	buf_printf(&body, "%s\n", word);
	return reply(to, status, TEXT, &body);
}

static enum MHD_Result reply_metrics(struct MHD_Connection *to, struct control *c)
{
	const char *accept = mhd.lookup_connection_value(to, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool openmetrics = accept && strstr(accept, "application/openmetrics-text");
	struct buf body = { .max = SHOW_MAX };

	show_metrics(c, &body, openmetrics);
	return reply(to, MHD_HTTP_OK, openmetrics ? TEXT_OPENMETRICS : TEXT_PROMETHEUS, &body);
}

static enum MHD_Result reply_ready(struct MHD_Connection *to, const struct control *c)
{
	if (c->state == STATE_STOPPING || stop_requested())
		return reply_word(to, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping");
	if (c->state == STATE_STARTING)
		return reply_word(to, MHD_HTTP_SERVICE_UNAVAILABLE, "starting");
	return reply_word(to, MHD_HTTP_OK, "ready");
}

/* Called when the headers are there, and again when the body is, which nobody wants. */
static enum MHD_Result answer(void *cls, struct MHD_Connection *to, const char *url, const char *method,
			      const char *version, const char *data, size_t *size, void **state)
{
	static int seen;
	struct metrics_port *m = cls;

	(void)version, (void)data;
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	if (*size) {
		*size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply_word(to, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET");
	if (strcmp(url, "/metrics") == 0)
		return reply_metrics(to, m->control);
	if (strcmp(url, "/readyz") == 0)
		return reply_ready(to, m->control);
	if (strcmp(url, "/healthz") != 0)
		return reply_word(to, MHD_HTTP_NOT_FOUND, "here are /metrics, /healthz and /readyz");
	return control_alive(m->control) ? reply_word(to, MHD_HTTP_OK, "alive") :
					   reply_word(to, MHD_HTTP_SERVICE_UNAVAILABLE, "stuck");
}

/* ---- who has to go ------------------------------------------------------------------------------------------- */

/*
 * A client that sends a byte now and then is never silent, and as many of those would keep the probes out: when there are
 * more than may be, the one goes that has been without an answer for longest.
 */
static void tell_longest(struct metrics_port *m)
{
	struct client *longest = NULL;
	unsigned staying = 0;

	for (size_t i = 0; i < sizeof(m->client) / sizeof(m->client[0]); i++) {
		struct client *c = &m->client[i];

		if (!c->open || c->told)
			continue;
		staying++;
		if (!longest || c->since_ms < longest->since_ms)
			longest = c;
	}
	if (staying <= METRICS_CONNECTIONS_MAX)
		return;
	longest->told = true;
	shutdown(longest->fd, SHUT_RDWR);	/* the descriptor stays libmicrohttpd's, which finds the end */
}

static void note_client(void *cls, struct MHD_Connection *connection, void **context,
			enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct metrics_port *m = cls;
	struct client *c = *context;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED && c)
		c->open = false;
	if (what != MHD_CONNECTION_NOTIFY_STARTED || !info)
		return;
	/* There are as many as CONNECTION_LIMIT lets in. */
	for (c = m->client; c->open; c++)
		if (c == &m->client[METRICS_CONNECTIONS_MAX + METRICS_CONNECTIONS_MORE - 1])
			return;
	*c = (struct client){ .open = true, .fd = info->connect_fd, .since_ms = clock_ms() };
	*context = c;
	tell_longest(m);
}

static void note_answer(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	const union MHD_ConnectionInfo *info = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *c = info ? info->socket_context : NULL;

	(void)cls, (void)state, (void)why;
	if (c)
		c->since_ms = clock_ms();
}

/* What clients do wrong is theirs. */
static void quiet(void *cls, const char *fmt, va_list args)
{
	char text[256];

	(void)cls;
	vsnprintf(text, sizeof(text), fmt, args);
	log_debug("metrics: %s", text);
}

/* ---- the port ------------------------------------------------------------------------------------------------ */

/* `9464`, `:9464`, `host:9464`, `[::1]:9464`, `*:9464`. NULL: `err` filled. */
static struct addrinfo *resolve(const char *where, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE }, *found = NULL;
	const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
	struct slice host = slice_of(where, colon ? (size_t)(colon - where) : 0);
	char name[NI_MAXHOST];
	uint64_t number;
	int code;

	if (!slice_uint(slice_str(port), &number) || number > 65535) {
		err_at(err, EXIT_USAGE, where, strlen(where), (size_t)(port - where), "expected [HOST:]PORT, as in 9464");
		return NULL;
	}
	if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = slice_of(host.p + 1, host.len - 2);
	if (host.len == 0)
		host = SLICE("127.0.0.1");
	snprintf(name, sizeof(name), "%.*s", (int)host.len, host.p);
	code = getaddrinfo(strcmp(name, "*") == 0 ? NULL : name, port, &hints, &found);
	if (code == 0)
		return found;
	err_at(err, EXIT_USAGE, where, strlen(where), 0, "no such address: %s", gai_strerror(code));
	return NULL;
}

bool metrics_check(const char *where, struct err *err)
{
	struct addrinfo *found = resolve(where, err);

	if (!found)
		return err_where(err, "--listen-metrics");
	freeaddrinfo(found);
	return true;
}

static int listen_on(const struct addrinfo *at)
{
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, METRICS_CONNECTIONS_MAX) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* The address that was bound: port 0 means any that is free. */
static void show_address(struct metrics_port *m)
{
	char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);

	if (getsockname(m->fd, (struct sockaddr *)&at, &len) == 0)
		getnameinfo((const struct sockaddr *)&at, len, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(m->shown, sizeof(m->shown), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

struct metrics_port *metrics_open(const char *where, struct err *err)
{
	struct addrinfo *found = mhd_load(err) ? resolve(where, err) : NULL;
	struct metrics_port *m = found ? calloc(1, sizeof(*m)) : NULL;

	if (!m) {
		err_set(err, EXIT_CONFIG, "out of memory");
		if (found)
			freeaddrinfo(found);
		return NULL;
	}
	m->fd = listen_on(found);
	freeaddrinfo(found);
	if (m->fd >= 0) {
		show_address(m);
		return m;
	}
	err_set(err, EXIT_INPUT, "cannot listen on %s: %m", where);
	free(m);
	return NULL;
}

bool metrics_start(struct metrics_port *m, struct control *c, struct err *err)
{
	m->control = c;
	m->daemon = mhd.start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG, 0, NULL, NULL,
				     answer, m,
				     /* first: what follows may have something to say */
				     MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL,
				     MHD_OPTION_LISTEN_SOCKET, m->fd,
				     MHD_OPTION_CONNECTION_LIMIT,
				     (unsigned)(METRICS_CONNECTIONS_MAX + METRICS_CONNECTIONS_MORE),
				     MHD_OPTION_NOTIFY_CONNECTION, note_client, m,
				     MHD_OPTION_NOTIFY_COMPLETED, note_answer, m,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)METRICS_SILENT_S,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, METRICS_MEMORY,
				     MHD_OPTION_END);
	if (!m->daemon)
		return err_set(err, EXIT_CONFIG, "cannot serve metrics: %m");
	m->fd = -1;
	log_info("metrics at http://%s/metrics", m->shown);
	return true;
}

void metrics_close(struct metrics_port *m)
{
	if (!m)
		return;
	if (m->daemon)
		mhd.stop_daemon(m->daemon);
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}
