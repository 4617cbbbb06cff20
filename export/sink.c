/*
 * export/sink.c - which sink a URI means.
 */
#include "export/export.h"
#include "export/spool.h"

#include <stdlib.h>
#include <unistd.h>

/* Sinks of the contract that this version does not have yet: say so, do not guess. */
static const struct slice later[] = { { "grpc://", 7 },	  { "grpcs://", 8 }, { "zipkin://", 9 },
				      { "html:", 5 } };

static bool has_scheme(struct slice uri, struct slice scheme)
{
	return uri.len >= scheme.len && slice_ieq(slice_of(uri.p, scheme.len), scheme);
}

/* HOST:PORT, which lacks a scheme. */
static bool is_address(struct slice uri)
{
	struct slice port = slice_skip(uri, slice_find(uri, ':'));
	uint64_t n;

	return port.len > 1 && port.len < uri.len && slice_uint(slice_skip(port, 1), &n) && n > 0 && n < 65536;
}

/* What is none, and what was meant by it. Only the scheme is quoted: what follows may hold a password. */
static void refuse(struct slice uri, struct err *err)
{
	struct slice scheme = slice_of(uri.p, slice_find(uri, ':'));
	size_t web = slice_starts(uri, SLICE("https")) ? 5 : slice_starts(uri, SLICE("http")) ? 4 : 0, slashes = 0;

	/* http//HOST, http:/HOST: what stands behind it is not repeated. */
	for (size_t i = web; web && i < uri.len && strchr(":/", uri.p[i]); i++)
		slashes++;
	if (slashes)
		scheme.len = web;
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (slice_starts(later[i], scheme)) {
			err_at(err, EXIT_USAGE, uri.p, scheme.len, 0, "this version has no such sink yet%s",
			       slice_starts(scheme, SLICE("grpc")) ? ": OTLP goes over HTTP, as in http://HOST:4318" : "");
			return;
		}
	if (slashes && slashes < 3)
		err_at(err, EXIT_USAGE, uri.p, scheme.len, 0, "no such sink: expected %.*s://HOST:4318", (int)web, uri.p);
	else if (is_address(uri))
		err_at(err, EXIT_USAGE, uri.p, uri.len, 0, "no such sink: did you mean http://%.*s?", (int)uri.len, uri.p);
	else if (scheme.len == uri.len && slice_find(uri, '.') < uri.len)
		err_at(err, EXIT_USAGE, uri.p, uri.len, 0, "no such sink: did you mean file:%.*s?", (int)uri.len, uri.p);
	else
		err_at(err, EXIT_USAGE, uri.p, scheme.len, 0,
		       "no such sink: expected tree, stats, http://HOST:4318, https://…, kafka://BROKER/TOPIC, file:PATH, '-' or null");
}

static struct sink *pick(struct slice uri, const struct export_config *cfg, struct err *err)
{
	if (slice_eq(uri, SLICE("null")))
		return null_sink_open(err);
	if (slice_eq(uri, SLICE("tree")))
		return tree_sink_open(cfg, err);
	if (slice_eq(uri, SLICE("-")))
		return file_sink_open(uri, &encoder_json, err);
	if (slice_starts(uri, SLICE("file:")))
		return file_sink_open(slice_skip(uri, 5), &encoder_json, err);
	if (has_scheme(uri, SLICE("http://")) || has_scheme(uri, SLICE("https://")))
		return http_sink_open(uri, cfg, err);
	if (has_scheme(uri, SLICE("kafka://")))
		return kafka_sink_open(uri, cfg, err);
	refuse(uri, err);
	return NULL;
}

struct sink *sink_open(struct slice uri, const struct export_config *cfg, struct err *err)
{
	struct sink *s = pick(uri, cfg, err);

	if (s && !s->uri)
		s->uri = strndup(uri.p, uri.len);
	return s;
}

void sinks_opened(const struct export_config *cfg)
{
	if (cfg->spool)
		spool_strays(cfg->spool);
}

bool sink_check(struct slice uri, const struct export_config *cfg, struct err *err)
{
	struct export_config look = *cfg;
	char path[4096], *slash;
	struct sink *s;

	if (has_scheme(uri, SLICE("kafka://")))
		return kafka_sink_check(uri, cfg, err);
	if (!slice_starts(uri, SLICE("file:"))) {
		/* A spool is made and locked by being opened; a running haspan may have it. */
		look.spool = NULL;
		if (cfg->spool && !spool_check(cfg->spool, err))
			return false;
		s = sink_open(uri, &look, err);
		if (s)
			s->ops->free(s);
		return s != NULL;
	}
	if (uri.len == 5)
		return sink_open(uri, cfg, err) != NULL;	/* no path at all: it says so */
	snprintf(path, sizeof(path), "%.*s", (int)(uri.len - 5), uri.p + 5);
	if (access(path, F_OK) != 0) {	/* it would be made: is the folder there? */
		slash = strrchr(path, '/');
		if (!slash)
			memcpy(path, ".", 2);
		else
			slash[slash == path] = '\0';
	}
	if (access(path, W_OK) == 0)
		return true;
	err_set(err, EXIT_EXPORT, "cannot write to it: %m");
	return err_where(err, "%.*s", (int)uri.len, uri.p);
}
