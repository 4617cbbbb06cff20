/*
 * ingest/stream.c - syslog over TCP and TLS: listeners, and the connections that they accept.
 *
 * A connection is in one of four lists of its listener, each in the order of time, so that whose time is up stands first
 * and ten thousand idle ones cost nothing. Everything here is called by whoever holds live_fill, except for metrics.
 */
#include "core/log.h"
#include "ingest/activation.h"
#include "ingest/address.h"
#include "ingest/port.h"
#include "ingest/stitch.h"
#include "ingest/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a connection is doing; each has a list. */
enum mood {
	MOOD_GREETING,		/* in the TLS handshake, since it was accepted */
	MOOD_QUIET,		/* between two messages, since the last one */
	MOOD_INSIDE,		/* inside a message, since that began */
	MOOD_LEAVING,		/* told to go, silent since */
	MOOD_MAX
};

struct conn {
	struct port port;
	struct conn *prev, *next;	/* of its mood, longest first */
	int64_t since_ms;
	int64_t asked_ms;		/* when it was read, or found empty, last */
	enum mood mood;
	bool told;			/* to go */
	bool cut;			/* its time was up: what came is used, the rest is not awaited */
	int fd;
	struct tls_session *tls;	/* NULL: in plain */
	struct stitch stitch;
	size_t counted;			/* its part of `streams.carried` */
};

struct list {
	struct conn *first, *last;
};

struct listener {
	struct port port;
	struct listener *next;		/* of all; those that only connections hold stand there too */
	uint32_t refs;			/* its own, and one for each connection */
	struct list list[MOOD_MAX];
	bool starved;			/* no descriptor was left: it rests until the next tick */
	int fd;
	struct tls_files files;		/* owned texts; cert NULL: tcp:// */
	struct tls_context *tls;
	int64_t said_refused_ms, said_failed_ms, said_expired_ms;
	_Atomic uint64_t bytes, accepted, open, refused, expired, errors;
};

/* The bounds are for all listeners together. Whoever holds live_fill. */
static struct {
	uint32_t connections;
	size_t carried;			/* memory for unfinished messages, without that of connections that are cut */
	struct listener *listeners;
} streams;

static struct listener *listener_of(const struct conn *c)
{
	return (struct listener *)c->port.parent;
}

static void count(_Atomic uint64_t *n, uint64_t more)
{
	atomic_fetch_add_explicit(n, more, memory_order_relaxed);
}

/* ---- moods ------------------------------------------------------------------------------------------- */

static void leave_list(struct conn *c)
{
	struct list *list = &listener_of(c)->list[c->mood];

	*(c->prev ? &c->prev->next : &list->first) = c->next;
	*(c->next ? &c->next->prev : &list->last) = c->prev;
}

/* The connection's time begins anew, in this mood. */
static void enter_list(struct conn *c, enum mood mood, int64_t now_ms)
{
	struct list *list = &listener_of(c)->list[mood];

	c->mood = mood;
	c->since_ms = now_ms;
	c->next = NULL;
	c->prev = list->last;
	*(c->prev ? &c->prev->next : &list->first) = c;
	list->last = c;
}

static void move(struct conn *c, enum mood mood, int64_t now_ms)
{
	leave_list(c);
	enter_list(c, mood, now_ms);
}

/* ---- ways to go -------------------------------------------------------------------------------------- */

static void say_expired(struct listener *l, const char *why)
{
	count(&l->expired, 1);
	if (log_due(&l->said_expired_ms, LOG_EVERY_MS))
		log_info("%s: haspan closes its half of a connection: %s (%llu so far)", l->port.uri, why,
			 (unsigned long long)atomic_load(&l->expired));
}

/* Nothing will come from here: a peer that has nothing to say goes, and what it still says is read. */
static void half_close(struct conn *c)
{
	if (c->tls)
		tls_goodbye(c->tls);
	shutdown(c->fd, SHUT_WR);
	c->told = true;
}

/* What has arrived is still read, but not more: the descriptor becomes ready, and fill sees the end. */
static void cut(struct conn *c)
{
	c->cut = true;
	streams.carried -= c->counted;
	c->counted = 0;
	shutdown(c->fd, SHUT_RDWR);
	live_ready(c->port.live, &c->port);
}

static void listener_release(struct listener *l)
{
	struct listener **at = &streams.listeners;

	if (--l->refs)
		return;
	while (*at && *at != l)
		at = &(*at)->next;
	if (*at)
		*at = l->next;
	tls_context_free(l->tls);
	free((void *)(uintptr_t)l->files.cert);
	free((void *)(uintptr_t)l->files.key);
	free((void *)(uintptr_t)l->files.ca);
	free(l);
}

static void conn_close(struct port *p)
{
	struct conn *c = (struct conn *)p;
	struct listener *l = listener_of(c);

	leave_list(c);
	streams.connections--;
	streams.carried -= c->counted;
	atomic_fetch_sub_explicit(&l->open, 1, memory_order_relaxed);
	if (c->tls && !c->cut)
		tls_goodbye(c->tls);
	tls_session_free(c->tls);
	stitch_free(&c->stitch);
	close(c->fd);
	free(c);
	listener_release(l);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

/* What one read of a connection brought. */
struct gain {
	size_t n;
	bool ended;		/* there will be no more */
	bool all;		/* there is no more now */
	bool wait;		/* the peer must read before more can come */
};

static void say_failed(struct conn *c, const char *reason)
{
	struct listener *l = listener_of(c);
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof(a);
	char name[ADDRESS_TEXT];

	count(&l->errors, 1);
	getpeername(c->fd, (struct sockaddr *)&a, &n);
	if (log_due(&l->said_failed_ms, LOG_EVERY_MS))
		log_warn("%s: %s: %s (%llu failed so far)", l->port.uri, address_name(&a, name), reason,
			 (unsigned long long)atomic_load(&l->errors));
}

static struct gain read_plain(struct conn *c, char *p, size_t room)
{
	ssize_t got = recv(c->fd, p, room, MSG_DONTWAIT);

	if (got > 0)
		return (struct gain){ .n = (size_t)got, .all = (size_t)got < room };
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return (struct gain){ .all = true };
	/* A reset between two messages is how health checks say goodbye. */
	if (got < 0 && (errno != ECONNRESET || c->mood == MOOD_INSIDE))
		say_failed(c, strerror(errno));
	return (struct gain){ .ended = true };
}

static struct gain read_tls(struct conn *c, char *p, size_t room)
{
	enum tls_left left = TLS_WAIT;
	struct gain g = { .n = tls_read(c->tls, p, room, &left) };

	g.all = g.n < room;
	if (!g.all)
		return g;
	if (left == TLS_FAILED && !c->cut)
		say_failed(c, tls_reason(c->tls));
	g.ended = left == TLS_END || left == TLS_FAILED;
	g.wait = left == TLS_WAIT_WRITE;
	return g;
}

/* Of all listeners' connections the one that has been inside its message for longest. */
static struct conn *oldest_inside(void)
{
	struct conn *oldest = NULL;

	for (struct listener *l = streams.listeners; l; l = l->next) {
		struct conn *c = l->list[MOOD_INSIDE].first;

		while (c && c->cut)
			c = c->next;
		if (c && (!oldest || c->since_ms < oldest->since_ms))
			oldest = c;
	}
	return oldest;
}

/* Memory for unfinished messages of all: beyond its bound the one goes that has been at it for longest. */
static void account(struct conn *c)
{
	struct conn *oldest;

	if (c->stitch.carried == 0)
		stitch_rest(&c->stitch);
	if (c->cut)
		return;
	streams.carried += c->stitch.room - c->counted;
	c->counted = c->stitch.room;
	if (streams.carried <= CARRY_MAX || !(oldest = oldest_inside()))
		return;
	say_expired(listener_of(oldest), "unfinished messages of all connections take too much memory");
	cut(oldest);
}

/* Something came: whose time is it now? */
static void set_mood(struct conn *c, bool frames)
{
	bool inside = c->stitch.carried || c->stitch.torn;

	if (c->tls && !tls_established(c->tls))
		return;
	/* A message that goes on is as old as it was. */
	if (inside && c->mood == MOOD_INSIDE && !frames)
		return;
	move(c, inside ? MOOD_INSIDE : c->told ? MOOD_LEAVING : MOOD_QUIET, clock_ms());
}

static enum port_left rest(struct conn *c)
{
	live_rewatch(c->port.live, &c->port, -1);
	c->port.due_ms = clock_ms() + REST_MS;
	return PORT_EMPTY;
}

static enum port_left conn_fill(struct port *p, struct block *b)
{
	struct conn *c = (struct conn *)p;
	struct listener *l = listener_of(c);
	size_t before = b->len, at = before + c->stitch.carried;
	struct gain g;

	if (!stitch_fits(&c->stitch, b))
		return PORT_FULL;
	c->asked_ms = clock_ms();
	g = c->tls ? read_tls(c, b->p + at, BLOCK_SIZE - at) : read_plain(c, b->p + at, BLOCK_SIZE - at);
	/* What is unfinished when everybody goes is a line, as it is at the end of a file. */
	g.ended |= (live_ending(p->live) || c->cut) && g.all;
	count(&l->bytes, g.n);
	if (g.n || (g.ended && c->stitch.carried)) {
		stitch_take(&c->stitch, b, g.n, g.ended);
		set_mood(c, b->len > before);
		account(c);
	} else if (c->mood == MOOD_GREETING && tls_established(c->tls)) {
		set_mood(c, false);
	}
	if (g.ended)
		return PORT_GONE;
	if (g.wait)
		return rest(c);
	return g.all ? PORT_EMPTY : PORT_MORE;
}

/* It has rested. */
static enum port_left conn_tick(struct port *p, int64_t now_ms)
{
	struct conn *c = (struct conn *)p;

	(void)now_ms;
	p->due_ms = 0;
	if (p->fd < 0)
		live_rewatch(p->live, p, c->fd);
	return PORT_MORE;
}

static const struct port_ops conn_ops = { .fill = conn_fill, .tick = conn_tick, .close = conn_close };

/* ---- accepting --------------------------------------------------------------------------------------- */

/* A peer that lost its power says nothing any more: the kernel asks, and ends the connection. */
static void keep_alive(int fd)
{
	const int on = 1, idle = KEEPALIVE_S, every = KEEPALIVE_PROBE_S, probes = 3;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* Is there a place for one more? Whoever was told to go and is still here has to, to make one. */
static bool make_room(struct listener *l)
{
	struct conn *c = l->list[MOOD_LEAVING].first;

	if (streams.connections < live_settings(l->port.live)->max_connections)
		return true;
	while (c && c->cut)
		c = c->next;
	if (c)
		cut(c);
	return false;
}

static void refuse(struct listener *l, int fd)
{
	count(&l->refused, 1);
	close(fd);
	if (log_due(&l->said_refused_ms, LOG_EVERY_MS))
		log_warn("%s: connections are refused, there are %u: --max-connections (%llu refused so far)", l->port.uri,
			 streams.connections, (unsigned long long)atomic_load(&l->refused));
}

static void take_in(struct listener *l, int fd)
{
	struct conn *c = make_room(l) ? calloc(1, sizeof(*c)) : NULL;

	if (c && l->tls && !(c->tls = tls_session_new(l->tls, fd))) {
		free(c);
		c = NULL;
	}
	if (!c) {
		refuse(l, fd);
		return;
	}
	keep_alive(fd);
	c->port = (struct port){ .ops = &conn_ops, .live = l->port.live, .parent = &l->port, .source = l->port.source, .fd = fd };
	c->fd = fd;
	c->asked_ms = clock_ms();
	l->refs++;
	streams.connections++;
	count(&l->accepted, 1);
	count(&l->open, 1);
	enter_list(c, c->tls ? MOOD_GREETING : MOOD_QUIET, clock_ms());
	if (live_watch(l->port.live, &c->port)) {
		live_ready(l->port.live, &c->port);	/* mostly its first bytes are there already */
		return;
	}
	count(&l->errors, 1);
	conn_close(&c->port);
}

/* No descriptor is left: who waits goes on waiting, and haspan doesn't turn in a circle. */
static void starve(struct listener *l)
{
	count(&l->errors, 1);
	if (log_due(&l->said_failed_ms, LOG_EVERY_MS))
		log_warn("%s: cannot accept a connection: %m", l->port.uri);
	l->starved = true;
	live_rewatch(l->port.live, &l->port, -1);
}

/* Up to `max` of those that wait. Returns how many. */
static unsigned accept_some(struct listener *l, unsigned max)
{
	unsigned n = 0;

	while (n < max) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			starve(l);
			break;
		}
		if (fd < 0 && errno == EAGAIN)
			break;
		/* Others are errors of one connection: accept(2) says to go on. */
		n++;
		if (fd >= 0)
			take_in(l, fd);
	}
	if (l->port.due_ms == 0 && streams.connections)
		l->port.due_ms = clock_ms() + LISTENER_LOOK_MS;
	return n;
}

static enum port_left listener_fill(struct port *p, struct block *b)
{
	struct listener *l = (struct listener *)p;

	(void)b;
	if (l->fd < 0 || l->starved)
		return PORT_EMPTY;
	return accept_some(l, ACCEPTS_MAX) == ACCEPTS_MAX ? PORT_MORE : PORT_EMPTY;
}

/* ---- time -------------------------------------------------------------------------------------------- */

/*
 * Nobody has read it for a while (sinks that take nothing make all sources wait; its own may be disabled), and there is
 * something to read: it is haspan that is late.
 */
static bool is_kept_waiting(const struct conn *c)
{
	char byte;

	return clock_ms() - c->asked_ms > LISTENER_LOOK_MS &&
	       (c->port.ready || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

static void expire(struct listener *l, enum mood mood, int64_t before_ms, const char *why)
{
	for (struct conn *c = l->list[mood].first, *next; c && c->since_ms <= before_ms; c = next) {
		next = c->next;
		if (c->cut)
			continue;
		if (is_kept_waiting(c)) {
			move(c, mood, clock_ms());
			continue;
		}
		say_expired(l, why);
		if (mood == MOOD_QUIET) {
			half_close(c);
			move(c, MOOD_LEAVING, clock_ms());
		} else {
			cut(c);
		}
	}
}

static enum port_left listener_tick(struct port *p, int64_t now_ms)
{
	struct listener *l = (struct listener *)p;
	int64_t idle_ms = live_settings(p->live)->idle_ms;

	if (l->starved && l->fd >= 0) {
		l->starved = false;
		live_rewatch(p->live, p, l->fd);
	}
	expire(l, MOOD_GREETING, now_ms - MESSAGE_MS, "its TLS handshake doesn't end");
	expire(l, MOOD_INSIDE, now_ms - MESSAGE_MS, "a message of it doesn't end");
	if (idle_ms > 0)
		expire(l, MOOD_QUIET, now_ms - idle_ms, "--idle-timeout");
	p->due_ms = l->refs > 1 ? now_ms + LISTENER_LOOK_MS : 0;
	return PORT_EMPTY;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static void listener_stop(struct port *p)
{
	struct listener *l = (struct listener *)p;

	/* Who has connected has perhaps sent something too. */
	if (l->fd >= 0 && !l->starved)
		accept_some(l, STOP_ACCEPTS_MAX);
	live_rewatch(p->live, p, -1);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	/* Peers that understand go at once; live.c waits for them a little. */
	for (int mood = 0; mood < MOOD_MAX; mood++)
		for (struct conn *c = l->list[mood].first; c; c = c->next)
			half_close(c);
}

static void listener_close(struct port *p)
{
	struct listener *l = (struct listener *)p;

	if (l->fd >= 0)
		close(l->fd);
	listener_release(l);
}

/* ---- settings ---------------------------------------------------------------------------------------- */

/* Descriptors for all connections and everything else: the soft limit is the program's to raise. */
static void raise_descriptors(const struct listener *l)
{
	rlim_t wanted = (rlim_t)live_settings(l->port.live)->max_connections + DESCRIPTORS_ELSE;
	struct rlimit have;

	if (getrlimit(RLIMIT_NOFILE, &have) != 0 || have.rlim_cur >= wanted)
		return;
	if (have.rlim_max < wanted) {
		struct rlimit more = { wanted, wanted };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
		log_warn("only about %llu of --max-connections %u are possible: the limit of open files is %llu",
			 (unsigned long long)(have.rlim_max > DESCRIPTORS_ELSE ? have.rlim_max - DESCRIPTORS_ELSE : 0),
			 live_settings(l->port.live)->max_connections, (unsigned long long)have.rlim_max);
		wanted = have.rlim_max;
	}
	have.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &have);
}

static bool listener_reload(struct port *p, struct err *err)
{
	struct listener *l = (struct listener *)p;
	struct tls_context *fresh;

	raise_descriptors(l);
	if (!l->tls)
		return true;
	fresh = tls_context_new(&l->files, err);
	if (!fresh)
		return false;
	tls_context_free(l->tls);
	l->tls = fresh;
	return true;
}

static uint64_t number(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

static void listener_metrics(struct port *p, struct metrics *m)
{
	struct listener *l = (struct listener *)p;

	metrics_add(m, METRIC_source_bytes_total, (double)number(&l->bytes));
	metrics_add(m, METRIC_source_errors_total, (double)number(&l->errors));
	metrics_add(m, METRIC_source_connections, (double)number(&l->open));
	metrics_add(m, METRIC_source_connections_total, (double)number(&l->accepted));
	metrics_add(m, METRIC_source_connections_refused_total, (double)number(&l->refused));
	metrics_add(m, METRIC_source_connections_expired_total, (double)number(&l->expired));
}

static const struct port_ops listener_ops = {
	.fill = listener_fill,
	.tick = listener_tick,
	.reload = listener_reload,
	.metrics = listener_metrics,
	.stop = listener_stop,
	.close = listener_close,
};

/* ---- opening ----------------------------------------------------------------------------------------- */

enum { PARAM_REUSEPORT, PARAM_BACKLOG, PARAMS_TCP, PARAM_CERT = PARAMS_TCP, PARAM_KEY, PARAM_CA, PARAMS_TLS };

static bool read_backlog(struct slice uri, const struct address_param *p, int *backlog, struct err *err)
{
	uint64_t n = BACKLOG_DEFAULT;

	if (p->given && (!slice_uint(p->value, &n) || n == 0 || n > BACKLOG_MAX))
		return err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(p->value.p - uri.p), "expected 1 to %d", BACKLOG_MAX);
	*backlog = (int)n;
	return true;
}

static const char *text_of(const struct address_param *p)
{
	return p->given ? address_text(p->value) : NULL;
}

static bool open_tls(struct listener *l, struct slice uri, const struct address_param *param, struct err *err)
{
	if (!param[PARAM_CERT].given)
		return err_at(err, EXIT_USAGE, uri.p, uri.len, uri.len, "expected ?cert=FILE, and &key=FILE if that is another");
	l->files = (struct tls_files){ text_of(&param[PARAM_CERT]), text_of(&param[PARAM_KEY]), text_of(&param[PARAM_CA]) };
	l->tls = tls_context_new(&l->files, err);
	return l->tls != NULL;
}

static bool bind_listener(struct listener *l, const struct address *at, bool reuseport, int backlog, struct err *err)
{
	char name[ADDRESS_TEXT];
	bool passed;

	if (live_settings(l->port.live)->check_only)
		return true;
	raise_descriptors(l);
	l->fd = l->port.fd = address_bind(at, SOCK_STREAM, reuseport, &passed, err);
	if (l->fd < 0)
		return false;
	if (!passed && listen(l->fd, backlog) != 0)
		return err_set(err, EXIT_INPUT, "cannot listen on %s: %m", address_name(&at->a, name));
	address_bound(l->fd, l->port.bound);
	return true;
}

static struct port *stream_open(struct live *live, struct slice uri, struct slice rest, bool tls, struct err *err)
{
	struct address_param param[PARAMS_TLS] = {
		[PARAM_REUSEPORT] = { .name = "reuseport", .flag = true }, [PARAM_BACKLOG] = { .name = "backlog" },
		[PARAM_CERT] = { .name = "cert" }, [PARAM_KEY] = { .name = "key" }, [PARAM_CA] = { .name = "ca" },
	};
	struct listener *l;
	struct address at;
	int backlog = 0;

	if (!address_params(uri, &rest, param, tls ? PARAMS_TLS : PARAMS_TCP, err) ||
	    !read_backlog(uri, &param[PARAM_BACKLOG], &backlog, err) ||
	    !address_parse(uri, rest, tls ? "6514" : "514", SOCK_STREAM, &at, err))
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l) {
		err_set(err, EXIT_INPUT, "out of memory");
		return NULL;
	}
	l->port = (struct port){ .ops = &listener_ops, .live = live, .fd = -1 };
	l->fd = -1;
	l->refs = 1;
	l->next = streams.listeners;
	streams.listeners = l;
	if ((!tls || open_tls(l, uri, param, err)) && bind_listener(l, &at, param[PARAM_REUSEPORT].given, backlog, err))
		return &l->port;
	listener_close(&l->port);
	return NULL;
}

struct port *tcp_open(struct live *live, struct slice uri, struct slice rest, struct err *err)
{
	return stream_open(live, uri, rest, false, err);
}

struct port *tls_open(struct live *live, struct slice uri, struct slice rest, struct err *err)
{
	return stream_open(live, uri, rest, true, err);
}
