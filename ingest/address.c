#include "ingest/address.h"

#include "core/hex.h"
#include "ingest/activation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- parameters -------------------------------------------------------------------------------------- */

static bool wrong(struct slice uri, const char *at, struct err *err, const char *what)
{
	return err_at(err, EXIT_USAGE, uri.p, uri.len, (size_t)(at - uri.p), "%s", what);
}

/* "expected a, b or c": the parameters that there are. */
static bool unknown(struct slice uri, const char *at, const struct address_param *param, size_t n, struct err *err)
{
	char text[256];
	size_t len = (size_t)snprintf(text, sizeof(text), "unknown parameter: expected ");

	for (size_t i = 0; i < n && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ",
					param[i].name, param[i].flag ? "" : "=…");
	return wrong(uri, at, err, text);
}

static bool one_param(struct slice uri, struct slice text, struct address_param *param, size_t n, struct err *err)
{
	struct slice value = text, name = slice_cut(&value, '=');
	size_t i = 0;

	while (i < n && !slice_eq(name, slice_str(param[i].name)))
		i++;
	if (i == n)
		return unknown(uri, text.p, param, n, err);
	if (param[i].given)
		return wrong(uri, text.p, err, "this parameter is given twice");
	if (param[i].flag ? value.p != NULL : value.len == 0)
		return wrong(uri, text.p + name.len, err, param[i].flag ? "this parameter has no value" : "expected a value");
	param[i].given = true;
	param[i].value = value;
	return true;
}

bool address_params(struct slice uri, struct slice *rest, struct address_param *param, size_t n, struct err *err)
{
	struct slice list = *rest, before = slice_cut(&list, '?');

	while (list.p) {
		struct slice text = slice_cut(&list, '&');

		if (!one_param(uri, text, param, n, err))
			return false;
	}
	*rest = before;
	return true;
}

char *address_text(struct slice value)
{
	char *out = malloc(value.len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < value.len; i++) {
		int high = -1, low = -1;

		if (value.p[i] == '%' && i + 2 < value.len) {
			high = hex_value(value.p[i + 1]);
			low = hex_value(value.p[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			out[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			out[n++] = value.p[i];
		}
	}
	if (out)
		out[n] = '\0';
	return out;
}

/* ---- addresses --------------------------------------------------------------------------------------- */

/* HOST and PORT of `text`; a bare IPv6 address must stand in brackets when a port follows. */
static bool split(struct slice uri, struct slice text, struct slice *host, struct slice *port, struct err *err)
{
	size_t colon, colons = 0;

	*port = slice_of(NULL, 0);
	if (text.len && *text.p == '[') {
		size_t end = slice_find(text, ']');

		if (end == text.len || (end + 1 < text.len && text.p[end + 1] != ':'))
			return wrong(uri, text.p, err, "expected [ADDRESS] or [ADDRESS]:PORT");
		*host = slice_of(text.p + 1, end - 1);
		if (end + 1 < text.len)
			*port = slice_skip(text, end + 2);
		return true;
	}
	colon = slice_find(text, ':');
	for (size_t i = 0; i < text.len; i++)
		colons += text.p[i] == ':';
	*host = colons == 1 ? slice_of(text.p, colon) : text;	/* `::1` alone is an address */
	if (colons == 1)
		*port = slice_skip(text, colon + 1);
	return true;
}

/* Every address: an IPv6 socket takes IPv4 too, where the kernel has IPv6. */
static void any_address(uint16_t port, struct address *out)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*out = (struct address){ .any = true };
	if (fd >= 0) {
		struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT };

		close(fd);
		memcpy(&out->a, &a, out->n = sizeof(a));
	} else {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

		memcpy(&out->a, &a, out->n = sizeof(a));
	}
}

bool address_parse(struct slice uri, struct slice text, const char *port, int type, struct address *out, struct err *err)
{
	struct addrinfo want = { .ai_socktype = type, .ai_flags = AI_PASSIVE }, *found;
	struct slice host, number;
	char name[256];
	uint64_t n = 0;
	int code;

	if (!split(uri, text, &host, &number, err))
		return false;
	if (!slice_uint(number.p ? number : slice_str(port), &n) || n > 65535)
		return wrong(uri, number.p, err, "expected a port, 0 to 65535");
	if (host.len == 0 || slice_eq(host, SLICE("*"))) {
		any_address((uint16_t)n, out);
		return true;
	}
	if (host.len >= sizeof(name))
		return wrong(uri, host.p, err, "the name of a host is shorter");
	memcpy(name, host.p, host.len);
	name[host.len] = '\0';
	code = getaddrinfo(name, NULL, &want, &found);
	if (code != 0)
		return wrong(uri, host.p, err, gai_strerror(code));
	*out = (struct address){ .n = found->ai_addrlen };
	memcpy(&out->a, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	if (out->a.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&out->a)->sin6_port = htons((uint16_t)n);
	else
		((struct sockaddr_in *)&out->a)->sin_port = htons((uint16_t)n);
	return true;
}

const char *address_name(const struct sockaddr_storage *a, char out[ADDRESS_TEXT])
{
	char text[INET6_ADDRSTRLEN];

	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(out, ADDRESS_TEXT, "[%s]:%u", text, ntohs(in6->sin6_port));
	} else if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a;

		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(out, ADDRESS_TEXT, "%s:%u", text, ntohs(in->sin_port));
	} else {
		snprintf(out, ADDRESS_TEXT, "local");
	}
	return out;
}

void address_bound(int fd, char out[ADDRESS_TEXT])
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof(a);

	*out = '\0';
	if (getsockname(fd, (struct sockaddr *)&a, &n) == 0)
		address_name(&a, out);
}

/* ---- sockets ----------------------------------------------------------------------------------------- */

static int take_passed(const struct address *at, int type)
{
	int fd = activation_take(type, (const struct sockaddr *)&at->a, at->n);
	struct sockaddr_in in = { .sin_family = AF_INET };

	/* `*` is also every address of IPv4 alone. */
	if (fd < 0 && at->any && at->a.ss_family == AF_INET6) {
		in.sin_port = ((const struct sockaddr_in6 *)&at->a)->sin6_port;
		fd = activation_take(type, (const struct sockaddr *)&in, sizeof(in));
	}
	return fd;
}

int address_bind(const struct address *at, int type, bool reuseport, bool *passed, struct err *err)
{
	const int on = 1, off = 0;
	char name[ADDRESS_TEXT];
	int fd = take_passed(at, type);

	*passed = fd >= 0;
	if (*passed)
		return fd;
	fd = socket(at->a.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		err_set(err, EXIT_INPUT, "cannot make a socket: %m");
		return -1;
	}
	/* A restart must not wait for the connections of before (TIME_WAIT); two UDP sockets would share the port by it. */
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->any && at->a.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if ((reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
	    bind(fd, (const struct sockaddr *)&at->a, at->n) != 0) {
		const char *hint = errno == EACCES ? ": a port below 1024 needs root or CAP_NET_BIND_SERVICE" :
				   errno == EADDRINUSE ? ": something listens there; `?reuseport` on both shares it" : "";

		err_set(err, EXIT_INPUT, "cannot bind to %s: %m%s", address_name(&at->a, name), hint);
		close(fd);
		return -1;
	}
	return fd;
}
