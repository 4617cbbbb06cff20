/*
 * What a request line, captured headers and TLS fields say, in the words of OpenTelemetry's HTTP
 * conventions; and that nothing a client wrote leaves as it must not.
 */
#include "lines.h"

#include "reconstruct/http.h"

/* An attribute of SERVER that a line must have, or, with a NULL value, must not. */
struct want {
	const char *key, *value;
};

#define WANTS 10

static void check_attr(const struct lines *l, const struct want *w)
{
	const char *got = lines_attr(l, ROLE_SERVER, w->key);

	if (!w->value && !got)
		return;
	if (!w->value || !got || strcmp(got, w->value) != 0)
		fail_msg("%.*s\n  %s is %s, not %s", (int)l->msg.len, l->msg.p, w->key,
			 got ? got : "not there", w->value ? w->value : "absent");
}

struct sample {
	const char *text; /* the request line, or what varies of the log line */
	const char *name; /* of SERVER */
	struct want want[WANTS];
};

static void check_requests(const struct sample *t, size_t n)
{
	struct lines l;

	lines_simple(&l, "httplog");
	for (size_t i = 0; i < n; i++) {
		char line[4096];

		snprintf(line, sizeof(line),
			 "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - "
			 "---- 1/1/0/0/0 0/0 \"%s\"",
			 t[i].text);
		lines_request(&l, line);
		assert_text(l.trace.span[0].name, t[i].name);
		if (l.trace.has_client)
			assert_text(lines_span(&l, ROLE_CLIENT)->name, t[i].name);
		for (const struct want *w = t[i].want; w < t[i].want + WANTS && w->key; w++)
			check_attr(&l, w);
	}
	lines_free(&l);
}

#define METHOD "http.request.method"
#define ORIGINAL "http.request.method_original"
#define PATH "url.path"
#define QUERY "url.query"
#define SCHEME "url.scheme"
#define VERSION "network.protocol.version"
#define ADDRESS "server.address"
#define PORT "server.port"

/* ---- the request line ------------------------------------------------------------------------ */

static void a_request_line_has_method_path_query_and_version(void **state)
{
	static const struct sample t[] = {
		{ "GET / HTTP/1.1",
		  "GET",
		  { { METHOD, "GET" },
		    { PATH, "/" },
		    { QUERY, NULL },
		    { VERSION, "1.1" },
		    { SCHEME, "http" },
		    { ADDRESS, NULL },
		    { ORIGINAL, NULL } } },
		{ "POST /a/b?x=1&y=%20 HTTP/1.0",
		  "POST",
		  { { METHOD, "POST" },
		    { PATH, "/a/b" },
		    { QUERY, "x=1&y=%20" },
		    { VERSION, "1.0" } } },
		{ "GET /? HTTP/1.1", "GET", { { PATH, "/" }, { QUERY, NULL } } },
		{ "GET /a?? HTTP/1.1", "GET", { { PATH, "/a" }, { QUERY, "?" } } },
		{ "GET /a?b?c=d?e HTTP/1.1", "GET", { { PATH, "/a" }, { QUERY, "b?c=d?e" } } },
		{ "GET ?x=1 HTTP/1.1", "GET", { { PATH, "/" }, { QUERY, "x=1" } } },
		{ "OPTIONS * HTTP/1.1", "OPTIONS", { { METHOD, "OPTIONS" }, { PATH, "*" } } },
		{ "GET /a b c HTTP/1.1", "GET", { { PATH, "/a b c" }, { VERSION, "1.1" } } },
		{ "GET /a", "GET", { { PATH, "/a" }, { VERSION, NULL } } },
		{ "GET /a HTTP/0.9", "GET", { { VERSION, "0.9" } } },
		{ "GET /HTTP/1.1 HTTP/1.1", "GET", { { PATH, "/HTTP/1.1" }, { VERSION, "1.1" } } },
		{ "<BADREQ>",
		  "HTTP",
		  { { METHOD, NULL },
		    { PATH, NULL },
		    { QUERY, NULL },
		    { VERSION, NULL },
		    { ORIGINAL, NULL } } },
	};

	(void)state;
	check_requests(t, COUNT(t));
}

static void only_known_methods_are_names(void **state)
{
	static const char *const known[] = { "GET",	"POST",	 "HEAD",    "PUT",  "DELETE",
					     "OPTIONS", "PATCH", "CONNECT", "TRACE" };
	static const char *const unknown[] = { "get", "Get",	"PROPFIND", "GETX",
					       "GE",  "_OTHER", "<script>" };

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++) {
		char text[64];
		struct sample s = { text, known[i], { { METHOD, known[i] }, { ORIGINAL, NULL } } };

		snprintf(text, sizeof(text), "%s /x HTTP/1.1", known[i]);
		check_requests(&s, 1);
	}
	for (size_t i = 0; i < COUNT(unknown); i++) {
		char text[64];
		struct sample s = {
			text,
			"HTTP",
			{ { METHOD, "_OTHER" }, { ORIGINAL, unknown[i] }, { PATH, "/x" } }
		};

		snprintf(text, sizeof(text), "%s /x HTTP/1.1", unknown[i]);
		check_requests(&s, 1);
	}
}

static void an_absolute_uri_has_scheme_and_host(void **state)
{
	static const struct sample t[] = {
		/* HTTP/2 and HTTP/3 always */
		{ "GET https://localhost:21305/p?q HTTP/2.0",
		  "GET",
		  { { SCHEME, "https" },
		    { ADDRESS, "localhost" },
		    { PORT, "21305" },
		    { PATH, "/p" },
		    { QUERY, "q" },
		    { VERSION, "2" } } },
		{ "GET https://h/p HTTP/3.0",
		  "GET",
		  { { ADDRESS, "h" }, { PORT, NULL }, { VERSION, "3" } } },
		{ "GET http://h/ HTTP/1.1", "GET", { { SCHEME, "http" }, { PATH, "/" } } },
		{ "GET http://h HTTP/1.1", "GET", { { ADDRESS, "h" }, { PATH, "/" } } },
		{ "GET http://h?x=1 HTTP/1.1",
		  "GET",
		  { { ADDRESS, "h" }, { PATH, "/" }, { QUERY, "x=1" } } },
		{ "GET http://[2001:db8::1]:8080/x HTTP/1.1",
		  "GET",
		  { { ADDRESS, "2001:db8::1" }, { PORT, "8080" }, { PATH, "/x" } } },
		{ "GET http://[2001:db8::1]/x HTTP/1.1",
		  "GET",
		  { { ADDRESS, "2001:db8::1" }, { PORT, NULL } } },
		{ "GET http://h:99999/x HTTP/1.1", "GET", { { PORT, NULL } } },
		{ "GET http://h:x/x HTTP/1.1", "GET", { { PORT, NULL } } },
		{ "GET http:///x HTTP/1.1", "GET", { { ADDRESS, NULL }, { PATH, "/x" } } },
		/* a scheme is a scheme in any case (RFC 3986 section 3.1) */
		{ "GET HTTP://h/x HTTP/1.1",
		  "GET",
		  { { SCHEME, "http" }, { ADDRESS, "h" }, { PATH, "/x" } } },
		{ "GET Https://h/x HTTP/1.1",
		  "GET",
		  { { SCHEME, "https" }, { ADDRESS, "h" }, { PATH, "/x" } } },
		/* not every path with a colon is one */
		{ "GET /http://h/x HTTP/1.1",
		  "GET",
		  { { SCHEME, "http" }, { ADDRESS, NULL }, { PATH, "/http://h/x" } } },
	};

	(void)state;
	check_requests(t, COUNT(t));
}

static void credentials_in_a_uri_never_leave(void **state)
{
	static const char *const lines[] = {
		"GET http://user:s3cret@h:8080/x HTTP/1.1",
		"GET https://s3cret@h:8080/x HTTP/2.0",
		"GET http://user:s3@s3cret@h:8080/x HTTP/1.1",
		"GET HTTP://user:s3cret@h:8080/x HTTP/1.1",
		"GET http://user:s3cret@h:8080 HTTP/1.1",
		"GET http://user:s3cret@h:8080?x=1 HTTP/1.1",
		"GET ftp://user:s3cret@h:8080/x HTTP/1.1",
		"GET ws+x://user:s3cret@h:8080/x HTTP/1.1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct lines l;
		char line[512];
		const struct plan *plan;

		lines_simple(&l, "httplog");
		snprintf(line, sizeof(line),
			 "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - "
			 "---- 1/1/0/0/0 0/0 \"%s\"",
			 lines[i]);
		lines_request(&l, line);
		assert_string_equal(lines_attr(&l, ROLE_SERVER, ADDRESS), "h");
		assert_string_equal(lines_attr(&l, ROLE_SERVER, PORT), "8080");
		plan = l.parser.rec.format->plan;
		for (uint32_t k = 0; k < plan->server.n; k++) {
			const char *got =
				lines_attr(&l, ROLE_SERVER, lines_text(attrs_row(&plan->server, k)->key));

			if (got && (strstr(got, "s3") || strstr(got, "user")))
				fail_msg("%s: %s=%s", lines[i], lines_text(attrs_row(&plan->server, k)->key),
					 got);
		}
		lines_free(&l);
	}
}

static void secrets_in_a_query_are_redacted(void **state)
{
	static const struct {
		const char *query, *kept;
	} t[] = {
		{ "sig=abc", "sig=REDACTED" },
		{ "Signature=abc", "Signature=REDACTED" },
		{ "AWSAccessKeyId=abc", "AWSAccessKeyId=REDACTED" },
		{ "X-Amz-Signature=abc", "X-Amz-Signature=REDACTED" },
		{ "X-Amz-Credential=abc", "X-Amz-Credential=REDACTED" },
		{ "X-Amz-Security-Token=abc", "X-Amz-Security-Token=REDACTED" },
		{ "X-Goog-Signature=abc", "X-Goog-Signature=REDACTED" },
		{ "a=1&sig=abc&b=2", "a=1&sig=REDACTED&b=2" },
		{ "sig=abc&sig=def", "sig=REDACTED&sig=REDACTED" },
		{ "sig=a=b=c&x", "sig=REDACTED&x" },
		{ "sig=", "sig=REDACTED" },
		{ "a&sig=abc&", "a&sig=REDACTED&" },
		/* keys are case-sensitive, and whole */
		{ "SIG=abc", "SIG=abc" },
		{ "xsig=abc&sigx=abc", "xsig=abc&sigx=abc" },
		{ "sig", "sig" },
		{ "a=sig&b=Signature", "a=sig&b=Signature" },
		{ "token=abc", "token=abc" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char text[256];
		struct sample s = { text, "GET", { { QUERY, t[i].kept }, { PATH, "/x" } } };

		snprintf(text, sizeof(text), "GET /x?%s HTTP/1.1", t[i].query);
		check_requests(&s, 1);
		snprintf(text, sizeof(text), "GET https://h/x?%s HTTP/2.0", t[i].query);
		check_requests(&s, 1);
	}
}

static void a_request_may_be_logged_in_parts(void **state)
{
	static const struct {
		const char *format, *line;
		struct sample s;
	} t[] = {
		{ "%tr %Ta m=%HM p=%{+Q}HP q=%{+Q}HQ v=%HV",
		  "m=POST p=\"/a\" q=\"?x=1&sig=2\" v=HTTP/1.1",
		  { NULL,
		    "POST",
		    { { METHOD, "POST" },
		      { PATH, "/a" },
		      { QUERY, "x=1&sig=REDACTED" },
		      { VERSION, "1.1" } } } },
		{ "%tr %Ta m=%HM p=%{+Q}HP q=%{+Q}HQ v=%HV",
		  "m=GET p=\"https://h:1/a\" q=\"\" v=HTTP/2.0",
		  { NULL,
		    "GET",
		    { { PATH, "/a" },
		      { QUERY, NULL },
		      { SCHEME, "https" },
		      { ADDRESS, "h" },
		      { PORT, "1" },
		      { VERSION, "2" } } } },
		{ "%tr %Ta m=%HM p=%HPO v=%HV",
		  "m=GET p=/a v=HTTP/1.1",
		  { NULL, "GET", { { PATH, "/a" } } } },
		{ "%tr %Ta m=%HM u=%{+Q}HU",
		  "m=GET u=\"/a?b=c\"",
		  { NULL, "GET", { { PATH, "/a" }, { QUERY, "b=c" } } } },
		{ "%tr %Ta m=%HM u=%{+Q}HU",
		  "m=GET u=\"http://u:p@h/a?b\"",
		  { NULL, "GET", { { PATH, "/a" }, { QUERY, "b" }, { ADDRESS, "h" } } } },
		{ "%tr %Ta m=%[method] p=%[path] v=%[capture.req.ver]",
		  "m=GET p=/a v=HTTP/1.1",
		  { NULL, "GET", { { PATH, "/a" }, { VERSION, "1.1" } } } },
		{ "%tr %Ta m=%HM p=%HP q=%{+Q}HQ v=%HV",
		  "m=<BADREQ> p=<BADREQ> q=\"<BADREQ>\" v=<BADREQ>",
		  { NULL,
		    "HTTP",
		    { { METHOD, NULL },
		      { PATH, NULL },
		      { QUERY, NULL },
		      { VERSION, NULL },
		      { ORIGINAL, NULL } } } },
		{ "%tr %Ta u=%{+Q}HU", "u=\"<BADREQ>\"", { NULL, "HTTP", { { PATH, NULL } } } },
		{ "%tr %Ta %f", "fe", { NULL, "HTTP", { { METHOD, NULL }, { PATH, NULL } } } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[512];
		struct lines l;

		lines_simple(&l, t[i].format);
		snprintf(line, sizeof(line), "21/Nov/2026:08:15:44.900 21 %s", t[i].line);
		lines_request(&l, line);
		assert_text(l.trace.span[0].name, t[i].s.name);
		for (const struct want *w = t[i].s.want; w < t[i].s.want + WANTS && w->key; w++)
			check_attr(&l, w);
		lines_free(&l);
	}
}

/* tune.http.logurilen: HAProxy cuts at 1023 bytes, and closes the quote all the same. */
static void a_request_line_of_1023_bytes_was_cut(void **state)
{
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	for (int n = 1021; n <= 1024; n++)
		for (int whole = 0; whole < 2; whole++) {
			char request[1100], line[1400];
			const char *path;

			memset(request, 'a', sizeof(request));
			memcpy(request, "GET /", 5);
			snprintf(request + n - 9 * whole, sizeof(request) - (size_t)n, "%s",
				 whole ? " HTTP/1.1" : "");
			assert_int_equal(strlen(request), n);
			snprintf(line, sizeof(line),
				 "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 "
				 "68 - - "
				 "---- 1/1/0/0/0 0/0 \"%s\"",
				 request);
			lines_request(&l, line);
			path = lines_attr(&l, ROLE_SERVER, PATH);
			assert_int_equal(strlen(path), n - 4 - 9 * whole);
			assert_int_equal(lines_attr(&l, ROLE_SERVER, "haspan.truncated") != NULL,
					 n >= 1023 && !whole);
			assert_int_equal(lines_attr(&l, ROLE_SERVER, VERSION) != NULL, whole);
		}
	lines_free(&l);
}

/* ---- who speaks to whom ---------------------------------------------------------------------- */

static void check_headers(const char *names, const char *captures, const char *request,
			  const struct want *want)
{
	char line[1024];
	struct lines l;

	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, names);
	lines_format(&l, "httplog");
	lines_start(&l, "UTC");
	snprintf(line, sizeof(line),
		 "192.0.2.1:4000 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - "
		 "---- 1/1/0/0/0 0/0 %s \"%s\"",
		 captures, request);
	lines_request(&l, line);
	for (const struct want *w = want; w < want + WANTS && w->key; w++)
		check_attr(&l, w);
	lines_free(&l);
}

static void the_host_header_names_the_server(void **state)
{
	static const struct {
		const char *names, *captures, *request;
		struct want want[WANTS];
	} t[] = {
		{ "host",
		  "{example.org}",
		  "GET / HTTP/1.1",
		  { { ADDRESS, "example.org" }, { PORT, NULL } } },
		{ "Host",
		  "{example.org:8443}",
		  "GET / HTTP/1.1",
		  { { ADDRESS, "example.org" }, { PORT, "8443" } } },
		{ "host",
		  "{[2001:db8::1]:8443}",
		  "GET / HTTP/1.1",
		  { { ADDRESS, "2001:db8::1" }, { PORT, "8443" } } },
		{ "host",
		  "{[2001:db8::1]}",
		  "GET / HTTP/1.1",
		  { { ADDRESS, "2001:db8::1" }, { PORT, NULL } } },
		{ "host",
		  "{192.0.2.7:80}",
		  "GET / HTTP/1.1",
		  { { ADDRESS, "192.0.2.7" }, { PORT, "80" } } },
		{ "host", "{h:}", "GET / HTTP/1.1", { { PORT, NULL } } },
		{ "host", "{h:0x50}", "GET / HTTP/1.1", { { PORT, NULL } } },
		{ "host", "{h:65535}", "GET / HTTP/1.1", { { PORT, "65535" } } },
		{ "host", "{h:65536}", "GET / HTTP/1.1", { { PORT, NULL } } },
		{ "host", "{}", "GET / HTTP/1.1", { { ADDRESS, NULL }, { PORT, NULL } } },
		/* the authority of the request goes first, and X-Forwarded-Host before both */
		{ "host",
		  "{other:1}",
		  "GET https://h/ HTTP/2.0",
		  { { ADDRESS, "h" }, { PORT, NULL } } },
		{ "host,x-forwarded-host",
		  "{inner:8080|outer.example}",
		  "GET / HTTP/1.1",
		  { { ADDRESS, "outer.example" }, { PORT, NULL } } },
		{ "host,x-forwarded-host",
		  "{inner|outer.example:444, second}",
		  "GET http://h:1/ HTTP/1.1",
		  { { ADDRESS, "outer.example" }, { PORT, "444" } } },
		{ "host,x-forwarded-host",
		  "{inner:1|}",
		  "GET / HTTP/1.1",
		  { { ADDRESS, "inner" }, { PORT, "1" } } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++)
		check_headers(t[i].names, t[i].captures, t[i].request, t[i].want);
}

static void the_client_is_the_first_that_forwarded(void **state)
{
	static const struct {
		const char *captures, *address;
	} t[] = {
		{ "{}", "192.0.2.1" },
		{ "{198.51.100.7}", "198.51.100.7" },
		{ "{198.51.100.7, 10.0.0.1, 10.0.0.2}", "198.51.100.7" },
		{ "{ 198.51.100.7 ,10.0.0.1}", "198.51.100.7" },
		{ "{2001:db8::7, 10.0.0.1}", "2001:db8::7" },
		{ "{, 10.0.0.1}", "192.0.2.1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct want want[WANTS] = { { "client.address", t[i].address },
					    { "network.peer.address", "192.0.2.1" },
					    { "network.peer.port", "4000" } };

		check_headers("x-forwarded-for", t[i].captures, "GET / HTTP/1.1", want);
	}
}

static void a_user_agent_is_what_it_says(void **state)
{
	static const struct want want[WANTS] = {
		{ "user_agent.original", "lab/1.0 \"quoted\" {brace}|pipe" },
		{ "http.request.header.user-agent", "[lab/1.0 \"quoted\" {brace}|pipe]" },
	};

	(void)state;
	check_headers("user-agent", "{lab/1.0 #22quoted#22 #7Bbrace#7D#7Cpipe}", "GET / HTTP/1.1",
		      want);
}

static void tls_is_known_by_the_frontend_and_by_its_fields(void **state)
{
	static const struct {
		const char *frontend, *request, *tail;
		struct want want[WANTS];
	} t[] = {
		{ "fe~",
		  "GET https://h/x HTTP/2.0",
		  "0/0000000000000000/0/0/0 h/TLSv1.3/TLS_AES_256_GCM_SHA384",
		  { { SCHEME, "https" },
		    { "tls.protocol.version", "1.3" },
		    { "tls.cipher", "TLS_AES_256_GCM_SHA384" },
		    { "tls.client.server_name", "h" },
		    { "tls.resumed", "false" },
		    { "haproxy.frontend.name", "fe" },
		    { "haproxy.fc_err", NULL },
		    { "haproxy.ssl_fc_err", NULL } } },
		{ "fe~",
		  "GET /x HTTP/1.1",
		  "0/0/0/0/1 -/TLSv1.2/ECDHE-RSA-AES128-GCM-SHA256",
		  { { SCHEME, "https" },
		    { "tls.protocol.version", "1.2" },
		    { "tls.resumed", "true" },
		    { "tls.client.server_name", NULL } } },
		{ "fe~",
		  "<BADREQ>",
		  "33/000000000A0000C6/18/2/0 -/-/-",
		  { { "haproxy.fc_err", "33" },
		    { "haproxy.ssl_fc_err", "000000000A0000C6" },
		    { "haproxy.ssl_c_err", "18" },
		    { "haproxy.ssl_c_ca_err", "2" },
		    { "tls.protocol.version", NULL },
		    { "tls.cipher", NULL } } },
		{ "fe",
		  "GET /x HTTP/1.1",
		  "0/0/0/0/0 -/-/-",
		  { { SCHEME, "http" }, { "tls.resumed", NULL }, { "haproxy.fc_err", NULL } } },
		/* what the client wrote goes before what the listener speaks */
		{ "fe", "GET https://h/x HTTP/1.1", "0/0/0/0/0 -/-/-", { { SCHEME, "https" } } },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "httpslog");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[1024];

		snprintf(line, sizeof(line),
			 "192.0.2.1:4000 [21/Nov/2026:08:15:44.900] %s be/app 0/0/0/21/21 200 68 - "
			 "- "
			 "---- 1/1/0/0/0 0/0 {} \"%s\" %s",
			 t[i].frontend, t[i].request, t[i].tail);
		lines_request(&l, line);
		for (const struct want *w = t[i].want; w < t[i].want + WANTS && w->key; w++)
			check_attr(&l, w);
	}
	lines_free(&l);
}

/* ---- routes ---------------------------------------------------------------------------------- */

static void a_template_fits_a_path_segment_by_segment(void **state)
{
	static const struct {
		const char *template, *path;
		bool fits;
	} t[] = {
		{ "/orders/{id}", "/orders/17", true },
		{ "/orders/{id}", "/orders/a%2Fb", true },
		{ "/orders/{id}", "/orders/", false },
		{ "/orders/{id}", "/orders", false },
		{ "/orders/{id}", "/orders/17/", false },
		{ "/orders/{id}", "/orders/17/items", false },
		{ "/orders/{id}", "/Orders/17", false },
		{ "/orders/{id}", "/x/orders/17", false },
		{ "/orders/{id}/items/{n}", "/orders/17/items/2", true },
		{ "/orders/{id}/items", "/orders/17/items", true },
		{ "/static/*", "/static/a", true },
		{ "/static/*", "/static/a/b/c.css", true },
		{ "/static/*", "/static/", true },
		{ "/static/*", "/static", false },
		{ "/*", "/", true },
		{ "/*", "/anything/at/all", true },
		{ "/a/*/c", "/a/b/c", false }, /* only a last one is for the rest */
		{ "/a/*/c", "/a/*/c", true },
		{ "/", "/", true },
		{ "/", "/a", false },
		{ "/healthz", "/healthz", true },
		{ "/a/", "/a/", true },
		{ "/a/", "/a", false },
		{ "/{}", "/a", false }, /* a place without a name is text */
		{ "/{}", "/{}", true },
		{ "/{id}", "//", false },
		{ "/x{id}", "/x1", false },
		{ "/{id}", "*", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++)
		if (route_match(slice_str(t[i].template), slice_str(t[i].path)) != t[i].fits)
			fail_msg("%s and %s", t[i].template, t[i].path);
}

static void a_route_names_the_server_span(void **state)
{
	static const struct {
		const char *request, *name, *route;
	} t[] = {
		{ "GET /orders/17?x=1 HTTP/1.1", "GET /orders/{id}", "/orders/{id}" },
		{ "DELETE https://h/orders/17 HTTP/2.0", "DELETE /orders/{id}", "/orders/{id}" },
		{ "GET /orders/new HTTP/1.1", "GET /orders/new",
		  "/orders/new" }, /* the first that fits */
		{ "BREW /orders/17 HTTP/1.1", "HTTP /orders/{id}", "/orders/{id}" },
		{ "GET /other HTTP/1.1", "GET", NULL },
		{ "<BADREQ>", "HTTP", NULL },
	};
	struct lines l;

	(void)state;
	lines_init(&l);
	l.rules.routes[l.rules.nroutes++] = SLICE("/orders/new");
	l.rules.routes[l.rules.nroutes++] = SLICE("/orders/{id}");
	lines_format(&l, "httplog");
	lines_start(&l, "UTC");
	for (size_t i = 0; i < COUNT(t); i++) {
		struct want want = { "http.route", t[i].route };
		char line[512];

		snprintf(line, sizeof(line),
			 "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - "
			 "---- 1/1/0/0/0 0/0 \"%s\"",
			 t[i].request);
		lines_request(&l, line);
		assert_text(l.trace.span[0].name, t[i].name);
		check_attr(&l, &want);
	}
	lines_free(&l);
}

static void a_route_longer_than_a_name_is_cut(void **state)
{
	char route[700], line[1200];
	struct lines l;

	(void)state;
	memset(route, 'r', sizeof(route));
	route[0] = '/';
	route[sizeof(route) - 1] = '\0';
	lines_init(&l);
	l.rules.routes[l.rules.nroutes++] = slice_str(route);
	lines_format(&l, "httplog");
	lines_start(&l, "UTC");
	snprintf(line, sizeof(line),
		 "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - "
		 "---- 1/1/0/0/0 0/0 \"GET %s HTTP/1.1\"",
		 route);
	lines_request(&l, line);
	assert_int_equal(l.trace.span[0].name.len, sizeof(l.trace.tname) - 1);
	assert_memory_equal(l.trace.span[0].name.p, "GET /rrr", 8);
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "http.route"), route);
	lines_free(&l);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

#define FFFD "\xef\xbf\xbd"

static void text_is_decoded_and_made_valid(void **state)
{
	static const struct {
		const char *in, *out;
		bool hash, backslash;
	} t[] = {
		{ "plain", "plain", true, true },
		{ "", "", true, true },
		/* HAProxy's #XX: upper case only, as it writes them */
		{ "#22", "\"", true, false },
		{ "a#20b#23c", "a b#c", true, false },
		{ "#C3#A9", "\xc3\xa9", true, false },
		{ "#c3#a9", "#c3#a9", true, false },
		{ "#2", "#2", true, false },
		{ "#", "#", true, false },
		{ "#2G#G2##41", "#2G#G2#A", true, false },
		{ "#22", "#22", false, false },
		{ "#2322", "#22", true, false }, /* once, not twice */
		/* invalid UTF-8, one U+FFFD a byte */
		{ "#FF", FFFD, true, false },
		{ "a#C3", "a" FFFD, true, false },
		{ "#C3#28", FFFD "(", true, false },
		{ "#80", FFFD, true, false },
		{ "#C0#AF", FFFD FFFD, true, false }, /* overlong */
		{ "#E0#80#AF", FFFD FFFD FFFD, true, false },
		{ "#ED#A0#80", FFFD FFFD FFFD, true, false },	      /* a surrogate */
		{ "#F4#90#80#80", FFFD FFFD FFFD FFFD, true, false }, /* beyond U+10FFFF */
		{ "#F5#80#80#80", FFFD FFFD FFFD FFFD, true, false },
		{ "#F0#9F#98#80", "\xf0\x9f\x98\x80", true, false },
		{ "#F0#9F#98", FFFD FFFD FFFD, true, false },
		{ "\xff\xfe", FFFD FFFD, false, false },
		{ "ok\xe2\x82\xac\xe2\x82", "ok\xe2\x82\xac" FFFD FFFD, false, false },
		/* +E and the json converter */
		{ "a\\\"b\\\\c\\]", "a\"b\\c]", false, true },
		{ "\\b\\f\\n\\r\\t\\/", "\b\f\n\r\t/", false, true },
		{ "\\u00e9\\u20AC", "\xc3\xa9\xe2\x82\xac", false, true },
		{ "\\u0041\\u007F\\u0080", "A\x7f\xc2\x80", false, true },
		{ "\\ud83d\\ude00", FFFD FFFD, false, true },
		{ "\\u12", "u12", false, true },
		{ "\\u12x4", "u12x4", false, true },
		{ "end\\", "end\\", false, true },
		{ "a\\\"b", "a\\\"b", false, false },
		{ "#5C\\#41", "\\#41", true, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		size_t n = strlen(t[i].in);
		char *in = malloc(n + 1), *out = malloc(3 * n + 1);
		size_t got;

		assert_true(in && out);
		memcpy(in, t[i].in, n);
		got = text_clean(slice_of(in, n), t[i].hash, t[i].backslash, out);
		if (got != strlen(t[i].out) || memcmp(out, t[i].out, got) != 0)
			fail_msg("%s: %.*s", t[i].in, (int)got, out);
		assert_true(text_valid(slice_of(out, got)));
		free(in);
		free(out);
	}
}

static void text_of_any_bytes_becomes_valid_and_valid_text_stays(void **state)
{
	uint64_t x = 88172645463325252;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char in[24], out[3 * sizeof(in)];
		size_t n = (size_t)(round % 24), got;

		for (size_t k = 0; k < n; k++) {
			static const char dirty[] = "a#"
						    "CFEF0289\\u\"\x80\xbf\xc3\xe2\xed\xf0\xf4\xff";

			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			in[k] = dirty[x % (sizeof(dirty) - 1)];
		}
		got = text_clean(slice_of(in, n), round & 1, round & 2, out);
		assert_true(got <= 3 * n);
		assert_true(text_valid(slice_of(out, got)));
		if (text_valid(slice_of(in, n))) {
			got = text_clean(slice_of(in, n), false, false, out);
			assert_int_equal(got, n);
			assert_memory_equal(out, in, n);
		}
	}
}

static void utf8_is_valid_by_the_table_of_unicode(void **state)
{
	char p[4];

	(void)state;
	/* every code point, as it is to be written */
	for (uint32_t c = 0; c < 0x110000; c++) {
		size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

		p[0] = (char)(n == 1 ? c :
			      n == 2 ? 0xc0 | c >> 6 :
			      n == 3 ? 0xe0 | c >> 12 :
				       0xf0 | c >> 18);
		for (size_t k = 1; k < n; k++)
			p[k] = (char)(0x80 | (c >> 6 * (n - 1 - k) & 0x3f));
		if (text_valid(slice_of(p, n)) != (c < 0xd800 || c > 0xdfff))
			fail_msg("U+%04X", c);
		if (n > 1)
			assert_false(text_valid(slice_of(p, n - 1)));
	}
	/* every pair of bytes: ASCII twice, or one code point of two */
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++) {
			p[0] = (char)a;
			p[1] = (char)b;
			assert_int_equal(text_valid(slice_of(p, 2)),
					 (a < 0x80 && b < 0x80) ||
						 (a >= 0xc2 && a < 0xe0 && b >= 0x80 && b < 0xc0));
		}
}

static void what_clients_write_is_decoded_where_haproxy_encodes_it(void **state)
{
	static const struct {
		const char *captures, *request;
		struct want want[WANTS];
	} t[] = {
		{ "{#C3#A9#09#22}",
		  "GET /caf#C3#A9?q=#22x#22 HTTP/1.1",
		  { { PATH, "/caf\xc3\xa9" },
		    { QUERY, "q=\"x\"" },
		    { "haproxy.captures", "[\xc3\xa9\t\"]" } } },
		{ "{#FF}",
		  "GET /#FF#23 HTTP/1.1",
		  { { PATH, "/" FFFD "#" }, { "haproxy.captures", "[" FFFD "]" } } },
		/* raw bytes, from a relay that undid the escapes */
		{ "{\xff}",
		  "GET /\xc3\xa9\xff HTTP/1.1",
		  { { PATH, "/\xc3\xa9" FFFD }, { "haproxy.captures", "[" FFFD "]" } } },
		/* an encoded '?' is none */
		{ "{}", "GET /a#3Fb HTTP/1.1", { { METHOD, "GET" } } },
	};
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	for (size_t i = 0; i < COUNT(t); i++) {
		char line[512];

		snprintf(line, sizeof(line),
			 "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 - - "
			 "---- 1/1/0/0/0 0/0 %s \"%s\"",
			 t[i].captures, t[i].request);
		lines_request(&l, line);
		for (const struct want *w = t[i].want; w < t[i].want + WANTS && w->key; w++)
			check_attr(&l, w);
	}
	/* cookies and expressions are raw: a '#' is a '#' */
	lines_request(&l, "192.0.2.1:1 [21/Nov/2026:08:15:44.900] fe be/app 0/0/0/21/21 200 68 "
			  "a=#41 b=#42 ---- "
			  "1/1/0/0/0 0/0 \"GET / HTTP/1.1\"");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.cookie.request"), "a=#41");
	assert_string_equal(lines_attr(&l, ROLE_SERVER, "haproxy.cookie.response"), "b=#42");
	lines_free(&l);
}

/* Exactly these, no more: a real line of HAProxy 3.2.26 as it leaves. */
static void a_real_line_leaves_with_these_attributes_and_no_other(void **state)
{
	static const struct {
		enum span_role role;
		struct want want;
	} t[] = {
		{ ROLE_SERVER, { METHOD, "GET" } },
		{ ROLE_SERVER, { SCHEME, "http" } },
		{ ROLE_SERVER, { PATH, "/sleep/20" } },
		{ ROLE_SERVER, { "http.response.status_code", "200" } },
		{ ROLE_SERVER, { ADDRESS, "127.0.0.1" } },
		{ ROLE_SERVER, { PORT, "21001" } },
		{ ROLE_SERVER, { "client.address", "127.0.0.1" } },
		{ ROLE_SERVER, { "network.peer.address", "127.0.0.1" } },
		{ ROLE_SERVER, { "network.peer.port", "49686" } },
		{ ROLE_SERVER, { VERSION, "1.1" } },
		{ ROLE_SERVER, { "user_agent.original", "lab/1.0 \"quoted\" {brace}|pipe" } },
		{ ROLE_SERVER, { "haproxy.frontend.name", "fe_http" } },
		{ ROLE_SERVER, { "haproxy.backend.name", "be_app" } },
		{ ROLE_SERVER, { "haproxy.termination_state", "----" } },
		{ ROLE_SERVER, { "haproxy.bytes_read", "68" } },
		{ ROLE_SERVER, { "haproxy.connections.active", "1" } },
		{ ROLE_SERVER, { "haproxy.connections.frontend", "1" } },
		{ ROLE_SERVER, { "haproxy.connections.backend", "0" } },
		{ ROLE_SERVER, { "haproxy.queue.server", "0" } },
		{ ROLE_SERVER, { "haproxy.queue.backend", "0" } },
		{ ROLE_SERVER, { "haproxy.timer.TR", "0" } },
		{ ROLE_SERVER, { "haproxy.timer.Tw", "0" } },
		{ ROLE_SERVER, { "haproxy.timer.Ta", "21" } },
		{ ROLE_SERVER, { "haproxy.cookie.response", "sid=abc" } },
		{ ROLE_SERVER, { "http.request.header.host", "[127.0.0.1:21001]" } },
		{ ROLE_SERVER,
		  { "http.request.header.user-agent", "[lab/1.0 \"quoted\" {brace}|pipe]" } },
		{ ROLE_SERVER, { "http.response.header.content-length", "[3]" } },
		{ ROLE_CLIENT, { METHOD, "GET" } },
		{ ROLE_CLIENT, { "http.response.status_code", "200" } },
		{ ROLE_CLIENT, { "haproxy.server.name", "app1" } },
		{ ROLE_CLIENT, { "haproxy.retries", "0" } },
		{ ROLE_CLIENT, { "haproxy.connections.server", "0" } },
		{ ROLE_CLIENT, { "haproxy.timer.Tc", "0" } },
		{ ROLE_CLIENT, { "haproxy.timer.Tr", "21" } },
	};
	const struct plan *plan;
	unsigned found = 0;
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "traceparent,Host,User-Agent");
	lines_captures(&l, CAPTURE_RESPONSE, "Content-Length");
	lines_format(&l, "auto");
	lines_start(&l, "UTC");
	lines_request(&l, "<134>Nov 21 08:15:44 localhost haproxy[8904]: 127.0.0.1:49686 "
			  "[21/Nov/2026:08:15:44.900] "
			  "fe_http be_app/app1 0/0/0/21/21 200 68 - sid=abc ---- 1/1/0/0/0 0/0 "
			  "{00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-01|127.0.0.1:"
			  "21001|lab/1.0 #22quoted#22 "
			  "#7Bbrace#7D#7Cpipe} {3} \"GET /sleep/20 HTTP/1.1\"");
	plan = l.parser.rec.format->plan;
	for (size_t i = 0; i < COUNT(t); i++) {
		const char *got = lines_attr(&l, t[i].role, t[i].want.key);

		if (!got || strcmp(got, t[i].want.value) != 0)
			fail_msg("%s is %s", t[i].want.key, got ? got : "not there");
	}
	for (uint32_t i = 0; i < plan->server.n; i++)
		found += lines_attr(&l, ROLE_SERVER, lines_text(attrs_row(&plan->server, i)->key)) != NULL;
	for (uint32_t i = 0; i < plan->client.n; i++)
		found += lines_attr(&l, ROLE_CLIENT, lines_text(attrs_row(&plan->client, i)->key)) != NULL;
	assert_int_equal(found, COUNT(t));
	assert_int_equal(l.trace.id_hi, UINT64_C(0xa4c956f44e22f669));
	assert_int_equal(l.trace.span[0].parent, UINT64_C(0xe1ffee0151ba5687));
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_line_has_method_path_query_and_version),
		cmocka_unit_test(only_known_methods_are_names),
		cmocka_unit_test(an_absolute_uri_has_scheme_and_host),
		cmocka_unit_test(credentials_in_a_uri_never_leave),
		cmocka_unit_test(secrets_in_a_query_are_redacted),
		cmocka_unit_test(a_request_may_be_logged_in_parts),
		cmocka_unit_test(a_request_line_of_1023_bytes_was_cut),
		cmocka_unit_test(the_host_header_names_the_server),
		cmocka_unit_test(the_client_is_the_first_that_forwarded),
		cmocka_unit_test(a_user_agent_is_what_it_says),
		cmocka_unit_test(tls_is_known_by_the_frontend_and_by_its_fields),
		cmocka_unit_test(a_template_fits_a_path_segment_by_segment),
		cmocka_unit_test(a_route_names_the_server_span),
		cmocka_unit_test(a_route_longer_than_a_name_is_cut),
		cmocka_unit_test(text_is_decoded_and_made_valid),
		cmocka_unit_test(text_of_any_bytes_becomes_valid_and_valid_text_stays),
		cmocka_unit_test(utf8_is_valid_by_the_table_of_unicode),
		cmocka_unit_test(what_clients_write_is_decoded_where_haproxy_encodes_it),
		cmocka_unit_test(a_real_line_leaves_with_these_attributes_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
