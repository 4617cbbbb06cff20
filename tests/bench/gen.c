/*
 * tests/bench/gen.c - HAProxy log lines that look like a busy shop's, as many as wanted.
 *
 * The same seed gives the same bytes. Lines are in the order of their ends, as HAProxy writes them,
 * so an envelope's time only grows. Timers telescope: TR + Tw + Tc + Tr + Td = Ta, a phase never
 * reached is -1, and what was lost in a phase that failed is in Ta alone.
 *
 * -e rfc3164 is the layout of a file written by a syslog daemon (no `<PRI>`), which halog can read.
 * -f kv is the text of `gen --print-format`; httplog, httpslog, tcplog and clf are HAProxy's own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum {
	CLIENTS = 4096,
	ROUTES_MAX = 512,
	ROUTE_SLOTS = 8192,
	SECONDS_KEPT = 256,
	LINE_ROOM = 4096,
	OUT_SIZE = 1 << 20,
	UA_CAPTURED = 32,		/* capture request header User-Agent len 32 */
	PID = 8904,
};

#define HOST "lb1"
#define EPOCH_MS (INT64_C(1795248944) * 1000)	/* 21 Nov 2026 08:15:44 UTC */

static const char kv_format[] =
	"time=%tr id=%ID client=%ci port=%cp fe=%f be=%b srv=%s TR=%TR Tw=%Tw Tc=%Tc Tr=%Tr Td=%Td "
	"Ta=%Ta status=%ST bytes=%B term=%tsc retries=%rc method=%HM path=%{+Q}HP query=%{+Q}HQ "
	"version=%HV traceparent=%{+Q}[capture.req.hdr(0)] host=%{+Q}[capture.req.hdr(1)] "
	"ua=%{+Q}[capture.req.hdr(2)]";

#define NAMED(encoding) \
	"%{+" encoding "}o %(time)tr %(id)ID %(client)ci %(port)cp %(fe)f %(be)b %(srv)s %(TR)TR %(Tw)Tw %(Tc)Tc %(Tr)Tr " \
	"%(Td)Td %(Ta)Ta %(status)ST %(bytes)B %(term)tsc %(retries)rc %(method)HM %(path)HP %(query)HQ %(version)HV " \
	"%(traceparent)[capture.req.hdr(0)] %(host)[capture.req.hdr(1)] %(ua)[capture.req.hdr(2)]"

static const char json_format[] = NAMED("json");
static const char cbor_format[] = NAMED("cbor");
static const char literal_format[] =
	"{\"time\":\"%tr\",\"id\":\"%ID\",\"client\":\"%ci\",\"port\":%cp,\"fe\":\"%f\",\"be\":\"%b\",\"srv\":\"%s\",\"TR\":%TR,"
	"\"Tw\":%Tw,\"Tc\":%Tc,\"Tr\":%Tr,\"Td\":%Td,\"Ta\":%Ta,\"status\":%ST,\"bytes\":%B,\"term\":\"%tsc\",\"retries\":%rc,"
	"\"method\":\"%HM\",\"path\":\"%HP\",\"query\":\"%HQ\",\"version\":\"%HV\",\"traceparent\":\"%[capture.req.hdr(0)]\","
	"\"host\":\"%[capture.req.hdr(1)]\",\"ua\":\"%[capture.req.hdr(2)]\"}";

/* ---- chance --------------------------------------------------------------------------------- */

static uint64_t rng_state;

/* splitmix64 */
static uint64_t rng(void)
{
	uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(((rng() >> 32) * n) >> 32);
}

static bool permille(uint32_t n)
{
	return below(1000) < n;
}

/* 1 .. 2^bits - 1, each power of two as likely as the next: small is common, large happens. */
static int32_t magnitude(uint32_t bits)
{
	uint32_t b = below(bits);

	return (int32_t)((1u << b) + below(1u << b));
}

/* lo .. hi */
static int32_t between(int32_t lo, int32_t hi)
{
	return lo + (int32_t)below((uint32_t)(hi - lo) + 1);
}

/* ---- text ----------------------------------------------------------------------------------- */

static char *put(char *p, const char *s)
{
	size_t n = strlen(s);

	memcpy(p, s, n);
	return p + n;
}

static char *put_char(char *p, char c)
{
	*p = c;
	return p + 1;
}

static char *put_int(char *p, int64_t v)
{
	char digits[24];
	size_t n = 0;
	uint64_t u = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;

	if (v < 0)
		p = put_char(p, '-');
	do
		digits[n++] = (char)('0' + u % 10);
	while (u /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

/* `v` and the separator behind it. */
static char *put_num(char *p, int64_t v, char sep)
{
	return put_char(put_int(p, v), sep);
}

/* The last `width` decimal digits of `v`. */
static char *put_fixed(char *p, uint64_t v, int width)
{
	for (int i = width; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + width;
}

/* The last `width` digits of `v` in hexadecimal. */
static char *put_hex(char *p, uint64_t v, int width, const char *digits)
{
	for (int i = width; i-- > 0; v >>= 4)
		p[i] = digits[v & 15];
	return p + width;
}

static char *put_lower(char *p, uint64_t v, int width)
{
	return put_hex(p, v, width, "0123456789abcdef");
}

static char *put_upper(char *p, uint64_t v, int width)
{
	return put_hex(p, v, width, "0123456789ABCDEF");
}

/* ---- dates ---------------------------------------------------------------------------------- */

static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

/* A second, written in the three ways needed. */
struct second {
	int64_t at;
	char haproxy[20];		/* 21/Nov/2026:08:15:44 */
	char bsd[15];			/* Nov 21 08:15:44 */
	char iso[19];			/* 2026-11-21T08:15:44 */
};

static struct second seconds[SECONDS_KEPT];

static void second_write(struct second *s, uint32_t y, uint32_t m, uint32_t d, uint32_t tod)
{
	char clock[8];

	put_fixed(put_char(put_fixed(clock, tod / 3600, 2), ':'), tod / 60 % 60, 2);
	put_fixed(put_char(clock + 5, ':'), tod % 60, 2);
	memcpy(put_char(put_fixed(put_char(put(put_char(put_fixed(s->haproxy, d, 2), '/'),
		months[m - 1]), '/'), y, 4), ':'), clock, sizeof(clock));
	memcpy(put_char(put_fixed(put_char(put(s->bsd, months[m - 1]), ' '), d, 2), ' '),
		clock, sizeof(clock));
	if (d < 10)
		s->bsd[4] = ' ';
	memcpy(put_char(put_fixed(put_char(put_fixed(put_char(put_fixed(s->iso, y, 4), '-'), m, 2),
		'-'), d, 2), 'T'), clock, sizeof(clock));
}

/* Howard Hinnant's civil_from_days, for days after 1970. */
static const struct second *second_at(int64_t ms)
{
	int64_t at = ms / 1000;
	struct second *s = &seconds[at % SECONDS_KEPT];
	uint32_t z, doe, yoe, doy, mp, m;

	if (s->at == at)
		return s;
	z = (uint32_t)(at / 86400) + 719468;
	doe = z % 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	m = mp < 10 ? mp + 3 : mp - 9;
	second_write(s, yoe + z / 146097 * 400 + (m <= 2), m, doy - (153 * mp + 2) / 5 + 1,
		(uint32_t)(at % 86400));
	s->at = at;
	return s;
}

/* %tr and %t */
static char *put_date(char *p, int64_t ms)
{
	memcpy(p, second_at(ms)->haproxy, 20);
	return put_fixed(put_char(p + 20, '.'), (uint64_t)(ms % 1000), 3);
}

/* ---- who asks for what ---------------------------------------------------------------------- */

struct client {
	char text[40];
	char hex[33];
};

static struct client clients[CLIENTS];

static void client_v6(struct client *c)
{
	uint32_t a = 1 + below(0xffff), b = 1 + below(0xffff);

	snprintf(c->text, sizeof(c->text), "2001:db8:%x::%x", a, b);
	snprintf(c->hex, sizeof(c->hex), "20010DB8%04X0000000000000000%04X", a, b);
}

static void client_v4(struct client *c)
{
	static const uint32_t nets[][2] = {		/* network, host bits */
		{ 0x0a000000, 24 }, { 0x64400000, 22 }, { 0xc6120000, 17 }, { 0xcb007100, 8 },
	};
	const uint32_t *net = nets[below(COUNT(nets))];
	uint32_t ip = net[0] + 1 + below((1u << net[1]) - 2);

	snprintf(c->text, sizeof(c->text), "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
		ip & 255);
	snprintf(c->hex, sizeof(c->hex), "%08X", ip);
}

static void clients_make(void)
{
	for (uint32_t i = 0; i < CLIENTS; i++)
		if (permille(60))
			client_v6(&clients[i]);
		else
			client_v4(&clients[i]);
}

/* In routes and queries: # a number, ~ a small number, @ a UUID, $ eight hexadecimal digits. */
enum route_kind { ROUTE_PAGE, ROUTE_LIST, ROUTE_ITEM };

struct route {
	enum route_kind kind;
	char text[80];
};

static struct route routes[ROUTES_MAX];
static uint32_t routes_n;
static uint16_t route_slot[ROUTE_SLOTS];

static const char *const pages[] = {
	"/", "/login", "/logout", "/cart", "/checkout", "/favicon.ico", "/robots.txt", "/healthz",
	"/static/js/app.$.js", "/static/js/vendor.$.js", "/static/css/main.$.css", "/metrics",
	"/static/fonts/inter-var.$.woff2", "/assets/img/products/#/large.webp", "/graphql",
	"/assets/img/products/#/thumb-~.webp", "/assets/img/banner-$.jpg", "/sitemap.xml",
	"/.well-known/openid-configuration", "/oauth2/token", "/oauth2/userinfo", "/manifest.json",
	"/p/#/wireless-headphones", "/p/#/trail-running-shoes",
	"/c/electronics/audio", "/c/outdoor/camping/tents", "/c/home-garden", "/help/returns",
	"/blog/2026/11/black-friday-what-to-expect", "/download/invoice-#.pdf", "/wp-login.php",
	"/api/v1/events/collect", "/api/v1/search/suggest", "/api/v2/recommendations/user/@",
};

static const char *const resources[] = {
	"orders", "customers", "carts", "products", "users", "sessions", "payments", "invoices",
	"shipments", "reviews", "wishlists", "categories", "coupons", "addresses", "inventory",
	"warehouses", "returns", "refunds", "subscriptions", "notifications", "messages", "devices",
	"stores", "suppliers", "price-lists", "promotions", "gift-cards", "loyalty-accounts",
	"delivery-slots", "tax-rates", "media", "webhooks", "audit-log", "feature-flags", "quotes",
	"contracts", "campaigns", "segments", "tickets", "reports",
};

static const struct {
	enum route_kind kind;
	const char *before, *after;
} patterns[] = {
	{ ROUTE_LIST, "/api/v1/", "" },
	{ ROUTE_ITEM, "/api/v1/", "/#" },
	{ ROUTE_LIST, "/api/v2/", "/search" },
	{ ROUTE_ITEM, "/api/v2/", "/@" },
	{ ROUTE_LIST, "/api/v1/", "/#/items" },
	{ ROUTE_ITEM, "/api/v1/", "/#/items/~" },
	{ ROUTE_ITEM, "/api/v1/", "/~/state" },
};

static const char *const queries[] = {
	"?page=~", "?page=~&limit=50", "?limit=100&offset=#", "?fields=id,name,price", "?v=$",
	"?q=wireless+headphones&sort=price_asc&page=~", "?q=caf%C3%A9&lang=fr", "?w=~&h=~&fit=crop",
	"?customer=#&include=items,payments", "?since=2026-11-14T00%3A00%3A00Z&status=open",
	"?utm_source=newsletter&utm_medium=email", "?session=@",
	"?expand=lines&locale=de-DE&currency=EUR", "?ids=#,#,#,#", "?cursor=$$$$", "?name=%22q%22",
	"?X-Amz-Date=20261121T081530Z&X-Amz-Expires=900&X-Amz-Signature=$$$$$$$$", "?_=#",
};

static const char *const hosts[] = {
	"shop.example", "shop.example", "api.shop.example", "api.shop.example", "cdn.example",
	"www.shop.example", "b2b.example:8443", "m.shop.example",
};

static const char *const agents[] = {
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML)",
	"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML) Chrome/141.0",
	"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
	"okhttp/4.12.0", "okhttp/4.12.0", "okhttp/5.0.0", "Go-http-client/2.0",
	"Go-http-client/1.1", "Dart/3.5 (dart:io)", "python-requests/2.32.3",
	"curl/8.11.0", "axios/1.7.7", "axios/1.7.7",
	"ShopApp/7.31.2 (com.example.shop; build:73120; iOS 18.1.0) Alamofire/5.9.1", "Java/21.0.5",
	"Apache-HttpClient/5.4.1 (Java/21.0.5)", "kube-probe/1.31", "node-fetch/1.0",
	"PostmanRuntime/7.42",
	"Mozilla/5.0 (compatible; examplebot/2.1; +https://bot.example/#23about #7Bv2#7D)", "",
};

static void route_add(enum route_kind kind, const char *a, const char *b, const char *c)
{
	struct route *r = &routes[routes_n++];

	r->kind = kind;
	snprintf(r->text, sizeof(r->text), "%s%s%s", a, b, c);
}

static void routes_shuffle(void)
{
	for (uint32_t i = routes_n; i-- > 1; ) {
		uint32_t j = below(i + 1);
		struct route r = routes[i];

		routes[i] = routes[j];
		routes[j] = r;
	}
}

static uint64_t route_weight(uint32_t n)
{
	return (1u << 24) / (n + 3) * (routes[n].kind == ROUTE_PAGE ? 4 : 1);
}

/* The n-th route is asked for in proportion to 1 / (n + 3), a page four times as often. */
static void routes_weigh(void)
{
	uint32_t slot = 0;
	uint64_t sum = 0, upto = 0;

	for (uint32_t i = 0; i < routes_n; i++)
		sum += route_weight(i);
	for (uint32_t i = 0; i < routes_n; i++) {
		upto += route_weight(i);
		while (slot < ROUTE_SLOTS && slot * sum < upto * ROUTE_SLOTS)
			route_slot[slot++] = (uint16_t)i;
	}
}

static void routes_make(void)
{
	for (size_t i = 0; i < COUNT(pages); i++)
		route_add(ROUTE_PAGE, pages[i], "", "");
	for (size_t i = 0; i < COUNT(resources); i++)
		for (size_t j = 0; j < COUNT(patterns); j++)
			route_add(patterns[j].kind, patterns[j].before, resources[i],
				patterns[j].after);
	routes_shuffle();
	routes_weigh();
}

static char *put_uuid(char *p)
{
	uint64_t hi = rng(), lo = rng();

	p = put_char(put_lower(p, hi >> 32, 8), '-');
	p = put_char(put_lower(p, hi >> 16, 4), '-');
	p = put_char(put_lower(put_char(p, '4'), hi, 3), '-');
	p = put_char(put_lower(put_char(p, 'a'), lo >> 48, 3), '-');
	return put_lower(p, lo, 12);
}

/* A route or query with its placeholders filled; ends in NUL. */
static void expand(char *p, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '#':
			p = put_int(p, magnitude(20) + 1000);
			break;
		case '~':
			p = put_int(p, magnitude(6));
			break;
		case '@':
			p = put_uuid(p);
			break;
		case '$':
			p = put_lower(p, rng(), 8);
			break;
		default:
			*p++ = *text;
		}
	*p = '\0';
}

/* ---- a request ------------------------------------------------------------------------------ */

enum phase { PHASE_REQUEST, PHASE_QUEUE, PHASE_CONNECT, PHASE_RESPONSE, PHASE_DATA, PHASES };

/* How far a request came. */
enum stop {
	STOP_BAD,		/* no request was read */
	STOP_TARPIT,
	STOP_RULE,		/* HAProxy answered by itself */
	STOP_NO_SERVER,		/* none is up */
	STOP_QUEUE,
	STOP_CONNECT,
	STOP_RESPONSE,
	STOP_DATA,		/* there was a response */
};

struct ending {
	char state[5];
	enum stop stop;
	uint32_t weight;
	int32_t status;		/* 0: whatever the server said */
	int32_t lo, hi;		/* ms lost in the phase that failed */
};

static const struct ending endings[] = {
	{ "CD--", STOP_DATA, 14, 0, 1, 9000 },
	{ "SC--", STOP_CONNECT, 12, 503, 0, 3005 },
	{ "sH--", STOP_RESPONSE, 10, 504, 30000, 30003 },
	{ "LR--", STOP_RULE, 9, 302, 0, 0 },
	{ "SH--", STOP_RESPONSE, 8, 502, 0, 900 },
	{ "--VN", STOP_DATA, 6, 0, 0, 5 },
	{ "PR--", STOP_RULE, 6, 403, 0, 0 },
	{ "CH--", STOP_RESPONSE, 6, -1, 1, 9000 },
	{ "sQ--", STOP_QUEUE, 5, 503, 5000, 5001 },
	{ "cD--", STOP_DATA, 4, 0, 50000, 50002 },
	{ "cR--", STOP_BAD, 4, 408, 10000, 10002 },
	{ "sC--", STOP_CONNECT, 4, 503, 12000, 16008 },
	{ "SD--", STOP_DATA, 3, 0, 0, 400 },
	{ "PR--", STOP_BAD, 3, 400, 0, 3 },
	{ "SC--", STOP_NO_SERVER, 3, 503, 0, 0 },
	{ "CR--", STOP_BAD, 2, 400, 1, 9000 },
	{ "CQ--", STOP_QUEUE, 2, -1, 10, 4900 },
	{ "sD--", STOP_DATA, 2, 0, 30000, 30001 },
	{ "PT--", STOP_TARPIT, 2, 429, 10000, 10001 },
	{ "CC--", STOP_CONNECT, 1, -1, 1, 3000 },
	{ "PH--", STOP_RESPONSE, 1, 502, 0, 80 },
};

static const struct ending ending_good = { "----", STOP_DATA, 0, 0, 0, 0 };

static const struct backend {
	const char *name;
	const char *servers[4];
} backends[] = {
	{ "be_shop", { "shop1", "shop2", "shop3", "shop4" } },
	{ "be_api", { "api-1", "api-2", "api-3", "api-4" } },
	{ "be_static", { "cdn1", "cdn2", "cdn1", "cdn2" } },
};

struct request {
	int64_t end;			/* ms */
	uint64_t serial;
	const struct ending *how;
	const struct client *client;
	uint32_t port;
	const char *frontend, *backend, *server;
	bool tls, h2, redispatched;
	int32_t t[PHASES], ta;
	int32_t status, bytes, length;	/* length: -1 without Content-Length */
	int32_t actconn, feconn, beconn, srvconn, retries, srv_queue, be_queue;
	const char *method, *host, *agent;
	char path[128], query[160], traceparent[56];
};

static const struct ending *ending_pick(void)
{
	static uint32_t sum;
	uint32_t at;

	if (!permille(30))
		return &ending_good;
	if (!sum)
		for (size_t i = 0; i < COUNT(endings); i++)
			sum += endings[i].weight;
	at = below(sum);
	for (const struct ending *e = endings; ; e++) {
		if (at < e->weight)
			return e;
		at -= e->weight;
	}
}

static const char *method_pick(enum route_kind kind)
{
	uint32_t n = below(100);

	if (kind == ROUTE_PAGE || n < 72)
		return n == 0 ? "HEAD" : "GET";
	if (kind == ROUTE_LIST)
		return n == 99 ? "OPTIONS" : "POST";
	return n < 82 ? "PUT" : n < 91 ? "PATCH" : "DELETE";
}

static int32_t status_pick(const char *method)
{
	static const struct { uint32_t upto; int32_t status; } usual[] = {
		{ 885, 200 }, { 925, 304 }, { 962, 404 }, { 972, 301 }, { 982, 401 }, { 987, 403 },
		{ 990, 429 }, { 992, 206 }, { 997, 500 }, { 1000, 503 },
	};
	uint32_t n = below(1000), i = 0;

	if (n < 885 && !strcmp(method, "POST"))
		return n < 500 ? 201 : 200;
	if (n < 885 && (!strcmp(method, "DELETE") || !strcmp(method, "OPTIONS")))
		return 204;
	while (n >= usual[i].upto)
		i++;
	return usual[i].status;
}

static int32_t phase_usual(enum phase ph)
{
	static const struct { uint32_t permille, bits; } usual[PHASES] = {
		[PHASE_REQUEST] = { 60, 6 },
		[PHASE_QUEUE] = { 30, 9 },
		[PHASE_CONNECT] = { 400, 3 },
		[PHASE_RESPONSE] = { 950, 10 },
		[PHASE_DATA] = { 350, 8 },
	};

	return permille(usual[ph].permille) ? magnitude(usual[ph].bits) : 0;
}

/* How many phases have a timer when it ended like this. */
static unsigned phases_timed(enum stop stop)
{
	static const unsigned timed[] = {
		[STOP_BAD] = 0, [STOP_TARPIT] = 0, [STOP_RULE] = 1, [STOP_NO_SERVER] = 1,
		[STOP_QUEUE] = 2, [STOP_CONNECT] = 2, [STOP_RESPONSE] = 3, [STOP_DATA] = 5,
	};

	return timed[stop];
}

static void request_time(struct request *r)
{
	enum stop stop = r->how->stop;
	unsigned n = phases_timed(stop);
	int32_t lost = between(r->how->lo, r->how->hi);

	r->ta = 0;
	for (unsigned i = 0; i < PHASES; i++)
		r->t[i] = i < n ? phase_usual((enum phase)i) : -1;
	if (stop == STOP_QUEUE)
		r->t[PHASE_QUEUE] = lost;
	else if (stop == STOP_DATA)
		r->t[PHASE_DATA] += lost;
	else if (stop == STOP_TARPIT)
		r->t[PHASE_QUEUE] = lost + 1;
	for (unsigned i = 0; i < n; i++)
		r->ta += r->t[i];
	if (stop != STOP_QUEUE && stop != STOP_DATA)
		r->ta += lost;
}

static void request_route(struct request *r)
{
	const struct route *route = &routes[route_slot[below(ROUTE_SLOTS)]];
	const struct backend *be = &backends[route->kind != ROUTE_PAGE];

	if (!strncmp(route->text, "/static/", 8) || !strncmp(route->text, "/assets/", 8))
		be = &backends[2];
	expand(r->path, route->text);
	expand(r->query, permille(300) ? queries[below(COUNT(queries))] : "");
	r->method = method_pick(route->kind);
	r->host = hosts[below(COUNT(hosts))];
	r->agent = agents[below(COUNT(agents))];
	r->backend = be->name;
	r->server = be->servers[below(COUNT(be->servers))];
}

static void request_client(struct request *r)
{
	r->client = &clients[(uint64_t)below(CLIENTS) * below(CLIENTS) / CLIENTS];
	r->port = 1024 + below(64512);
	r->tls = permille(800);
	r->h2 = r->tls && permille(100);
	r->frontend = r->tls ? "https" : "http";
}

/* What a line without a server, or without a request, shows instead. */
static void request_place(struct request *r)
{
	enum stop stop = r->how->stop;

	if (stop <= STOP_QUEUE)
		r->server = "<NOSRV>";
	if (stop <= STOP_RULE) {
		r->backend = r->frontend;
		r->beconn = 0;
	}
	if (stop <= STOP_QUEUE)
		r->srvconn = 0;
	if (stop == STOP_CONNECT && r->how->state[0] != 'C') {
		r->retries = 3;
		r->redispatched = permille(500);
	} else if (stop >= STOP_RESPONSE && permille(4)) {
		r->retries = between(1, 2);
		r->redispatched = permille(300);
	}
	if (stop >= STOP_QUEUE && r->t[PHASE_QUEUE] > 0) {
		int32_t *queue = permille(500) ? &r->be_queue : &r->srv_queue;

		*queue = magnitude(6);
	}
}

static void request_load(struct request *r)
{
	r->actconn = between(60, 140);
	r->feconn = r->actconn - between(1, 9);
	r->beconn = r->feconn / 3 + between(0, 9);
	r->srvconn = r->beconn / 4;
	r->retries = r->srv_queue = r->be_queue = 0;
	r->redispatched = false;
}

static int32_t bytes_made_here(int32_t status)
{
	switch (status) {
	case 302: return 91;
	case 403: return 192;
	case 429: return 225;
	case 502: return 209;
	case 503: return 217;
	case 504: return 198;
	default: return 0;
	}
}

static void request_answer(struct request *r)
{
	int32_t head = between(160, 420);
	bool bodyless;

	r->length = -1;
	if (r->how->stop != STOP_DATA) {
		r->status = r->how->status;
		r->bytes = bytes_made_here(r->status);
		return;
	}
	r->status = status_pick(r->method);
	bodyless = r->status == 204 || r->status == 304 || !strcmp(r->method, "HEAD");
	r->bytes = bodyless ? head : head + magnitude(18);
	if (!bodyless && permille(750))
		r->length = r->bytes - head;
}

static void request_trace(struct request *r, uint32_t percent)
{
	char *p = r->traceparent;

	if (below(100) < percent) {
		p = put_lower(put(p, "00-"), rng() | 1, 16);
		p = put_char(put_lower(p, rng(), 16), '-');
		p = put(put_lower(p, rng() | 1, 16), "-01");
	}
	*p = '\0';
}

/* The next request to end, about 2000 of them a second. */
static void request_next(struct request *r, uint32_t traceparent)
{
	r->serial++;
	r->end += permille(500);
	r->how = ending_pick();
	request_client(r);
	request_route(r);
	request_time(r);
	request_load(r);
	request_place(r);
	request_answer(r);
	request_trace(r, traceparent);
}

/* ---- formats -------------------------------------------------------------------------------- */

/* %s from a slot of fixed capacity, as `capture request header ... len` cuts it. */
static char *put_agent(char *p, const char *agent)
{
	size_t n = strnlen(agent, UA_CAPTURED);

	memcpy(p, agent, n);
	return p + n;
}

/* The client and the date that opens a line; TCP knows only the accept date. */
static char *put_client(char *p, const struct request *r, int64_t start)
{
	p = put_num(put_char(put(p, r->client->text), ':'), r->port, ' ');
	return put(put_date(put_char(p, '['), start), "] ");
}

static char *put_place(char *p, const struct request *r)
{
	p = put_char(put(put(p, r->frontend), r->tls ? "~" : ""), ' ');
	return put_char(put(put_char(put(p, r->backend), '/'), r->server), ' ');
}

/* %ac/%fc/%bc/%sc/%rc %sq/%bq with any separators */
static char *put_load(char *p, const struct request *r, char sep)
{
	p = put_num(put_num(p, r->actconn, sep), r->feconn, sep);
	p = put_num(put_num(p, r->beconn, sep), r->srvconn, sep);
	p = put_num(put(p, r->redispatched ? "+" : ""), r->retries, ' ');
	return put_int(put_num(p, r->srv_queue, sep), r->be_queue);
}

static char *put_timers(char *p, const struct request *r, char sep)
{
	for (unsigned i = 0; i < PHASE_DATA; i++)
		p = put_num(p, r->t[i], sep);
	return put_int(p, r->ta);
}

static char *put_request(char *p, const struct request *r)
{
	if (r->how->stop == STOP_BAD)
		return put(p, "\"<BADREQ>\"");
	p = put_char(put(put_char(p, '"'), r->method), ' ');
	if (r->h2)
		p = put(put(p, "https://"), r->host);
	p = put(put(p, r->path), r->query);
	return put(p, r->h2 ? " HTTP/2.0\"" : " HTTP/1.1\"");
}

/* No stream, no captures: a bad request has not even the empty blocks. */
static char *put_captures(char *p, const struct request *r)
{
	if (r->how->stop == STOP_BAD)
		return p;
	p = put(put_char(p, '{'), r->traceparent);
	p = put(put_char(p, '|'), r->host);
	p = put(put_agent(put_char(p, '|'), r->agent), "} {");
	if (r->length >= 0)
		p = put_int(p, r->length);
	return put(p, "} ");
}

static char *put_httplog(char *p, const struct request *r)
{
	p = put_place(put_client(p, r, r->end - r->ta), r);
	p = put_char(put_timers(p, r, '/'), ' ');
	p = put_num(put_num(p, r->status, ' '), r->bytes, ' ');
	p = put_char(put(put(p, "- - "), r->how->state), ' ');
	p = put_char(put_load(p, r, '/'), ' ');
	return put_request(put_captures(p, r), r);
}

static char *put_httpslog(char *p, struct request *r)
{
	r->tls = true;
	if (r->backend == r->frontend)
		r->backend = "https";
	r->frontend = "https";
	p = put(put_httplog(p, r), " 0/0000000000000000/0/0/0 ");
	p = put(p, r->how->stop == STOP_BAD ? "-" : "shop.example");
	return put(p, "/TLSv1.3/TLS_AES_256_GCM_SHA384");
}

/* Tw starts at the accept and is one too many. */
static char *put_tcplog(char *p, struct request *r)
{
	static const char *const servers[] = { "pg-primary", "pg-replica1", "pg-replica2" };
	const struct ending *how = r->how;
	bool dead = how->stop == STOP_CONNECT && how->state[0] != 'C';
	int32_t lost = between(how->lo, how->hi), tw, tc, tt;

	if (!dead && how->stop != STOP_DATA)
		how = &ending_good;
	tw = phase_usual(PHASE_QUEUE) + 1;
	tc = dead ? -1 : phase_usual(PHASE_CONNECT);
	tt = tw - 1 + (dead ? lost : tc);
	if (!dead)
		tt += phase_usual(PHASE_DATA);
	p = put(put_client(p, r, r->end - tt), "fe_pg be_pg/");
	p = put_char(put(p, servers[below(COUNT(servers))]), ' ');
	p = put_num(put_num(put_num(p, tw, '/'), tc, '/'), tt, ' ');
	p = put_num(p, dead ? 0 : magnitude(18), ' ');
	*p++ = how->state[0];
	*p++ = how->state[1];
	return put_load(put_char(p, ' '), r, '/');
}

static char *put_quoted(char *p, const char *s, const char *after)
{
	return put(put(put_char(p, '"'), s), after);
}

static char *put_clf_tail(char *p, const struct request *r)
{
	p = put(p, " \"\" \"\" ");
	if (r->how->stop == STOP_BAD)
		return p;
	p = put_quoted(put_quoted(p, r->traceparent, "\" "), r->host, "\" ");
	p = put(put_agent(put_char(p, '"'), r->agent), "\" \"");
	if (r->length >= 0)
		p = put_int(p, r->length);
	return put_char(p, '"');
}

static char *put_clf(char *p, const struct request *r)
{
	int64_t start = r->end - r->ta;

	p = put(put(p, r->client->text), " - - [");
	memcpy(p, second_at(start)->haproxy, 20);
	p = put_request(put(p + 20, " +0000] "), r);
	p = put_num(put_num(put_char(p, ' '), r->status, ' '), r->bytes, ' ');
	p = put_num(put(p, "\"\" \"\" "), r->port, ' ');
	p = put_char(put_fixed(p, (uint64_t)(start % 1000), 3), ' ');
	p = put_quoted(p, r->frontend, r->tls ? "~\" " : "\" ");
	p = put_quoted(put_quoted(p, r->backend, "\" "), r->server, "\" ");
	p = put_char(put_timers(p, r, ' '), ' ');
	p = put_load(put_char(put(p, r->how->state), ' '), r, ' ');
	return put_clf_tail(p, r);
}

/* %{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid */
static char *put_unique_id(char *p, const struct request *r)
{
	if (r->how->stop == STOP_BAD)
		return put_char(p, '-');
	p = put_upper(put_char(put(p, r->client->hex), ':'), r->port, 4);
	p = put(p, r->tls ? "_CB007101:01BB_" : "_CB007101:0050_");
	p = put_char(put_upper(p, (uint64_t)((r->end - r->ta) / 1000), 8), '_');
	return put_upper(put_char(put_upper(p, r->serial, 8), ':'), PID, 4);
}

static char *put_kv_request(char *p, const struct request *r)
{
	bool bad = r->how->stop == STOP_BAD;

	p = put(put(p, " method="), bad ? "<BADREQ>" : r->method);
	p = put_quoted(put(p, " path="), bad ? "<BADREQ>" : r->path, "\"");
	p = put_quoted(put(p, " query="), bad ? "" : r->query, "\"");
	p = put(put(p, " version="), bad ? "<BADREQ>" : r->h2 ? "HTTP/2.0" : "HTTP/1.1");
	p = put_quoted(put(p, " traceparent="), bad ? "" : r->traceparent, "\"");
	p = put_quoted(put(p, " host="), bad ? "" : r->host, "\"");
	return put_char(put_agent(put(p, " ua=\""), bad ? "" : r->agent), '"');
}

static char *put_kv(char *p, const struct request *r)
{
	static const char *const names[PHASES] = { " TR=", " Tw=", " Tc=", " Tr=", " Td=" };

	p = put_unique_id(put(put_date(put(p, "time="), r->end - r->ta), " id="), r);
	p = put_int(put(put(put(p, " client="), r->client->text), " port="), r->port);
	p = put(put(put(put(p, " fe="), r->frontend), " be="), r->backend);
	p = put(put(p, " srv="), r->server);
	for (unsigned i = 0; i < PHASES; i++)
		p = put_int(put(p, names[i]), r->t[i]);
	p = put_int(put(put_int(put(p, " Ta="), r->ta), " status="), r->status);
	p = put(put(put_int(put(p, " bytes="), r->bytes), " term="), r->how->state);
	p = put_int(put(put(p, " retries="), r->redispatched ? "+" : ""), r->retries);
	return put_kv_request(p, r);
}

/* ---- members: %{+json}o, %{+cbor}o, a hand-written JSON text ---------------------------------- */

enum style { STYLE_JSON, STYLE_LITERAL, STYLE_CBOR };

/* Head and content of a CBOR string, as digits. */
static char *put_cbor_text(char *p, const char *s, size_t n)
{
	p = n < 24 ? put_upper(p, 0x60 + n, 2) : n < 256 ? put_upper(put(p, "78"), n, 2) : put_upper(put(p, "79"), n, 4);
	for (size_t i = 0; i < n; i++)
		p = put_upper(p, (unsigned char)s[i], 2);
	return p;
}

static char *put_key(char *p, enum style style, const char *name)
{
	static const char *const first = "time";

	if (style == STYLE_CBOR)
		return put_cbor_text(p, name, strlen(name));
	if (strcmp(name, first))
		p = put(p, style == STYLE_JSON ? ", " : ",");
	return put(put_quoted(p, name, "\":"), style == STYLE_JSON ? " " : "");
}

/* `escaped`: HAProxy writes such a text in chunks. */
static char *put_text(char *p, enum style style, const char *name, const char *s, bool escaped)
{
	size_t n = strlen(s);

	p = put_key(p, style, name);
	if (style == STYLE_LITERAL)
		return put_quoted(p, n ? s : "-", "\"");
	if (style == STYLE_CBOR && n == 0)
		return put(p, "F6");
	if (style == STYLE_CBOR)
		return put(put_cbor_text(put(p, escaped ? "7F" : ""), s, n), escaped ? "FF" : "");
	for (p = put_char(p, '"'); *s; s++)
		p = put_char(*s == '"' || *s == '\\' ? put_char(p, '\\') : p, *s);
	return put_char(p, '"');
}

static char *put_number(char *p, enum style style, const char *name, int64_t v)
{
	uint64_t n = (uint64_t)(v < 0 ? -1 - v : v), major = v < 0 ? 0x20 : 0;

	p = put_key(p, style, name);
	if (style != STYLE_CBOR)
		return put_int(p, v);
	return n < 24 ? put_upper(p, major + n, 2) :
	       n < 1 << 8 ? put_upper(put_upper(p, major + 24, 2), n, 2) :
	       n < 1 << 16 ? put_upper(put_upper(p, major + 25, 2), n, 4) :
			     put_upper(put_upper(p, major + 26, 2), n, 8);
}

static char *put_members(char *p, const struct request *r, enum style style)
{
	static const char *const names[PHASES] = { "TR", "Tw", "Tc", "Tr", "Td" };
	bool bad = r->how->stop == STOP_BAD;
	char text[512];

	p = put(p, style == STYLE_CBOR ? "BF" : "{");
	*put_date(text, r->end - r->ta) = 0;
	p = put_text(p, style, "time", text, false);
	*put_unique_id(text, r) = 0;
	p = put_text(p, style, "id", bad ? "" : text, false);
	p = put_number(put_text(p, style, "client", r->client->text, false), style, "port", r->port);
	p = put_text(put_text(p, style, "fe", r->frontend, false), style, "be", r->backend, false);
	p = put_text(p, style, "srv", r->server, false);
	for (unsigned i = 0; i < PHASES; i++)
		p = put_number(p, style, names[i], r->t[i]);
	p = put_number(put_number(p, style, "Ta", r->ta), style, "status", r->status);
	p = put_text(put_number(p, style, "bytes", r->bytes), style, "term", r->how->state, false);
	p = put_number(p, style, "retries", r->retries);
	p = put_text(p, style, "method", bad ? "<BADREQ>" : r->method, true);
	p = put_text(p, style, "path", bad ? "<BADREQ>" : r->path, true);
	p = put_text(p, style, "query", bad ? "" : r->query, true);
	p = put_text(p, style, "version", bad ? "<BADREQ>" : r->h2 ? "HTTP/2.0" : "HTTP/1.1", true);
	p = put_text(p, style, "traceparent", bad ? "" : r->traceparent, false);
	p = put_text(p, style, "host", bad ? "" : r->host, false);
	*put_agent(text, bad ? "" : r->agent) = 0;
	return put(put_text(p, style, "ua", text, false), style == STYLE_CBOR ? "FF" : "}");
}

enum format { FORMAT_HTTP, FORMAT_HTTPS, FORMAT_TCP, FORMAT_CLF, FORMAT_KV, FORMAT_JSON, FORMAT_LITERAL, FORMAT_CBOR,
	      FORMAT_MIXED, FORMATS };

static const char *const format_names[FORMATS] = {
	"httplog", "httpslog", "tcplog", "clf", "kv", "json", "jsontext", "cbor", "mixed",
};

static const char *const format_texts[FORMATS] = {
	[FORMAT_KV] = kv_format, [FORMAT_JSON] = json_format, [FORMAT_LITERAL] = literal_format, [FORMAT_CBOR] = cbor_format,
};

static enum format format_mixed(void)
{
	uint32_t n = below(100);

	return n < 60 ? FORMAT_HTTP : n < 75 ? FORMAT_HTTPS : n < 85 ? FORMAT_TCP :
		n < 95 ? FORMAT_CLF : FORMAT_KV;
}

static char *put_message(char *p, struct request *r, enum format f)
{
	switch (f == FORMAT_MIXED ? format_mixed() : f) {
	case FORMAT_HTTPS:
		return put_httpslog(p, r);
	case FORMAT_TCP:
		return put_tcplog(p, r);
	case FORMAT_CLF:
		return put_clf(p, r);
	case FORMAT_KV:
		return put_kv(p, r);
	case FORMAT_JSON:
		return put_members(p, r, STYLE_JSON);
	case FORMAT_LITERAL:
		return put_members(p, r, STYLE_LITERAL);
	case FORMAT_CBOR:
		return put_members(p, r, STYLE_CBOR);
	default:
		return put_httplog(p, r);
	}
}

/* ---- envelopes ------------------------------------------------------------------------------ */

enum envelope { ENVELOPE_RAW, ENVELOPE_RFC3164, ENVELOPE_RFC5424, ENVELOPES };

static const char *const envelope_names[ENVELOPES] = { "raw", "rfc3164", "rfc5424" };

static char *put_envelope(char *p, const struct request *r, enum envelope e)
{
	const struct second *s = second_at(r->end);

	switch (e) {
	case ENVELOPE_RFC3164:
		memcpy(p, s->bsd, 15);
		p = put_int(put(p + 15, " " HOST " haproxy["), PID);
		return put(p, "]: ");
	case ENVELOPE_RFC5424:
		memcpy(put(p, "<134>1 "), s->iso, 19);
		p = put_fixed(put_char(p + 26, '.'), (uint64_t)(r->end % 1000), 3);
		p = put(put_fixed(p, below(1000), 3), "+00:00 " HOST " haproxy ");
		return put(put_int(p, PID), " - - ");
	default:
		return p;
	}
}

/* ---- the command ---------------------------------------------------------------------------- */

struct options {
	uint64_t lines, seed;
	enum format format;
	enum envelope envelope;
	uint32_t traceparent;
};

static const char usage_text[] =
	"usage: gen [-n LINES] [-s SEED] [-f httplog|httpslog|tcplog|clf|kv|json|jsontext|cbor|mixed]\n"
	"           [-e raw|rfc3164|rfc5424] [--traceparent PERCENT] [--print-format]\n";

static void usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

static uint64_t number(const char *s, uint64_t max)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || end == s || *end || *s == '-' || v > max)
		usage();
	return v;
}

static unsigned name_of(const char *s, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(s, names[i]))
			return i;
	usage();
	return 0;
}

static void options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "traceparent", required_argument, NULL, 't' },
		{ "print-format", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "n:s:f:e:", longs, NULL)) != -1)
		switch (c) {
		case 'n':
			o->lines = number(optarg, UINT64_MAX);
			break;
		case 's':
			o->seed = number(optarg, UINT64_MAX);
			break;
		case 'f':
			o->format = (enum format)name_of(optarg, format_names, FORMATS);
			break;
		case 'e':
			o->envelope = (enum envelope)name_of(optarg, envelope_names, ENVELOPES);
			break;
		case 't':
			o->traceparent = (uint32_t)number(optarg, 100);
			break;
		case 'p':
			puts(format_texts[o->format] ? format_texts[o->format] : kv_format);
			exit(0);
		default:
			usage();
		}
	if (optind != argc)
		usage();
}

static void flush(const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(STDOUT_FILENO, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			perror("gen: write");
			exit(4);
		}
		p += w;
		n -= (size_t)w;
	}
}

static void generate(const struct options *o)
{
	static char out[OUT_SIZE + LINE_ROOM];
	struct request r = { .end = EPOCH_MS };
	char *p = out;

	for (uint64_t i = 0; i < o->lines; i++) {
		request_next(&r, o->traceparent);
		p = put_message(put_envelope(p, &r, o->envelope), &r, o->format);
		*p++ = '\n';
		if (p >= out + OUT_SIZE) {
			flush(out, (size_t)(p - out));
			p = out;
		}
	}
	flush(out, (size_t)(p - out));
}

int main(int argc, char **argv)
{
	struct options o = {
		.lines = 1000000, .seed = 1, .envelope = ENVELOPE_RFC3164, .traceparent = 70,
	};

	options_read(&o, argc, argv);
	routes_make();			/* the shop is the same for every seed */
	rng_state = o.seed;
	rng_state = rng();
	clients_make();
	generate(&o);
	return 0;
}
