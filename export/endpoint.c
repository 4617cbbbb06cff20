#include "export/endpoint.h"

#include "core/hex.h"

#include <stdlib.h>

/* The URI while it is read. */
struct reader {
	struct slice uri;
	struct endpoint *out;
	struct err *err;
	char masked[ENDPOINT_URI_MAX];	/* for messages: without secrets, same columns */
	bool exact;			/* the path is used as it is, also an empty one */
};

static bool bad(const struct reader *r, const char *at, const char *expected)
{
	return err_at(r->err, EXIT_USAGE, r->masked, r->uri.len, (size_t)(at - r->uri.p), "%s",
		      expected);
}

/* A new string: the parts joined. */
static char *join(struct slice a, struct slice b, struct slice c)
{
	struct buf out = { .max = 4 * ENDPOINT_URI_MAX };

	buf_slice(&out, a);
	buf_slice(&out, b);
	buf_slice(&out, c);
	buf_char(&out, '\0');
	return out.p;
}

/*
 * A new string: `s` with its %XX decoded. NULL with `err` filled: a bad escape, or one of a control
 * character, which would end a header early.
 */
static char *decoded(const struct reader *r, struct slice s)
{
	char *out = join(s, SLICE(""), SLICE("")), *to = out;

	for (size_t i = 0; i < s.len; i++) {
		int c = (unsigned char)s.p[i];

		if (c == '%') {
			int hi = i + 2 < s.len ? hex_value(s.p[i + 1]) : -1;
			int lo = i + 2 < s.len ? hex_value(s.p[i + 2]) : -1;

			c = hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
			if ((c < ' ' && c != '\t') || c == 0x7f) {
				free(out);
				bad(r, s.p + i, "% needs two hex digits, and no control character");
				return NULL;
			}
			i += 2;
		}
		*to++ = (char)c;
	}
	*to = '\0';
	return out;
}

static size_t find_any(struct slice s, const char *set)
{
	size_t at = 0;

	while (at < s.len && !(s.p[at] && strchr(set, s.p[at])))
		at++;
	return at;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* RFC 9110 section 5.6.2. */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = slice_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr("!#$%&'*+-.^_`|~", c))))
			return false;
	}
	return s.len > 0;
}

/* What describes the body is not the user's to say. */
static bool is_ours(struct slice name)
{
	static const char *const ours[] = { "Content-Type", "Content-Encoding", "Content-Length",
					    "Transfer-Encoding", "Connection", "Expect" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (slice_ieq(name, slice_str(ours[i])))
			return true;
	return false;
}

/* Why `text` ("Name: value") is no header that may be added; NULL when it is one. */
static const char *header_fault(struct slice text)
{
	struct slice value = text, name = slice_cut(&value, ':');

	if (!is_token(name) || name.len == text.len)
		return "a header is Name:value";
	if (is_ours(name))
		return "this header describes the body and is set by haspan";
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
			return "a control character in a header's value";
	return NULL;
}

/* Add a header that has no fault; the last of a name wins. False: too many. */
static bool header_add(struct endpoint *e, struct slice text)
{
	struct slice value = text, name = slice_cut(&value, ':');
	unsigned i = 0;

	for (; i < e->headers; i++) {
		struct slice old = slice_str(e->header[i]);

		if (slice_ieq(slice_cut(&old, ':'), name))
			break;
	}
	if (i == ENDPOINT_HEADERS_MAX)
		return false;
	if (i == e->headers)
		e->headers++;
	else
		free(e->header[i]);
	e->header[i] = join(name, SLICE(": "), slice_trim(value));
	return true;
}

static bool headers_from_config(struct endpoint *e, const char *const *list, struct err *err)
{
	for (; list && *list; list++) {
		struct slice text = slice_str(*list), rest = text;
		const char *fault = header_fault(text);

		if (!fault && !header_add(e, text))
			fault = "too many headers";
		/* The value is a secret more often than not. */
		if (fault)
			return err_set(err, EXIT_USAGE, "header '%.*s': %s",
				       (int)slice_cut(&rest, ':').len, text.p, fault);
	}
	return true;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static bool set_protocol(struct reader *r, const char *at, struct slice v)
{
	r->out->json = slice_eq(v, SLICE("http/json"));
	return r->out->json || slice_eq(v, SLICE("http/protobuf")) ||
	       bad(r, at, "http/protobuf or http/json expected");
}

/* OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it is; what a user writes with a bare '/' is a base. */
static bool set_exact(struct reader *r, const char *at, struct slice v)
{
	r->exact = slice_eq(v, SLICE("true"));
	return r->exact || bad(r, at, "true expected");
}

static bool set_compression(struct reader *r, const char *at, struct slice v)
{
	r->out->gzip = slice_eq(v, SLICE("gzip"));
	return r->out->gzip || slice_eq(v, SLICE("none")) || bad(r, at, "gzip or none expected");
}

static bool set_timeout(struct reader *r, const char *at, struct slice v)
{
	uint64_t ms;

	if (!slice_uint(v, &ms) || ms > ENDPOINT_TIMEOUT_MAX)
		return bad(r, at, "milliseconds expected (0 to a day; 0: no limit)");
	r->out->timeout_ms = (unsigned)ms;
	return true;
}

static bool set_connections(struct reader *r, const char *at, struct slice v)
{
	uint64_t n;

	if (!slice_uint(v, &n) || n < 1 || n > ENDPOINT_CONNECTIONS_MAX)
		return bad(r, at, "a number of connections from 1 to 128 expected");
	r->out->connections = (unsigned)n;
	return true;
}

static bool set_header(struct reader *r, const char *at, struct slice v)
{
	const char *fault = header_fault(v);

	if (!fault && !header_add(r->out, v))
		fault = "too many headers";
	return !fault || bad(r, at, fault);
}

/* haspan's own; the first four have no secrets in them. */
static const struct {
	struct slice name;
	bool (*set)(struct reader *r, const char *at, struct slice value);
	bool secret;
} parameters[] = {
	{ { "protocol", 8 }, set_protocol, false },
	{ { "exact", 5 }, set_exact, false },
	{ { "compression", 11 }, set_compression, false },
	{ { "timeout", 7 }, set_timeout, false },
	{ { "connections", 11 }, set_connections, false },
	{ { "header", 6 }, set_header, true },
};

#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

/* The parameter of that name, or PARAMETERS. */
static size_t find_parameter(struct slice name)
{
	size_t i = 0;

	while (i < PARAMETERS && !slice_eq(name, parameters[i].name))
		i++;
	return i;
}

/* Cut the next parameter from `*query`; `*value` points behind the name when there is no `=`. */
static struct slice next_parameter(struct slice *query, struct slice *name, struct slice *value)
{
	struct slice whole = slice_cut(query, '&');

	*value = whole;
	*name = slice_cut(value, '=');
	if (!value->p)
		*value = slice_of(whole.p + whole.len, 0);
	return whole;
}

/*
 * Take haspan's own parameters out of `query` (without its `?`); the others go to `kept`, with a
 * `?`.
 */
static bool read_query(struct reader *r, struct slice query, struct buf *kept)
{
	while (query.len) {
		struct slice name, value, whole = next_parameter(&query, &name, &value);
		size_t i = find_parameter(name);
		char *text;
		bool ok;

		if (i == PARAMETERS) {
			buf_char(kept, kept->len ? '&' : '?');
			buf_slice(kept, whole);
			continue;
		}
		text = decoded(r, value);
		ok = text && parameters[i].set(r, value.p, slice_str(text));
		free(text);
		if (!ok)
			return false;
	}
	return true;
}

/* ---- the rest of a URI ----------------------------------------------------------------------- */

/* HOST, HOST:PORT, [V6] or [V6]:PORT. */
static bool check_host(struct reader *r, struct slice host)
{
	size_t colon = slice_find(host, ':');
	uint64_t port;

	if (host.len && host.p[0] == '[') {
		colon = slice_find(host, ']') + 1;
		if (colon > host.len || colon < 4)
			return bad(r, host.p, "an IPv6 address in brackets expected");
		if (colon < host.len && host.p[colon] != ':')
			return bad(r, host.p + colon, "`:port` expected behind the bracket");
	}
	if (colon == 0 || host.len == 0)
		return bad(r, host.p, "a host name or address expected");
	if (colon >= host.len)
		return true;
	if (!slice_uint(slice_skip(host, colon + 1), &port) || port < 1 || port > 65535)
		return bad(r, host.p + colon + 1, "a port from 1 to 65535 expected");
	return true;
}

static bool read_user(struct reader *r, struct slice user)
{
	struct slice password = user;

	user = slice_cut(&password, ':');
	r->out->user = decoded(r, user);
	if (r->out->user)
		r->out->password = decoded(r, password);
	return r->out->password;
}

/* [user[:password]@]host[:port], as `*host` without the user. */
static bool read_authority(struct reader *r, struct slice authority, struct slice *host)
{
	size_t at = authority.len;

	while (at > 0 && authority.p[at - 1] != '@')
		at--;
	*host = slice_skip(authority, at);
	if (at > 0 && !read_user(r, slice_of(authority.p, at - 1)))
		return false;
	return check_host(r, *host);
}

/* The path that is posted to: an OTLP endpoint without one is a base. */
static struct slice place_of(const struct reader *r, struct slice path)
{
	bool bare = path.len == 0 || slice_eq(path, SLICE("/"));

	return bare ? (r->exact ? SLICE("/") : SLICE("/v1/traces")) : path;
}

static bool read_uri(struct reader *r)
{
	struct slice scheme = r->uri, rest, host, path;
	struct buf kept = { .max = 2 * ENDPOINT_URI_MAX };
	size_t n = slice_find(scheme, ':');
	bool ok;

	scheme.len = n;
	rest = slice_skip(r->uri, n);
	if ((!slice_ieq(scheme, SLICE("http")) && !slice_ieq(scheme, SLICE("https"))) ||
	    !slice_starts(rest, SLICE("://")))
		return bad(r, r->uri.p, "http:// or https:// expected");
	rest = slice_skip(rest, 3);
	n = find_any(rest, "/?#");
	if (!read_authority(r, slice_of(rest.p, n), &host))
		return false;
	rest = slice_skip(rest, n);
	path = slice_cut(&rest, '?');
	ok = read_query(r, rest, &kept);
	if (ok) {
		struct slice base = slice_to(r->uri.p, scheme.p + scheme.len + 3);
		char *place = join(base, host, place_of(r, path));

		r->out->shown = place;
		r->out->url = join(slice_str(place), slice_of(kept.p, kept.len), SLICE(""));
	}
	buf_free(&kept);
	return ok;
}

static void mask(struct reader *r, struct slice secret)
{
	if (secret.len)
		memset(r->masked + (secret.p - r->uri.p), '*', secret.len);
}

/*
 * Hide, before anything can be found wrong: the user, headers' values, and what others call
 * api_key.
 */
static void mask_secrets(struct reader *r)
{
	struct slice rest = r->uri, name, value;
	size_t from = slice_find(rest, '/'), at;

	memcpy(r->masked, r->uri.p, r->uri.len);
	while (from < rest.len && rest.p[from] == '/')
		from++;
	rest = slice_skip(rest, from);
	/*
	 * Not only up to the next `/`: a password with a `/` in it is a mistake, and still a
	 * password.
	 */
	for (at = find_any(rest, "?#"); at > 0 && rest.p[at - 1] != '@'; at--)
		;
	if (at > 0)
		mask(r, slice_of(rest.p, at - 1));
	slice_cut(&rest, '?');
	while (rest.len) {
		size_t i;

		next_parameter(&rest, &name, &value);
		i = find_parameter(name);
		if (i < PARAMETERS && !parameters[i].secret)
			continue;
		if (i < PARAMETERS && slice_find(value, ':') < value.len)
			slice_cut(&value, ':');
		mask(r, value);
	}
}

/* Nothing but printable bytes, and no fragment: neither can be sent. */
static bool check_bytes(const struct reader *r)
{
	for (size_t i = 0; i < r->uri.len; i++) {
		unsigned char c = (unsigned char)r->uri.p[i];

		if (c <= ' ' || c == 0x7f)
			return bad(r, r->uri.p + i, "a blank or control byte must be written %XX");
		if (c == '#')
			return bad(r, r->uri.p + i, "a `#` must be written %23");
	}
	return true;
}

bool endpoint_parse(struct slice uri, const struct export_config *cfg, struct endpoint *out,
		    struct err *err)
{
	struct reader r = { .uri = uri, .out = out, .err = err };

	*out = (struct endpoint){ .gzip = cfg->gzip, .timeout_ms = cfg->timeout_ms };
	out->connections = cfg->connections ? cfg->connections : 1;
	if (out->connections > ENDPOINT_CONNECTIONS_MAX)
		out->connections = ENDPOINT_CONNECTIONS_MAX;
	out->json = cfg->protocol && strcmp(cfg->protocol, "http/json") == 0;
	if (uri.len >= ENDPOINT_URI_MAX)
		return err_set(err, EXIT_USAGE, "a URL of %zu bytes; at most %zu", uri.len,
			       ENDPOINT_URI_MAX);
	if (!headers_from_config(out, cfg->headers, err))
		return false;
	mask_secrets(&r);
	return read_uri(&r) && check_bytes(&r);
}

void endpoint_free(struct endpoint *e)
{
	free(e->url);
	free(e->shown);
	free(e->user);
	free(e->password);
	for (unsigned i = 0; i < e->headers; i++)
		free(e->header[i]);
	*e = (struct endpoint){ 0 };
}
