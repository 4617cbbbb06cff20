#include "reconstruct/http.h"

#include "core/scan.h"

#include <stdio.h>

void http_headers(struct record *r)
{
	const struct format *f = r->format;

	for (uint32_t k = 0; k < r->cap[CAPTURE_REQUEST].n && k < f->ncap[CAPTURE_REQUEST]; k++) {
		int slot = f->cap[CAPTURE_REQUEST][k].slot;

		/* A field of its own holds what HAProxy took over; when it holds nothing, the header was refused. */
		if (slot == SLOT_traceparent && format_has(f, SLOT_traceparent) && !f->pairs)
			continue;
		if (slot >= 0 && r->cap[CAPTURE_REQUEST].v[k].len)
			record_set_text(r, (enum slot)slot, r->cap[CAPTURE_REQUEST].v[k]);
	}
}

/* ---- method ------------------------------------------------------------------------------------------ */

/* The known methods of the conventions; OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS is not read. */
static const struct slice methods[] = {
	{ "GET", 3 }, { "POST", 4 }, { "HEAD", 4 }, { "PUT", 3 }, { "DELETE", 6 }, { "OPTIONS", 7 },
	{ "PATCH", 5 }, { "CONNECT", 7 }, { "TRACE", 5 },
};

static void derive_method(struct record *r, struct slice method)
{
	if (method.len == 0 || slice_eq(method, SLICE("<BADREQ>")))
		return;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (slice_eq(methods[i], method)) {
			record_set_text(r, SLOT_x_method, methods[i]);
			return;
		}
	record_set_text(r, SLOT_x_method, SLICE("_OTHER"));
	record_set_text(r, SLOT_x_method_original, method);
}

/* ---- query ------------------------------------------------------------------------------------------- */

/* Keys whose values are secrets (conventions v1.44, url.query): case-sensitive. */
static bool is_secret(struct slice key)
{
	static const struct slice keys[] = {
		{ "AWSAccessKeyId", 14 }, { "Signature", 9 }, { "sig", 3 }, { "X-Amz-Signature", 15 },
		{ "X-Amz-Credential", 16 }, { "X-Amz-Security-Token", 20 }, { "X-Goog-Signature", 16 },
	};

	if (key.len < 3 || !memchr("ASsX", *key.p, 4))
		return false;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (slice_eq(keys[i], key))
			return true;
	return false;
}

/* A copy with the values of secrets replaced, or `query` itself when it has none. */
static struct slice redact(struct slice query, char *scratch)
{
	struct slice rest = query;
	size_t n = 0;
	bool found = false;

	while (rest.p) {
		struct slice pair = slice_cut(&rest, '&'), value = pair, key = slice_cut(&value, '=');
		bool secret = value.p && is_secret(key);

		found |= secret;
		if (n + pair.len + 10 > LINE_MAX_BYTES)
			break;
		memcpy(scratch + n, pair.p, pair.len);
		n += pair.len;
		if (secret) {
			n -= value.len;
			memcpy(scratch + n, "REDACTED", 8);
			n += 8;
		}
		if (rest.p)
			scratch[n++] = '&';
	}
	return found ? slice_of(scratch, n) : query;
}

static void derive_query(struct record *r, struct slice query, char *scratch)
{
	if (query.len && *query.p == '?')
		query = slice_skip(query, 1);
	if (query.len)
		record_set_text(r, SLOT_x_query, memchr(query.p, '=', query.len) ? redact(query, scratch) : query);
}

/* ---- URI --------------------------------------------------------------------------------------------- */

/* host, host:port, [v6]:port */
static void derive_authority(struct record *r, struct slice s)
{
	size_t colon = s.len;
	uint64_t port;

	for (size_t i = s.len; i > 0 && s.p[i - 1] != ']' && colon == s.len; i--)
		if (s.p[i - 1] == ':')
			colon = i - 1;
	if (colon < s.len && slice_uint(slice_skip(s, colon + 1), &port) && port <= 65535)
		record_set_num(r, SLOT_x_server_port, (int64_t)port);
	else if (colon < s.len)
		colon = s.len;
	s.len = colon;
	if (s.len > 2 && *s.p == '[' && s.p[s.len - 1] == ']')
		s = slice_of(s.p + 1, s.len - 2);
	if (s.len)
		record_set_text(r, SLOT_x_server_address, s);
}

/* Length of the scheme of an absolute URI (RFC 3986 section 3.1), or 0 when it is none. */
static size_t scheme_len(struct slice uri)
{
	size_t n = 0;

	for (; n < uri.len; n++) {
		char c = slice_lower(uri.p[n]);

		if (!(c >= 'a' && c <= 'z') && (n == 0 || !((c >= '0' && c <= '9') || memchr("+-.", c, 3))))
			break;
	}
	return n && slice_starts(slice_skip(uri, n), SLICE("://")) ? n : 0;
}

/* `scheme://authority` in front of an absolute URI (HTTP/2 and HTTP/3 always); returns what follows. */
static struct slice derive_absolute(struct record *r, struct slice uri)
{
	struct slice scheme = slice_of(uri.p, scheme_len(uri)), rest, authority;
	size_t at, end;

	if (scheme.len == 0)
		return uri;
	record_set_text(r, SLOT_x_scheme, slice_ieq(scheme, SLICE("http")) ? SLICE("http") :
					  slice_ieq(scheme, SLICE("https")) ? SLICE("https") : scheme);
	rest = slice_skip(uri, scheme.len + 3);
	for (end = 0; end < rest.len && rest.p[end] != '/' && rest.p[end] != '?'; end++)
		;
	authority = slice_of(rest.p, end);
	for (at = authority.len; at > 0 && authority.p[at - 1] != '@'; at--)
		;
	derive_authority(r, slice_skip(authority, at));		/* credentials never leave */
	return slice_skip(rest, end);
}

static void derive_uri(struct record *r, struct slice uri, char *scratch)
{
	size_t mark;

	if (uri.len == 0)
		return;
	/* `CONNECT host:port` asks for a place, not for a path (RFC 9110 section 7.1, authority-form). */
	if (*uri.p != '/' && slice_eq(record_text(r, SLOT_x_method), SLICE("CONNECT"))) {
		derive_authority(r, uri);
		return;
	}
	uri = derive_absolute(r, uri);
	mark = slice_find(uri, '?');
	derive_query(r, slice_skip(uri, mark), scratch);
	record_set_text(r, SLOT_x_path, mark ? slice_of(uri.p, mark) : SLICE("/"));
}

/* HTTP/1.1, or 1.1 as the fetches write it; HTTP/2.0 is "2". */
static void derive_version(struct record *r, struct slice v)
{
	if (slice_starts(v, SLICE("HTTP/")))
		v = slice_skip(v, 5);
	if (v.len == 3 && v.p[2] == '0' && (*v.p == '2' || *v.p == '3'))
		v.len = 1;
	if (v.len && v.len <= 4)
		record_set_text(r, SLOT_x_version, v);
}

/* `METHOD URI VERSION`; cut at tune.http.logurilen the version is missing, but the quote is closed. */
static void derive_line(struct record *r, struct slice line, char *scratch)
{
	struct slice rest = line, method, version;
	size_t last;

	if (slice_eq(line, SLICE("<BADREQ>")))
		return;
	method = slice_cut(&rest, ' ');
	if (!rest.p)
		return;
	derive_method(r, method);
	last = rest.len > 9 ? rest.len - 8 : rest.len;
	if (last == 0 || rest.p[last - 1] != ' ' || memchr(rest.p + last, ' ', rest.len - last))	/* not the usual HTTP/1.1 */
		for (last = rest.len; last > 0 && rest.p[last - 1] != ' '; last--)
			;
	version = slice_skip(rest, last);
	if (last && (r->flags & RECORD_TRUNCATED) && version.len < 8 &&
	    slice_starts(SLICE("HTTP/"), slice_of(version.p, version.len < 5 ? version.len : 5))) {
		rest.len = last - 1;		/* the line was cut inside the version */
	} else if (last && slice_starts(version, SLICE("HTTP/"))) {
		derive_version(r, version);
		rest.len = last - 1;
	} else if (line.len >= REQUEST_LINE_MAX) {
		r->flags |= RECORD_TRUNCATED;
	}
	derive_uri(r, rest, scratch);
}

/* A part of the request; HAProxy writes <BADREQ> for each of them when it understood none. */
static struct slice part(const struct record *r, enum slot s)
{
	struct slice v = record_text(r, s);

	return slice_eq(v, SLICE("<BADREQ>")) ? slice_of(v.p, 0) : v;
}

static void derive_from_parts(struct record *r, char *scratch)
{
	struct slice path = part(r, SLOT_HP);

	derive_method(r, record_text(r, SLOT_HM));
	derive_version(r, record_text(r, SLOT_HV));
	if (record_has(r, SLOT_HU)) {
		derive_uri(r, part(r, SLOT_HU), scratch);
		return;
	}
	if (path.len) {
		path = derive_absolute(r, path);
		record_set_text(r, SLOT_x_path, path.len ? path : SLICE("/"));
	} else if (part(r, SLOT_HPO).len) {
		record_set_text(r, SLOT_x_path, record_text(r, SLOT_HPO));
	}
	derive_query(r, part(r, SLOT_HQ), scratch);
}

/* ---- connection -------------------------------------------------------------------------------------- */

/* The first of `a, b, c`. */
static struct slice first_of(struct slice list)
{
	return slice_trim(slice_cut(&list, ','));
}

static void derive_addresses(struct record *r)
{
	struct slice forwarded = first_of(record_text(r, SLOT_forwarded_for));
	struct slice host = first_of(record_text(r, SLOT_forwarded_host));

	if (forwarded.len)
		record_set_text(r, SLOT_x_client_address, forwarded);
	else if (record_has(r, SLOT_ci))
		record_set_text(r, SLOT_x_client_address, record_text(r, SLOT_ci));
	if (host.len) {
		record_drop(r, SLOT_x_server_port);
		derive_authority(r, host);
	} else if (!record_has(r, SLOT_x_server_address) && record_has(r, SLOT_host)) {
		derive_authority(r, record_text(r, SLOT_host));
	}
}

static void derive_tls(struct record *r)
{
	static const enum slot errors[] = { SLOT_fc_err, SLOT_ssl_fc_err, SLOT_ssl_c_err, SLOT_ssl_c_ca_err };
	struct slice version = record_text(r, SLOT_sslv), resumed = record_text(r, SLOT_tls_resumed);

	if (slice_starts(version, SLICE("TLSv")))
		record_set_text(r, SLOT_x_tls_version, slice_skip(version, 4));
	if (record_has(r, SLOT_x_tls) && !record_has(r, SLOT_x_scheme))
		record_set_text(r, SLOT_x_scheme, r->v[SLOT_x_tls].num ? SLICE("https") : SLICE("http"));
	/* Without TLS the field says 0 all the same: only a version tells that there was a session at all. */
	if (resumed.len && (version.len || record_num(r, SLOT_x_tls, 0)))
		record_set_num(r, SLOT_x_resumed, *resumed.p == '1' || *resumed.p == 't');
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct slice s = record_text(r, errors[i]);
		size_t zeros = 0;

		while (zeros < s.len && s.p[zeros] == '0')
			zeros++;
		if (zeros == s.len)
			record_drop(r, errors[i]);
	}
}

/* ---- route ------------------------------------------------------------------------------------------- */

bool route_match(struct slice template, struct slice path)
{
	while (template.p && path.p) {
		struct slice want = slice_cut(&template, '/'), have = slice_cut(&path, '/');

		if (slice_eq(want, SLICE("*")) && !template.p)
			return true;
		if (want.len > 2 && *want.p == '{' && want.p[want.len - 1] == '}') {
			if (have.len == 0)
				return false;
		} else if (!slice_eq(want, have)) {
			return false;
		}
	}
	return !template.p && !path.p;
}

void http_request(struct record *r, const struct rules *rules, char *scratch, struct slice *route_name,
		  char *name_buf, size_t name_size)
{
	struct slice method, path;

	if (record_has(r, SLOT_r))
		derive_line(r, record_text(r, SLOT_r), scratch);
	else
		derive_from_parts(r, scratch);
	derive_addresses(r);
	derive_tls(r);

	method = record_text(r, SLOT_x_method);
	*route_name = method.len == 0 || record_has(r, SLOT_x_method_original) ? SLICE("HTTP") : method;
	path = record_text(r, SLOT_x_path);
	for (uint32_t i = 0; path.len && i < rules->nroutes; i++)
		if (route_match(rules->routes[i], path)) {
			int n = snprintf(name_buf, name_size, "%.*s %.*s", (int)route_name->len, route_name->p,
					 (int)rules->routes[i].len, rules->routes[i].p);

			record_set_text(r, SLOT_x_route, rules->routes[i]);
			*route_name = slice_of(name_buf, (size_t)n < name_size ? (size_t)n : name_size - 1);
			return;
		}
}
