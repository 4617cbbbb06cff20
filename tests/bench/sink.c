/*
 * tests/bench/sink.c - the other end of a measurement: it takes what comes, as cheaply as it can, and counts.
 *
 *     sink http PORT               answers each POST with 200; prints requests and bytes of bodies
 *     sink udp PORT [RCVBUF [US]]  counts datagrams; waits US microseconds before it reads a batch
 *     sink unix PATH [RCVBUF [US]]
 *     sink tcp PORT                counts connections and bytes
 *
 * PORT 0 takes a free one. Says `ready PORT` when it listens, and its counts at SIGTERM: `count=N bytes=N drops=N`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SLOT = 65536 + 320, EVENTS = 64, HEAD_MAX = 16384, DISCARD = 1 << 20 };

static uint64_t count, bytes;
static volatile sig_atomic_t ended;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void on_term(int n)
{
	(void)n;
	ended = 1;
}

static void ready(int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t n = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &n);
	printf("ready %u\n", a.sin_family == AF_INET ? ntohs(a.sin_port) : 0);
	fflush(stdout);
}

static int bind_inet(const char *port, int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("bind");
	return fd;
}

static int bind_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("bind");
	return fd;
}

/* ---- datagrams ---------------------------------------------------------------------------------------------- */

static uint32_t drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t n = sizeof(info);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &n);
	return info[SK_MEMINFO_DROPS];
}

static void datagrams(int fd, int rcvbuf, int delay_us)
{
	static struct mmsghdr msg[BATCH];
	static struct iovec iov[BATCH];
	char *slots = malloc((size_t)BATCH * SLOT);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (rcvbuf && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ slots + (size_t)i * SLOT, SLOT };
		msg[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	ready(fd);
	while (!ended) {
		int n = poll(&p, 1, 100);

		if (n > 0 && delay_us)
			nanosleep(&(struct timespec){ 0, delay_us * 1000L }, NULL);
		while (n > 0 && (n = recvmmsg(fd, msg, BATCH, MSG_DONTWAIT, NULL)) > 0) {
			for (int i = 0; i < n; i++)
				bytes += msg[i].msg_len;
			count += (uint64_t)n;
			if (n < BATCH)
				break;
		}
	}
}

/* ---- streams ------------------------------------------------------------------------------------------------ */

struct connection {
	int fd;
	uint64_t body;			/* bytes that are still to come */
	size_t len;
	char head[HEAD_MAX + 1];
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/* The length of the head in `c`, once it is whole; its body's length is taken out of it. */
static size_t head_end(struct connection *c)
{
	char *end, *length;

	c->head[c->len] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return 0;
	length = strcasestr(c->head, "\r\ncontent-length:");
	c->body = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
	return (size_t)(end - c->head) + 4;
}

static void respond(struct connection *c)
{
	count++;
	if (write(c->fd, answer, sizeof(answer) - 1) < 0)
		return;
}

/* What a TCP socket holds is thrown away without a copy (tcp(7), MSG_TRUNC). */
static ssize_t discard(int fd, size_t n)
{
	return recv(fd, NULL, n > DISCARD ? DISCARD : n, MSG_TRUNC | MSG_DONTWAIT);
}

/* false: it has gone. */
static bool http(struct connection *c)
{
	for (;;) {
		size_t head;
		ssize_t n = c->body ? discard(c->fd, c->body) :
				      recv(c->fd, c->head + c->len, HEAD_MAX - c->len, MSG_DONTWAIT);

		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		if (c->body) {
			bytes += (uint64_t)n;
			if ((c->body -= (uint64_t)n) == 0)
				respond(c);
			continue;
		}
		c->len += (size_t)n;
		while ((head = head_end(c)) != 0) {
			size_t have = c->len - head < c->body ? c->len - head : c->body;

			bytes += have;
			c->body -= have;
			c->len -= head + have;
			memmove(c->head, c->head + head + have, c->len);
			if (c->body == 0)
				respond(c);
		}
		if (c->len == HEAD_MAX)
			return false;
	}
}

static bool tcp(struct connection *c)
{
	ssize_t n;

	while ((n = discard(c->fd, DISCARD)) > 0)
		bytes += (uint64_t)n;
	return n < 0 && errno == EAGAIN;
}

static void accept_one(int listener, int ep)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c || (c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
		free(c);
		return;
	}
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){ EPOLLIN, { .ptr = c } });
}

static void streams(int listener, bool (*serve)(struct connection *), bool counted)
{
	struct epoll_event events[EVENTS];
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (listen(listener, 256) != 0)
		die("listen");
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &(struct epoll_event){ EPOLLIN, { .ptr = NULL } });
	ready(listener);
	while (!ended) {
		int n = epoll_wait(ep, events, EVENTS, 100);

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (!c) {
				accept_one(listener, ep);
				count += counted;
			} else if (!serve(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}

int main(int argc, char **argv)
{
	const char *kind = argc > 2 ? argv[1] : "";
	int rcvbuf = argc > 3 ? atoi(argv[3]) : 0, delay = argc > 4 ? atoi(argv[4]) : 0, fd = -1;
	struct rusage use;

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
	if (!strcmp(kind, "udp"))
		datagrams(fd = bind_inet(argv[2], SOCK_DGRAM), rcvbuf, delay);
	else if (!strcmp(kind, "unix"))
		datagrams(fd = bind_unix(argv[2]), rcvbuf, delay);
	else if (!strcmp(kind, "http"))
		streams(fd = bind_inet(argv[2], SOCK_STREAM), http, false);
	else if (!strcmp(kind, "tcp"))
		streams(fd = bind_inet(argv[2], SOCK_STREAM), tcp, true);
	else {
		fputs("usage: sink http|udp|tcp PORT, sink unix PATH\n", stderr);
		return 2;
	}
	getrusage(RUSAGE_SELF, &use);
	printf("count=%llu bytes=%llu drops=%u cpu=%.3f\n", (unsigned long long)count, (unsigned long long)bytes,
	       drops(fd), (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
	return 0;
}
