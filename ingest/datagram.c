/*
 * ingest/datagram.c - syslog datagrams (RFC 5426): UDP and unix sockets.
 *
 * A datagram is one message (section 3.1), whatever bytes are in it, so it goes into a block with its length in front
 * (FRAMING_COUNTED). The newline that HAProxy sends behind it is framing; what is empty then is an empty line. So
 * that lines = datagrams sent - datagrams that the kernel dropped.
 */
#include "core/crash.h"
#include "core/log.h"
#include "core/units.h"
#include "ingest/activation.h"
#include "ingest/address.h"
#include "ingest/port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The digits of the longest length, and the blank. */
#define COUNT_ROOM 8

/* Slots must not all begin in the same sets of the first-level cache. */
#define SLOT_SIZE (LINE_MAX_BYTES + 5 * BLOCK_PAD)

struct datagrams {
	struct port port;
	int fd;				/* port.fd is -1 while they gather */
	bool udp;
	int rest_ms;			/* how long they may gather; 0: the buffer is too small for that */
	unsigned came;			/* since it was last found empty */
	unsigned n, next;		/* messages in the slots, and the first that is in no block yet */
	int64_t looked_ms;		/* at the kernel's drops */
	int64_t said_drops_ms, said_errors_ms;
	uint64_t said_drops;		/* how many were said: whoever asks for the metrics may have counted them first */
	char *path;			/* of the unix socket that is ours to remove, or NULL; owned */
	dev_t dev;
	ino_t ino;

	_Atomic uint64_t bytes, truncated, errors;
	int granted;			/* receive buffer, in the kernel's own measure */

	pthread_mutex_t lock;		/* of what follows; any thread may look */
	uint64_t drops;
	uint32_t drops_seen;		/* the kernel's counter, which wraps */

	struct mmsghdr msg[DATAGRAMS];
	struct iovec iov[DATAGRAMS];
	char *slots;			/* owned: DATAGRAMS of SLOT_SIZE */
};

/* ---- what the kernel dropped ------------------------------------------------------------------------- */

/* The same number as SO_RXQ_OVFL's, at any time and not only with the next datagram. */
static uint32_t kernel_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

/* Any thread. All that were dropped since the port was opened; `*more`: since somebody last asked. */
static uint64_t count_drops(struct datagrams *d, uint32_t *more)
{
	uint64_t all;
	uint32_t now;

	pthread_mutex_lock(&d->lock);
	now = kernel_drops(d->fd);
	*more = now - d->drops_seen;
	d->drops_seen = now;
	all = d->drops += *more;
	pthread_mutex_unlock(&d->lock);
	return all;
}

static void look_at_drops(struct datagrams *d, int64_t now)
{
	uint32_t more;
	uint64_t all = count_drops(d, &more);

	d->looked_ms = now;
	if (all == d->said_drops || !log_due(&d->said_drops_ms, DROPS_SAY_MS))
		return;
	d->said_drops = all;
	log_warn("%s: the kernel has dropped %llu datagrams so far, because haspan did not read them in time: a larger "
		 "?rcvbuf= takes longer bursts; HAProxy's ring with a TCP server loses none", d->port.uri,
		 (unsigned long long)all);
}

/* ---- receiving --------------------------------------------------------------------------------------- */

static void failed(struct datagrams *d, int code)
{
	if (code == EAGAIN || code == EINTR)
		return;
	atomic_fetch_add_explicit(&d->errors, 1, memory_order_relaxed);
	if (log_due(&d->said_errors_ms, DROPS_SAY_MS))
		log_warn("%s: cannot read: %s", d->port.uri, strerror(code));
	d->port.due_ms = clock_ms() + DATAGRAM_FAILED_MS;
}

/* What is longer than a line may be leaves its end. Returns whether that was more than a newline. */
static bool cut(struct mmsghdr *m, size_t max_line)
{
	const char *p = m->msg_hdr.msg_iov->iov_base;
	size_t len = m->msg_len;

	if (len <= max_line)
		return false;
	m->msg_len = (unsigned)max_line;
	return (m->msg_hdr.msg_flags & MSG_TRUNC) || p[len - 1] != '\n';
}

/* Up to DATAGRAMS into the slots, which are empty. How many; 0: none is there, or the socket fails. */
static unsigned receive(struct datagrams *d)
{
	size_t max_line = live_settings(d->port.live)->max_line;
	uint64_t bytes = 0, truncated = 0;
	int n;

	/* One more: the newline behind a message is none of it. */
	if (d->iov[0].iov_len != max_line + 1)
		for (unsigned i = 0; i < DATAGRAMS; i++)
			d->iov[i].iov_len = max_line + 1;
	d->n = d->next = 0;
	errno = crash_fault("datagram_receive");
	n = errno ? -1 : recvmmsg(d->fd, d->msg, DATAGRAMS, MSG_DONTWAIT, NULL);
	if (n < 0) {
		failed(d, errno);
		return 0;
	}
	for (int i = 0; i < n; i++) {
		bytes += d->msg[i].msg_len;
		truncated += cut(&d->msg[i], max_line);
	}
	atomic_fetch_add_explicit(&d->bytes, bytes, memory_order_relaxed);
	if (truncated)
		atomic_fetch_add_explicit(&d->truncated, truncated, memory_order_relaxed);
	d->came += (unsigned)n;
	crash_point("datagram_received");
	return d->n = (unsigned)n;
}

/* `LEN SP MSG` (RFC 6587 section 3.4.1); returns where it ends. */
static char *put_counted(char *p, const char *message, size_t len)
{
	char digits[COUNT_ROOM];
	size_t n = COUNT_ROOM, left = len;

	do
		digits[--n] = (char)('0' + left % 10);
	while ((left /= 10) != 0);
	memcpy(p, digits + n, COUNT_ROOM - n);
	p += COUNT_ROOM - n;
	*p++ = ' ';
	memcpy(p, message, len);
	return p + len;
}

/* The messages in the slots to the block: false when it can't take them all. */
static bool deliver(struct datagrams *d, struct block *b)
{
	while (d->next < d->n) {
		const char *p = d->iov[d->next].iov_base;
		size_t len = d->msg[d->next].msg_len;

		if (BLOCK_SIZE - b->len < len + COUNT_ROOM)
			return false;
		if (len > 1 && p[len - 1] == '\n')
			len--;
		/* A count of 0 is none: an empty datagram is a line without text, as a newline alone is. */
		b->len = (size_t)(put_counted(b->p + b->len, len ? p : "\n", len ? len : 1) - b->p);
		b->framing = FRAMING_COUNTED;
		d->next++;
	}
	return true;
}

static bool is_crowd(const struct datagrams *d, unsigned came)
{
	return came > (unsigned)d->granted / 8 / DATAGRAM_TRUESIZE;
}

/* The socket was empty: will more have come in a while, or is it better to be woken? */
static enum port_left rest(struct datagrams *d, int64_t now)
{
	unsigned came = d->came;
	bool failed = d->port.due_ms != 0;

	d->came = 0;
	if (failed || (came && d->rest_ms)) {
		if (d->port.fd >= 0)
			live_rewatch(d->port.live, &d->port, -1);
		if (!failed)
			d->port.due_ms = now + (is_crowd(d, came) ? DATAGRAM_REST_SHORT_MS : d->rest_ms);
		return PORT_EMPTY;
	}
	if (d->port.fd < 0)
		live_rewatch(d->port.live, &d->port, d->fd);
	if (came)
		d->port.due_ms = now + DROPS_LOOK_MS;
	else
		look_at_drops(d, now);
	return PORT_EMPTY;
}

static enum port_left datagram_fill(struct port *p, struct block *b)
{
	struct datagrams *d = (struct datagrams *)p;
	int64_t now = clock_ms();

	if (b->len && (b->sole || b->framing != FRAMING_COUNTED))
		return PORT_FULL;
	p->due_ms = 0;
	if (now - d->looked_ms >= DROPS_LOOK_MS)
		look_at_drops(d, now);
	for (int i = 0; i < DATAGRAM_CALLS; i++) {
		if (!deliver(d, b))
			return PORT_FULL;
		/* Fewer than asked for: that was all of them. */
		if (receive(d) < DATAGRAMS)
			return deliver(d, b) ? rest(d, now) : PORT_FULL;
	}
	return deliver(d, b) ? PORT_MORE : PORT_FULL;
}

static enum port_left datagram_tick(struct port *p, int64_t now)
{
	(void)now;
	p->due_ms = 0;
	return PORT_MORE;
}

/* ---- the rest of a port ------------------------------------------------------------------------------ */

static void datagram_metrics(struct port *p, struct metrics *m)
{
	struct datagrams *d = (struct datagrams *)p;
	uint32_t more;

	metrics_add(m, METRIC_source_bytes_total, (double)d->bytes);
	metrics_add(m, METRIC_source_truncated_total, (double)d->truncated);
	metrics_add(m, METRIC_source_errors_total, (double)d->errors);
	if (d->udp) {
		metrics_add(m, METRIC_source_kernel_drops_total, (double)count_drops(d, &more));
		metrics_add(m, METRIC_source_receive_buffer_bytes, (double)d->granted / 2);
	}
}

static uint64_t datagram_lost(struct port *p)
{
	struct datagrams *d = (struct datagrams *)p;
	uint32_t more;

	return d->udp && d->fd >= 0 ? count_drops(d, &more) : d->drops;
}

static void remove_path(struct datagrams *d)
{
	struct stat st;

	if (d->path && lstat(d->path, &st) == 0 && st.st_dev == d->dev && st.st_ino == d->ino && unlink(d->path) != 0)
		log_debug("%s: cannot remove it: %m", d->path);
	free(d->path);
}

static void datagram_close(struct port *p)
{
	struct datagrams *d = (struct datagrams *)p;
	uint32_t more;
	uint64_t drops = d->fd >= 0 && d->udp ? count_drops(d, &more) : 0;

	if (p->uri && (drops || d->truncated || d->errors))
		log_info("source=%s kernel_drops=%llu truncated=%llu errors=%llu", p->uri, (unsigned long long)drops,
			 (unsigned long long)d->truncated, (unsigned long long)d->errors);
	remove_path(d);
	if (d->fd >= 0)
		close(d->fd);
	pthread_mutex_destroy(&d->lock);
	free(d->slots);
	free(d);
}

static const struct port_ops datagram_ops = {
	.fill = datagram_fill,
	.tick = datagram_tick,
	.metrics = datagram_metrics,
	.lost = datagram_lost,
	.close = datagram_close,
};

/* Without a descriptor yet. */
static struct datagrams *datagrams_new(struct live *l, bool udp, struct err *err)
{
	struct datagrams *d = calloc(1, sizeof(*d));
	char *slots = d ? malloc(DATAGRAMS * SLOT_SIZE) : NULL;

	if (!slots) {
		free(d);
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	d->port = (struct port){ .ops = &datagram_ops, .live = l, .fd = -1 };
	d->fd = -1;
	d->udp = udp;
	d->slots = slots;
	pthread_mutex_init(&d->lock, NULL);
	for (size_t i = 0; i < DATAGRAMS; i++) {
		d->iov[i].iov_base = slots + i * SLOT_SIZE;
		d->msg[i].msg_hdr = (struct msghdr){ .msg_iov = &d->iov[i], .msg_iovlen = 1 };
	}
	return d;
}

/* `fd` is the port's from now on. What a passed socket dropped before is its opener's account. */
static void start(struct datagrams *d, int fd)
{
	d->fd = d->port.fd = fd;
	d->drops_seen = kernel_drops(fd);
	d->looked_ms = clock_ms();
}

/* ---- UDP --------------------------------------------------------------------------------------------- */

static bool rcvbuf_of(struct slice uri, const struct address_param *p, uint64_t *bytes, struct err *err)
{
	uint64_t n, scale = 1;
	size_t at;

	*bytes = RCVBUF_DEFAULT;
	if (!p->given)
		return true;
	if (!units_read(p->value, SIZE_UNITS, &n, &scale, &at))
		return err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(p->value.p - uri.p) + at,
			      at ? "unknown unit: expected K, M or G" : "expected a number of bytes, as in 8M");
	if (n == 0 || n > RCVBUF_MAX / scale)
		return err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(p->value.p - uri.p), "expected 1 to 1G");
	*bytes = n * scale;
	return true;
}

/* Root, and who has CAP_NET_ADMIN, gets what it asks for; others what the system's administrator allows. */
static void ask_buffer(struct datagrams *d, struct slice uri, uint64_t bytes)
{
	int asked = (int)bytes;
	socklen_t len = sizeof(d->granted);

	if (setsockopt(d->fd, SOL_SOCKET, SO_RCVBUFFORCE, &asked, sizeof(asked)) != 0)
		setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &asked, sizeof(asked));
	getsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &d->granted, &len);
	d->rest_ms = d->granted / DATAGRAM_ROOM < DATAGRAM_REST_MS ? d->granted / DATAGRAM_ROOM : DATAGRAM_REST_MS;
	d->port.impatient = d->rest_ms == 0;
	if (d->granted / 2 < asked)
		log_warn("%.*s: a receive buffer of %d KiB was granted, %d KiB were asked for: `sysctl -w "
			 "net.core.rmem_max=%d` allows them, from the next start on", (int)uri.len, uri.p,
			 d->granted / 2048, asked / 1024, asked);
}

struct port *udp_open(struct live *l, struct slice uri, struct slice rest, struct err *err)
{
	struct address_param param[] = { { .name = "rcvbuf" }, { .name = "reuseport", .flag = true } };
	struct datagrams *d;
	struct address at;
	uint64_t bytes;
	bool passed;
	int fd;

	if (!address_params(uri, &rest, param, 2, err) || !rcvbuf_of(uri, &param[0], &bytes, err) ||
	    !address_parse(uri, rest, "514", SOCK_DGRAM, &at, err))
		return NULL;
	d = datagrams_new(l, true, err);
	if (!d || live_settings(l)->check_only)
		return d ? &d->port : NULL;
	fd = address_bind(&at, SOCK_DGRAM, param[1].given, &passed, err);
	if (fd < 0) {
		datagram_close(&d->port);
		return NULL;
	}
	start(d, fd);
	address_bound(fd, d->port.bound);
	ask_buffer(d, uri, bytes);
	if (passed && d->drops_seen)
		log_info("%.*s: %u datagrams were dropped before this socket was passed on; they are not counted here",
			 (int)uri.len, uri.p, d->drops_seen);
	return &d->port;
}

/* ---- unix sockets ------------------------------------------------------------------------------------ */

static bool mode_of(struct slice uri, const struct address_param *p, mode_t *mode, struct err *err)
{
	unsigned n = 0;

	*mode = 0666;		/* who may log, as /dev/log */
	if (!p->given)
		return true;
	for (size_t i = 0; i < p->value.len; i++) {
		if (p->value.p[i] < '0' || p->value.p[i] > '7' || n > 0777 >> 3)
			return err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(p->value.p - uri.p) + i,
				      "expected an octal mode, as in 0660");
		n = n << 3 | (unsigned)(p->value.p[i] - '0');
	}
	*mode = n;
	return true;
}

/* Does somebody answer there? Then, or where it can't be known, it is not ours to replace. */
static bool is_stale(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0 && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return refused;
}

/* The place for the socket is free, or becomes so; `check`: it would, once whoever reads there now has gone. */
static bool make_way(const struct sockaddr_un *a, bool check, struct err *err)
{
	struct stat st;

	if (lstat(a->sun_path, &st) != 0)
		return errno == ENOENT || err_set(err, EXIT_INPUT, "cannot look at it: %m");
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EXIT_INPUT, "there is something that is no socket: it is left alone");
	if (!check && !is_stale(a))
		return err_set(err, EXIT_INPUT, "somebody reads from this socket already");
	if (!check && unlink(a->sun_path) != 0)
		return err_set(err, EXIT_INPUT, "cannot remove the socket of before: %m");
	return true;
}

/* At start, when there is no other thread: the mode is there with the socket, nobody is refused or let in before. */
static int unix_bind(const struct sockaddr_un *a, mode_t mode, struct err *err)
{
	mode_t before;
	int fd;

	if (!make_way(a, false, err))
		return -1;
	before = umask(0777 & ~mode);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)a, sizeof(*a)) != 0) {
		err_set(err, EXIT_INPUT, "cannot bind to it: %m");
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	umask(before);
	return fd;
}

/* The sender is refused when so many wait; only the system's administrator can change it, and before we bind. */
static void say_queue(struct slice uri)
{
	int fd = open("/proc/sys/net/unix/max_dgram_qlen", O_RDONLY | O_CLOEXEC);
	char text[24] = "";
	uint64_t n;

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && slice_uint(slice_of(text, strcspn(text, "\n")), &n) &&
	    n < UNIX_QUEUE_ENOUGH)
		log_warn("%.*s: only %llu datagrams may wait here, so a busy HAProxy will lose lines (DroppedLogs): `sysctl -w "
			 "net.unix.max_dgram_qlen=512` before haspan starts, or HAProxy's ring with a TCP server",
			 (int)uri.len, uri.p, (unsigned long long)n);
	if (fd >= 0)
		close(fd);
}

/* A socket of our own at `path`, which the port removes in the end. */
static bool unix_own(struct datagrams *d, const struct sockaddr_un *a, mode_t mode, struct err *err)
{
	int fd = unix_bind(a, mode, err);
	struct stat st;

	if (fd < 0)
		return false;
	start(d, fd);
	if (lstat(a->sun_path, &st) == 0 && (d->path = strdup(a->sun_path)) != NULL) {
		d->dev = st.st_dev;
		d->ino = st.st_ino;
	}
	return true;
}

/* PATH as an address. */
static bool unix_address(struct slice uri, struct slice rest, struct sockaddr_un *a, struct err *err)
{
	char *path = address_text(rest);
	size_t len = path ? strlen(path) : 0;
	bool fits = len > 0 && len < sizeof(a->sun_path);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (fits)
		memcpy(a->sun_path, path, len);
	free(path);
	return fits || err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(rest.p - uri.p), "expected a path of 1 to %zu bytes",
			      sizeof(a->sun_path) - 1);
}

struct port *unix_open(struct live *l, struct slice uri, struct slice rest, struct err *err)
{
	struct address_param param[] = { { .name = "mode" } };
	bool check = live_settings(l)->check_only, ok = true;
	struct sockaddr_un a;
	struct datagrams *d;
	mode_t mode;
	int passed;

	if (!address_params(uri, &rest, param, 1, err) || !mode_of(uri, &param[0], &mode, err) ||
	    !unix_address(uri, rest, &a, err) || !(d = datagrams_new(l, false, err)))
		return NULL;
	passed = check ? -1 : activation_take(SOCK_DGRAM, (const struct sockaddr *)&a, sizeof(a));
	if (passed >= 0)
		start(d, passed);
	else
		ok = check ? make_way(&a, true, err) : unix_own(d, &a, mode, err);
	if (ok && !check)
		say_queue(uri);
	d->port.impatient = true;	/* ten may wait, then the sender is refused */
	if (ok)
		return &d->port;
	err_where(err, "%s", a.sun_path);
	datagram_close(&d->port);
	return NULL;
}
