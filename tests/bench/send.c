/*
 * tests/bench/send.c - sends the lines of a file, one datagram each, or as one octet-counted stream.
 *
 *     send -u PORT | -U PATH | -t PORT [-r PER_SECOND] [-n LINES] FILE
 *
 * Paced: a message leaves at its time or as soon after it as the machine allows; what is late is sent in batches, as
 * a busy HAProxy does. Prints `sent=N bytes=N refused=N wall=S late=S cpu=S`. A datagram that the other side does not
 * take at once (unix sockets: its queue is full) is tried again when -w says so, else it is `refused`, as HAProxy does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, HEADER_ROOM = 16, PIECES = 3 };

static const char pri[] = "<134>";

struct sender {
	int fd;
	bool stream, wait;
	double rate;
	uint64_t limit;
	uint64_t sent, bytes, refused;
	double late;			/* the most that a message was behind its time */
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH][PIECES];
	char header[BATCH][HEADER_ROOM];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int connect_inet(const char *port, int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("connect");
	return fd;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("connect");
	return fd;
}

/* How many messages may have left by now. */
static uint64_t allowed(const struct sender *s, double start)
{
	return s->rate > 0 ? (uint64_t)((now() - start) * s->rate) + 1 : UINT64_MAX;
}

/* The next lines of [p, end) into the batch; returns how many, and where the rest begins. */
static unsigned fill(struct sender *s, const char **p, const char *end, uint64_t most)
{
	unsigned n = 0;

	for (; n < BATCH && n < most && *p < end; n++) {
		const char *lf = memchr(*p, '\n', (size_t)(end - *p));
		size_t len = lf ? (size_t)(lf - *p) : (size_t)(end - *p);
		struct iovec *v = s->iov[n];

		v[0] = (struct iovec){ s->header[n], 0 };
		v[1] = (struct iovec){ (void *)(uintptr_t)pri, sizeof(pri) - 1 };
		v[2] = (struct iovec){ (void *)(uintptr_t)*p, len + (lf && !s->stream) };
		if (s->stream)
			v[0].iov_len = (size_t)snprintf(s->header[n], HEADER_ROOM, "%zu ", sizeof(pri) - 1 + len);
		s->msg[n].msg_hdr = (struct msghdr){ .msg_iov = v, .msg_iovlen = PIECES };
		*p += len + (lf != NULL);
	}
	return n;
}

static void send_stream(struct sender *s, unsigned n)
{
	struct iovec *v = s->iov[0];
	unsigned left = n * PIECES;

	while (left) {
		ssize_t w = writev(s->fd, v, (int)left);

		if (w < 0)
			die("write");
		s->bytes += (uint64_t)w;
		for (; left && (size_t)w >= v->iov_len; v++, left--)
			w -= (ssize_t)v->iov_len;
		if (left) {
			v->iov_base = (char *)v->iov_base + w;
			v->iov_len -= (size_t)w;
		}
	}
	s->sent += n;
}

static void send_datagrams(struct sender *s, unsigned n)
{
	for (unsigned at = 0; at < n; ) {
		int done = sendmmsg(s->fd, s->msg + at, n - at, s->wait ? 0 : MSG_DONTWAIT);

		if (done < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR && errno != ECONNREFUSED)
			die("sendmmsg");
		if (done < 0) {
			s->refused++;
			at++;
			continue;
		}
		for (int i = 0; i < done; i++)
			s->bytes += s->msg[at + (unsigned)i].msg_len;
		s->sent += (uint64_t)done;
		at += (unsigned)done;
	}
}

static void send_all(struct sender *s, const char *p, const char *end)
{
	double start = now();
	uint64_t begun = 0;

	while (p < end && begun < s->limit) {
		uint64_t may = allowed(s, start), most = may > s->limit ? s->limit : may;
		unsigned n;

		if (most <= begun) {
			struct timespec t = { 0, 50000 };

			nanosleep(&t, NULL);
			continue;
		}
		if (s->rate > 0 && (double)(may - begun) / s->rate > s->late)
			s->late = (double)(may - begun) / s->rate;
		n = fill(s, &p, end, most - begun);
		if (s->stream)
			send_stream(s, n);
		else
			send_datagrams(s, n);
		begun += n;
	}
}

static const char *map(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	*len = (size_t)st.st_size;
	return p;
}

static void usage(void)
{
	fputs("usage: send -u PORT | -U PATH | -t PORT [-w] [-r PER_SECOND] [-n LINES] FILE\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static struct sender s = { .fd = -1, .limit = UINT64_MAX };
	struct rusage use;
	const char *p;
	double start;
	size_t len;
	int c;

	while ((c = getopt(argc, argv, "u:U:t:wr:n:")) != -1)
		switch (c) {
		case 'u': s.fd = connect_inet(optarg, SOCK_DGRAM); break;
		case 'U': s.fd = connect_unix(optarg); break;
		case 't': s.fd = connect_inet(optarg, SOCK_STREAM); s.stream = true; break;
		case 'w': s.wait = true; break;
		case 'r': s.rate = atof(optarg); break;
		case 'n': s.limit = strtoull(optarg, NULL, 10); break;
		default: usage();
		}
	if (s.fd < 0 || optind != argc - 1)
		usage();
	p = map(argv[optind], &len);
	start = now();
	send_all(&s, p, p + len);
	getrusage(RUSAGE_SELF, &use);
	printf("sent=%llu bytes=%llu refused=%llu wall=%.3f late=%.4f cpu=%.3f\n", (unsigned long long)s.sent,
	       (unsigned long long)s.bytes, (unsigned long long)s.refused, now() - start, s.late,
	       (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
	return 0;
}
