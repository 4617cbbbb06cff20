#include "core/log.h"
#include "core/stop.h"
#include "ingest/activation.h"
#include "ingest/port.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Descriptors that one look at the kernel can find ready; more are found by the next look. */
#define EVENTS 64

struct live {
	const struct live_config *c;
	int epoll, wake;
	struct port *ports;			/* all, connections too */
	struct port *ready, **ready_tail;	/* to be asked before anybody waits */
	struct port *source[LIVE_SOURCES_MAX];
	_Atomic bool paused[LIVE_SOURCES_MAX];
	bool parked[LIVE_SOURCES_MAX];		/* what was done about it */
	_Atomic uint32_t nsources;
	atomic_bool pausing;			/* somebody has changed `paused` */
	struct port *timed;			/* all that have a due_ms, and perhaps some that have none any more */
	int64_t next_due_ms;			/* no port is due before; 0: none is at all */
	_Atomic int failed;			/* enum exit_code */
	uint32_t connections;			/* ports that have a parent */
	bool little;				/* the last block held little; `left_ms`: when it left */
	int64_t left_ms;
	uint32_t impatient;			/* sources that are */
	bool stopping, ending;
	int64_t stop_by_ms, news_ms;		/* once stopping: when to end at the latest; when something came last */
};

/* ---- kinds ------------------------------------------------------------------------------------------- */

static const struct {
	struct slice scheme;
	struct port *(*open)(struct live *l, struct slice uri, struct slice rest, struct err *err);
} kinds[] = {
	{ { "udp://", 6 }, udp_open },	 { { "unix:", 5 }, unix_open },	    { { "tcp://", 6 }, tcp_open },
	{ { "tls://", 6 }, tls_open },	 { { "follow:", 7 }, follow_open },
	{ { "kafka://", 8 }, kafka_open },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static size_t kind_of(struct slice uri)
{
	size_t k = 0;

	while (k < KINDS && !slice_starts(uri, kinds[k].scheme))
		k++;
	return k;
}

bool live_names(struct slice uri)
{
	return kind_of(uri) < KINDS;
}

/* ---- the set ----------------------------------------------------------------------------------------- */

/* An event without a port: of the wake, or of the wish to stop. */
static bool watch_signal(struct live *l, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };

	return fd >= 0 && epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

struct live *live_new(const struct live_config *c, struct err *err)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	l->c = c;
	l->ready_tail = &l->ready;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->epoll >= 0 && watch_signal(l, l->wake) && watch_signal(l, stop_fd()))
		return l;
	err_set(err, EXIT_CONFIG, "no descriptor left: %m");
	live_free(l);
	return NULL;
}

const struct live_config *live_settings(const struct live *l)
{
	return l->c;
}

static void note_due(struct live *l, struct port *p)
{
	if (p->due_ms && !p->timed) {
		p->timed = true;
		p->timed_next = l->timed;
		l->timed = p;
	}
	if (p->due_ms && (l->next_due_ms == 0 || p->due_ms < l->next_due_ms))
		l->next_due_ms = p->due_ms;
}

static bool is_parked(const struct live *l, const struct port *p)
{
	return l->parked[p->source];
}

static bool poll_port(struct live *l, struct port *p, int op)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = p };

	return p->fd < 0 || is_parked(l, p) || epoll_ctl(l->epoll, op, p->fd, &e) == 0;
}

bool live_watch(struct live *l, struct port *p)
{
	p->live = l;
	if (!poll_port(l, p, EPOLL_CTL_ADD))
		return false;
	p->next = l->ports;
	p->prev = NULL;
	if (p->next)
		p->next->prev = p;
	l->ports = p;
	l->connections += p->parent != NULL;
	note_due(l, p);
	return true;
}

void live_rewatch(struct live *l, struct port *p, int fd)
{
	poll_port(l, p, EPOLL_CTL_DEL);		/* fails when the kernel did so already: it was closed */
	p->fd = fd;
	if (!poll_port(l, p, EPOLL_CTL_ADD))
		log_warn("%s: cannot watch it: %m", p->uri ? p->uri : "a connection");
}

void live_ready(struct live *l, struct port *p)
{
	if (p->ready)
		return;
	p->ready = true;
	p->ready_next = NULL;
	*l->ready_tail = p;
	l->ready_tail = &p->ready_next;
}

static struct port *take_ready(struct live *l)
{
	struct port *p = l->ready;

	if (!p)
		return NULL;
	l->ready = p->ready_next;
	if (!l->ready)
		l->ready_tail = &l->ready;
	p->ready = false;
	return p;
}

/* Before all others: it was its turn. */
static void put_back(struct live *l, struct port *p)
{
	p->ready = true;
	p->ready_next = l->ready;
	l->ready = p;
	if (!p->ready_next)
		l->ready_tail = &p->ready_next;
}

static void unlink_ready(struct live *l, struct port *p)
{
	struct port **at = &l->ready;

	if (!p->ready)
		return;
	while (*at != p)
		at = &(*at)->ready_next;
	*at = p->ready_next;
	if (!p->ready_next)
		l->ready_tail = at;
	p->ready = false;
}

static void unlink_timed(struct live *l, struct port *p)
{
	struct port **at = &l->timed;

	if (!p->timed)
		return;
	while (*at != p)
		at = &(*at)->timed_next;
	*at = p->timed_next;
	p->timed = false;
}

/* A source stays where others look for it until the end; without its descriptor it is never asked again. */
static void retire(struct live *l, struct port *p)
{
	poll_port(l, p, EPOLL_CTL_DEL);
	unlink_ready(l, p);
	unlink_timed(l, p);
	p->due_ms = 0;
	p->gone = true;
	if (p->uri)
		return;
	*(p->prev ? &p->prev->next : &l->ports) = p->next;
	if (p->next)
		p->next->prev = p->prev;
	l->connections -= p->parent != NULL;
	p->ops->close(p);
}

bool live_add(struct live *l, struct slice uri, struct err *err)
{
	size_t k = kind_of(uri);
	struct port *p;

	if (l->nsources == LIVE_SOURCES_MAX)
		return err_set(err, EXIT_USAGE, "too many sources (at most %d)", LIVE_SOURCES_MAX);
	p = kinds[k].open(l, uri, slice_skip(uri, kinds[k].scheme.len), err);
	if (!p)
		return false;
	p->source = l->nsources;
	if (!p->uri)
		p->uri = strndup(uri.p, uri.len);
	if (!p->uri || !live_watch(l, p)) {
		err_set(err, EXIT_INPUT, "cannot watch it: %m");
		free(p->uri);
		p->ops->close(p);
		return false;
	}
	l->source[p->source] = p;
	l->nsources++;
	l->impatient += p->impatient;
	live_ready(l, p);		/* what was there before is not announced */
	return true;
}

unsigned live_passed(void)
{
	return activation_count();
}

bool live_add_passed(struct live *l, struct err *err)
{
	for (unsigned i = 0; i < activation_count(); i++) {
		const char *uri = activation_uri(i);

		if (uri && !l->c->check_only && !live_add(l, slice_str(uri), err))
			return err_where(err, "LISTEN_FDS");
	}
	return true;
}

/* ---- pauses ------------------------------------------------------------------------------------------ */

bool live_pause(struct live *l, uint32_t source, bool pause)
{
	if (source >= l->nsources)
		return false;
	l->paused[source] = pause;
	l->pausing = true;
	live_wake(l);
	return true;
}

/* The kernel's announcements are level-triggered: what is not read must not be watched. */
static void apply_pauses(struct live *l)
{
	bool wanted[LIVE_SOURCES_MAX];

	if (!atomic_exchange(&l->pausing, false))
		return;
	for (uint32_t i = 0; i < l->nsources; i++)
		wanted[i] = l->paused[i] && !l->stopping;
	for (struct port *p = l->ports; p; p = p->next) {
		bool was = l->parked[p->source], now = wanted[p->source];

		if (p->gone || was == now)
			continue;
		if (now)
			poll_port(l, p, EPOLL_CTL_DEL);
		l->parked[p->source] = false;
		if (!now && (poll_port(l, p, EPOLL_CTL_ADD), true))
			live_ready(l, p);
		l->parked[p->source] = was;
	}
	memcpy(l->parked, wanted, sizeof(wanted[0]) * l->nsources);
}

/* ---- waiting ----------------------------------------------------------------------------------------- */

static void drain_wake(struct live *l)
{
	uint64_t n;

	while (read(l->wake, &n, sizeof(n)) > 0)
		;
}

/* The kernel's news. Returns whether it was woken for something that is no port. */
static bool look(struct live *l, int wait_ms)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(l->epoll, e, EVENTS, wait_ms);
	bool woken = false;

	for (int i = 0; i < n; i++) {
		if (e[i].data.ptr)
			live_ready(l, e[i].data.ptr);
		else
			woken = true;
	}
	if (woken)
		drain_wake(l);
	return woken;
}

/* How long to wait at most: until a port is due. */
static int until_due(const struct live *l, int wait_ms, int64_t now)
{
	int64_t left = l->next_due_ms - now;

	if (l->next_due_ms == 0 || (wait_ms >= 0 && left > wait_ms))
		return wait_ms;
	return left < 0 ? 0 : left > DUE_LOOK_MS ? DUE_LOOK_MS : (int)left;
}

/* The same, once a stop was asked for. */
static int leave_ms(const struct live *l)
{
	return l->connections ? LEAVE_MS : 0;
}

/* Only those are looked at that have a time: thousands of connections that have nothing to say have none. */
static void tick(struct live *l, int64_t now)
{
	struct port *p = l->timed;

	if (l->next_due_ms == 0 || now < l->next_due_ms)
		return;
	l->next_due_ms = 0;
	l->timed = NULL;
	for (struct port *next; p; p = next) {
		next = p->timed_next;
		p->timed = false;
		if (p->due_ms && p->due_ms <= now && p->ops->tick && !is_parked(l, p)) {
			enum port_left left = p->ops->tick(p, now);

			if (left == PORT_GONE) {
				retire(l, p);
				continue;
			}
			if (left != PORT_EMPTY)
				live_ready(l, p);
		}
		note_due(l, p);
	}
	/* A port that stays due, as those of a paused source do, is asked again, but not in a circle. */
	if (l->next_due_ms && l->next_due_ms <= now)
		l->next_due_ms = now + DUE_LOOK_MS;
}

/* ---- the wish to stop -------------------------------------------------------------------------------- */

static void begin_stop(struct live *l)
{
	l->stopping = true;
	l->news_ms = clock_ms();
	l->stop_by_ms = l->news_ms + STOP_READ_MS;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, stop_fd(), NULL);
	l->pausing = true;
	apply_pauses(l);	/* what a paused source has is read now or never */
	for (struct port *p = l->ports, *next; p; p = next) {
		next = p->next;
		if (p->gone)
			continue;
		if (p->ops->stop)
			p->ops->stop(p);
		live_ready(l, p);
	}
}

bool live_ending(const struct live *l)
{
	return l->ending;
}

/*
 * Has everything been read that will be? Connections have been told to go: they are waited for while something comes, and
 * those that stay are asked once more for what is unfinished.
 */
static bool stop_over(struct live *l, int64_t now)
{
	if (l->ending)
		return !l->ready;
	if (now <= l->stop_by_ms && (l->ready || (l->connections && now - l->news_ms < LEAVE_MS)))
		return false;
	l->ending = true;
	while (take_ready(l))
		;
	for (struct port *p = l->ports; p; p = p->next)
		if (p->parent)
			live_ready(l, p);
	return !l->ready;
}

/* ---- filling ----------------------------------------------------------------------------------------- */

/* Ask the ports that are ready, one after the other. Returns whether the block may leave as it is. */
static bool ask(struct live *l, struct block *b)
{
	struct port *p;

	while ((p = take_ready(l)) != NULL) {
		enum port_left left;

		if (p->gone || is_parked(l, p))
			continue;
		left = p->ops->fill(p, b);
		note_due(l, p);
		if (left == PORT_FULL)
			put_back(l, p);
		else if (left == PORT_MORE)
			live_ready(l, p);
		else if (left == PORT_GONE)
			retire(l, p);
		if (b->len && (left == PORT_FULL || b->sole || b->len >= BLOCK_SIZE / 2))
			return true;
		/* A port that gives nothing and asks again must not keep the others waiting. */
		if (left == PORT_MORE && b->len == 0 && l->ready == p)
			return false;
	}
	return b->len > 0;
}

/* Sources that have an end have come to it. */
static bool all_gone(const struct live *l)
{
	uint32_t i = 0;

	while (i < l->nsources && l->source[i]->gone)
		i++;
	return l->nsources && i == l->nsources;
}

/*
 * Little came the last time, and that was just now: after a moment it is one block instead of many, and whoever sends does
 * not spend his time on waking us.
 */
static void gather(const struct live *l)
{
	int64_t left = l->left_ms + GATHER_MS - clock_ms();
	const struct timespec moment = { .tv_nsec = (left < GATHER_MS ? left : GATHER_MS) * 1000000L };

	if (l->little && left > 0 && !l->impatient && !l->ready && !l->stopping && !stop_requested())
		nanosleep(&moment, NULL);
}

enum live_fill live_fill(struct live *l, struct block *b, int wait_ms)
{
	bool woken = false;

	b->len = 0;
	b->sole = b->torn_head = b->torn_tail = false;
	b->torn_len = 0;
	b->framing = FRAMING_UNKNOWN;
	b->max_line = l->c->max_line;
	b->mark = 0;
	if (wait_ms != 0)
		gather(l);
	for (;;) {
		int64_t now = clock_ms();

		if (all_gone(l))
			return LIVE_END;
		apply_pauses(l);
		if (stop_requested() && !l->stopping)
			begin_stop(l);
		tick(l, now);
		if (!l->ending)
			woken |= look(l, l->ready || woken ? 0 : l->stopping ? leave_ms(l) : until_due(l, wait_ms, now));
		/* Whoever has more all the time would be read for ever. */
		if (l->stopping && now > l->stop_by_ms + (l->ending ? STOP_READ_MS : 0) && (l->ending || stop_over(l, now)))
			return LIVE_END;
		if (ask(l, b)) {
			l->news_ms = now;
			l->little = b->len < GATHER_BYTES;
			l->left_ms = clock_ms();
			return LIVE_BLOCK;
		}
		if (l->stopping && stop_over(l, clock_ms()))
			return LIVE_END;
		if (woken && !l->stopping)
			return LIVE_NOTHING;
		if (wait_ms >= 0 && !l->ready) {
			wait_ms -= (int)(clock_ms() - now);
			if (wait_ms <= 0)
				return LIVE_NOTHING;
		}
	}
}

void live_wake(struct live *l)
{
	const uint64_t one = 1;

	/* Fails only when the counter is full, and then it is readable already. */
	if (write(l->wake, &one, sizeof(one)) < 0)
		return;
}

/* ---- the rest ---------------------------------------------------------------------------------------- */

void live_acknowledge(struct live *l, uint32_t source, uint64_t mark)
{
	struct port *p = l->source[source];

	if (p->ops->acknowledge)
		p->ops->acknowledge(p, mark);
}

void live_fail(struct live *l, enum exit_code code)
{
	l->failed = (int)code;
}

enum exit_code live_failed(const struct live *l)
{
	return (enum exit_code)l->failed;
}

bool live_progress(struct live *l, uint64_t *done, uint64_t *total)
{
	*done = *total = 0;
	for (uint32_t i = 0; i < l->nsources; i++)
		if (l->source[i]->ops->progress)
			l->source[i]->ops->progress(l->source[i], done, total);
	return *total > 0;
}

bool live_unfinished(const struct live *l)
{
	bool found = false;

	for (uint32_t i = 0; i < l->nsources; i++)
		found |= l->source[i]->ops->unfinished && l->source[i]->ops->unfinished(l->source[i]);
	return found;
}

uint64_t live_lost(struct live *l)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < l->nsources; i++)
		all += l->source[i]->ops->lost ? l->source[i]->ops->lost(l->source[i]) : 0;
	return all;
}

void live_keep(struct live *l, bool last)
{
	for (uint32_t i = 0; i < l->nsources; i++)
		if (l->source[i]->ops->keep)
			l->source[i]->ops->keep(l->source[i], last);
}

bool live_reload(struct live *l, const struct live_config *c, struct err *err)
{
	bool ok = true;

	l->c = c;
	for (uint32_t i = 0; i < l->nsources; i++)
		if (!l->source[i]->gone && l->source[i]->ops->reload)
			ok &= l->source[i]->ops->reload(l->source[i], err);
	return ok;
}

const char *live_uri(const struct live *l, uint32_t source)
{
	return l->source[source]->uri;
}

const char *live_bound(const struct live *l, uint32_t source)
{
	return l->source[source]->bound;
}

void live_metrics(struct live *l, struct metrics *m)
{
	for (uint32_t i = 0; i < l->nsources; i++) {
		m->label = l->source[i]->uri;
		if (l->source[i]->ops->metrics)
			l->source[i]->ops->metrics(l->source[i], m);
	}
	m->label = NULL;
}

void live_free(struct live *l)
{
	if (!l)
		return;
	/* Connections stand before their listeners: those came first. */
	for (struct port *p = l->ports, *next; p; p = next) {
		char *uri = p->uri;

		next = p->next;
		p->ops->close(p);
		free(uri);
	}
	if (l->epoll >= 0)
		close(l->epoll);
	if (l->wake >= 0)
		close(l->wake);
	free(l);
}
