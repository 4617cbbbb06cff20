#include "export/post.h"

#include "export/curl_api.h"

#include <stdlib.h>
#include <unistd.h>

#ifndef HASPAN_VERSION
#define HASPAN_VERSION "0.0.0"
#endif

/* OTLP/HTTP, "User-Agent": a product may stand before the exporter's own name. */
#define POST_AGENT "haspan/" HASPAN_VERSION " OTel-OTLP-Exporter-C/" HASPAN_VERSION

/* Redirects in a row: a proxy, a rename, and one to spare. */
#define POST_HOPS_MAX 4

/* Without a timeout of the user's, a connection attempt still has to end. */
#define POST_CONNECT_MS 30000L

/* An answer's buffer that is not given back: most answers are empty. */
#define POST_ANSWER_KEPT ((size_t)64 * 1024)

/* For whom a request's headers are. */
enum whom { WHOM_ANYONE, WHOM_ENDPOINT, WHOM_ENDPOINT_ASKED, WHOM_MAX };

struct post_slot {
	CURL *easy;
	bool json;			/* the body */
	struct buf body;		/* of the answer */
	bool cut;
	unsigned hops;
	char fault[CURL_ERROR_SIZE];
};

struct post {
	const struct endpoint *e;
	CURLM *multi;
	/* Of protobuf and JSON: what describes the body; and the user's headers; and asking first. */
	struct curl_slist *headers[2][WHOM_MAX];
	struct post_slot slot[];
};

/* ---- settings -------------------------------------------------------------------------------- */

static bool add(struct curl_slist **list, const char *header)
{
	struct curl_slist *longer = curl.slist_append(*list, header);

	if (longer)
		*list = longer;
	return longer;
}

/* curl sends "Name;" as a header without value, and takes "Name: " for "do not send it". */
static bool add_user(struct curl_slist **list, const char *header)
{
	char name[256];
	size_t n = strlen(header);

	if (n < 2 || n > sizeof(name) || header[n - 2] != ':' || header[n - 1] != ' ')
		return add(list, header);
	memcpy(name, header, n - 2);
	memcpy(name + n - 2, ";", 2);
	return add(list, name);
}

static bool make_list(const struct endpoint *e, bool json, enum whom whom, struct curl_slist **list)
{
	bool ok = add(list, json ? "Content-Type: application/json"
				 : "Content-Type: application/x-protobuf");

	if (e->gzip)
		ok = ok && add(list, "Content-Encoding: gzip");
	for (unsigned i = 0; whom != WHOM_ANYONE && i < e->headers; i++)
		ok = ok && add_user(list, e->header[i]);
	/* "Expect:" keeps curl from asking of its own accord: a round trip per request. */
	return ok && add(list, whom == WHOM_ENDPOINT_ASKED ? "Expect: 100-continue" : "Expect:");
}

static bool make_lists(struct post *p)
{
	for (int json = 0; json < 2; json++)
		for (int whom = 0; whom < WHOM_MAX; whom++)
			if (!make_list(p->e, json, (enum whom)whom, &p->headers[json][whom]))
				return false;
	return true;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct post_slot *slot = arg;

	(void)size;
	if (slot->body.len + n > RESPONSE_MAX) {
		slot->cut = true;
		return 0;
	}
	buf_add(&slot->body, p, n);
	return n;
}

static bool set_tls(CURL *easy, const struct export_config *cfg)
{
	if (cfg->ca && curl.easy_setopt(easy, CURLOPT_CAINFO, cfg->ca) != CURLE_OK)
		return false;
	if (cfg->cert && curl.easy_setopt(easy, CURLOPT_SSLCERT, cfg->cert) != CURLE_OK)
		return false;
	return !cfg->key || curl.easy_setopt(easy, CURLOPT_SSLKEY, cfg->key) == CURLE_OK;
}

static bool set_transport(CURL *easy, const struct endpoint *e)
{
	long connect_ms = e->timeout_ms ? (long)e->timeout_ms : POST_CONNECT_MS;

	/* NOSIGNAL: this is not the only thread. */
	return curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)e->timeout_ms) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_USERAGENT, POST_AGENT) == CURLE_OK;
}

static bool set_slot(struct post_slot *slot, const struct endpoint *e,
		     const struct export_config *cfg)
{
	CURL *easy = slot->easy = curl.easy_init();

	slot->body.max = RESPONSE_MAX;
	return easy && set_transport(easy, e) && set_tls(easy, cfg) &&
	       curl.easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->fault) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_WRITEDATA, slot) == CURLE_OK &&
	       curl.easy_setopt(easy, CURLOPT_PRIVATE, slot) == CURLE_OK;
}

/* A missing file is said at start, not once per request. */
static bool check_file(const char *what, const char *path, struct err *err)
{
	if (path && access(path, R_OK) != 0)
		return err_set(err, EXIT_CONFIG, "%s %s: %m", what, path);
	return true;
}

struct post *post_open(const struct endpoint *e, const struct export_config *cfg, struct err *err)
{
	struct post *p;
	bool ok;

	if (!check_file("CA file", cfg->ca, err) || !check_file("certificate", cfg->cert, err) ||
	    !check_file("key", cfg->key, err) || !curl_load(err))
		return NULL;
	p = calloc(1, sizeof(*p) + e->connections * sizeof(p->slot[0]));
	if (!p) {
		err_set(err, EXIT_CONFIG, "out of memory for %u connections", e->connections);
		return NULL;
	}
	p->e = e;
	p->multi = curl.multi_init();
	ok = p->multi && make_lists(p);
	for (unsigned i = 0; ok && i < e->connections; i++)
		ok = set_slot(&p->slot[i], e, cfg);
	if (ok)
		return p;
	err_set(err, EXIT_CONFIG, "libcurl does not take the settings for %s", e->shown);
	post_close(p);
	return NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void launch(struct post *p, struct post_slot *slot, const char *url, enum whom whom)
{
	bool own = whom != WHOM_ANYONE;

	slot->cut = false;
	slot->fault[0] = '\0';
	slot->body.len = 0;
	if (slot->body.cap > POST_ANSWER_KEPT)
		buf_free(&slot->body);
	curl.easy_setopt(slot->easy, CURLOPT_URL, url);
	curl.easy_setopt(slot->easy, CURLOPT_HTTPHEADER, p->headers[slot->json][whom]);
	curl.easy_setopt(slot->easy, CURLOPT_USERNAME, own ? p->e->user : NULL);
	curl.easy_setopt(slot->easy, CURLOPT_PASSWORD, own ? p->e->password : NULL);
	curl.multi_add_handle(p->multi, slot->easy);
}

void post_attach(struct post *p, const struct endpoint *e)
{
	p->e = e;
}

void post_start(struct post *p, unsigned slot, struct slice body, unsigned flags)
{
	struct post_slot *s = &p->slot[slot];

	s->hops = 0;
	s->json = flags & POST_JSON;
	curl.easy_setopt(s->easy, CURLOPT_POSTFIELDS, body.p);
	curl.easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	launch(p, s, p->e->url, flags & POST_CAREFUL ? WHOM_ENDPOINT_ASKED : WHOM_ENDPOINT);
}

/* scheme://host:port, as far as the path. */
static struct slice origin(struct slice url)
{
	size_t at = slice_find(url, ':');

	at = at + 3 < url.len ? at + 3 : url.len;
	while (at < url.len && url.p[at] != '/' && url.p[at] != '?')
		at++;
	return slice_of(url.p, at);
}

const char *post_follow(struct post *p, unsigned slot)
{
	struct post_slot *s = &p->slot[slot];
	struct slice own = slice_str(p->e->url), to;
	char *place = NULL, *url;
	bool home;

	curl.easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &place);
	if (!place)
		return "a redirect without a place";
	if (s->hops++ == POST_HOPS_MAX)
		return "too many redirects";
	to = slice_str(place);
	if (!slice_ieq(slice_of(own.p, slice_find(own, ':')), slice_of(to.p, slice_find(to, ':'))))
		return "a redirect to another scheme";
	home = slice_ieq(origin(own), origin(to));
	/* `place` is the handle's and dies when its URL is set. */
	url = strdup(place);
	if (!url)
		return "out of memory";
	launch(p, s, url, home ? WHOM_ENDPOINT : WHOM_ANYONE);
	free(url);
	return NULL;
}

/* ---- answers --------------------------------------------------------------------------------- */

void post_wait(struct post *p, int64_t ms)
{
	int running;

	/*
	 * A request that was just launched counts as something to do: the poll then returns at
	 * once.
	 */
	curl.multi_poll(p->multi, NULL, 0, ms > 3600000 ? 3600000 : (int)ms, NULL);
	curl.multi_perform(p->multi, &running);
}

static bool is_break(CURLcode code)
{
	return code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING;
}

static void read_headers(CURL *easy, struct post_answer *out)
{
	struct curl_header *h;
	char *type = NULL;

	curl.easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	out->content_type = slice_str(type);
	out->retry_date_s = -1;
	if (curl.easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return;
	out->retry_after = slice_str(h->value);
	out->retry_date_s = curl.getdate(h->value, NULL);
}

static void read_answer(struct post_slot *slot, CURLcode code, struct post_answer *out)
{
	long status = 0;

	curl.easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	/* Half an answer is none, unless it was us who did not want to hear the rest. */
	if (code != CURLE_OK && !slot->cut) {
		out->fault = slot->fault[0] ? slot->fault : curl.easy_strerror(code);
		out->broken = is_break(code);
		return;
	}
	out->status = (int)status;
	out->body = slice_of(slot->body.p, slot->body.len);
	out->cut = slot->cut;
	read_headers(slot->easy, out);
}

bool post_next(struct post *p, struct post_answer *out)
{
	struct post_slot *slot;
	char *private;
	CURLcode code;
	CURLMsg *m;
	int left;

	do {
		m = curl.multi_info_read(p->multi, &left);
		if (!m)
			return false;
	} while (m->msg != CURLMSG_DONE);
	/* `m` dies with the handle's removal. */
	code = m->data.result;
	curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
	slot = (struct post_slot *)(void *)private;
	curl.multi_remove_handle(p->multi, slot->easy);
	*out = (struct post_answer){ .slot = (unsigned)(slot - p->slot) };
	read_answer(slot, code, out);
	return true;
}

void post_wake(struct post *p)
{
	curl.multi_wakeup(p->multi);
}

void post_close(struct post *p)
{
	for (unsigned i = 0; i < p->e->connections; i++) {
		struct post_slot *s = &p->slot[i];

		if (s->easy) {
			curl.multi_remove_handle(p->multi, s->easy);
			curl.easy_cleanup(s->easy);
		}
		buf_free(&s->body);
	}
	if (p->multi)
		curl.multi_cleanup(p->multi);
	for (int json = 0; json < 2; json++)
		for (int whom = 0; whom < WHOM_MAX; whom++)
			curl.slist_free_all(p->headers[json][whom]);
	free(p);
}
