/* core/kafka_uri.c - kafka://BROKERS/TOPICS?NAME=VALUE… */
#include "core/kafka_api.h"
#include "core/limits.h"

#include <stdlib.h>

static int digit(char c)
{
	c = slice_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `s` with its %XX decoded, NUL-terminated and owned; NULL: a bad escape, a NUL, or out of memory. */
static char *decoded(struct slice s)
{
	char *out = malloc(s.len + 1), *to = out;

	for (size_t i = 0; out && i < s.len; i++) {
		char c = s.p[i];

		if (c == '%') {
			int hi = i + 2 < s.len ? digit(s.p[i + 1]) : -1, lo = i + 2 < s.len ? digit(s.p[i + 2]) : -1;

			if (hi < 0 || lo < 0 || hi + lo == 0) {
				free(out);
				return NULL;
			}
			c = (char)(hi * 16 + lo);
			i += 2;
		}
		*to++ = c;
	}
	if (out)
		*to = '\0';
	return out;
}

/* The place `at` in what stands before the parameters: values may be secrets, and a user before `@` is one. */
static bool bad(struct slice uri, const char *at, const char *what, struct err *err)
{
	struct slice place = slice_of(uri.p, slice_find(uri, '?'));

	if (slice_find(place, '@') < place.len)
		return err_set(err, EXIT_USAGE, "kafka://: %s", what);
	return err_at(err, EXIT_USAGE, place.p, place.len, (size_t)(at - place.p), "%s", what);
}

static bool add_parameter(struct kafka_uri *u, struct slice text, struct err *err)
{
	struct slice value = text, name = slice_cut(&value, '=');
	struct kafka_setting *s = &u->v[u->n];

	if (name.len == 0 || name.len > 100 || !value.p)
		return err_set(err, EXIT_USAGE, "kafka://: a parameter is NAME=VALUE, as in group=haspan");
	if (u->n == KAFKA_SETTINGS_MAX)
		return err_set(err, EXIT_USAGE, "kafka://: too many parameters (at most %d)", KAFKA_SETTINGS_MAX);
	*s = (struct kafka_setting){ .name = decoded(name), .value = decoded(value) };
	u->n++;
	if (!s->name || !s->value)
		return err_set(err, EXIT_USAGE, "kafka://: parameter %.*s: %% needs two hex digits, and none is a NUL",
			       (int)name.len, name.p);
	return true;
}

/* Hosts with or without a port; librdkafka says the rest. */
static bool read_brokers(struct kafka_uri *u, struct slice uri, struct slice brokers, struct err *err)
{
	if (brokers.len == 0)
		return bad(uri, brokers.p, "a broker expected, as in kafka://localhost:9092/TOPIC", err);
	for (size_t i = 0; i < brokers.len; i++)
		if (brokers.p[i] == '@')
			return bad(uri, brokers.p, "no user stands here: give sasl.username, and sasl.password.file",
				   err);
		else if (brokers.p[i] <= ' ' || brokers.p[i] >= 0x7f)
			return bad(uri, brokers.p + i, "HOST:PORT expected, several separated by commas", err);
	u->brokers = strndup(brokers.p, brokers.len);
	return u->brokers != NULL;
}

bool kafka_uri_parse(struct slice uri, struct kafka_uri *out, struct err *err)
{
	struct slice query = slice_skip(uri, 8), place = slice_cut(&query, '?'), topics = place;
	struct slice brokers = slice_cut(&topics, '/');

	*out = (struct kafka_uri){ 0 };
	if (uri.len > KAFKA_URI_MAX)
		return err_set(err, EXIT_USAGE, "kafka://: a URI of %zu bytes; at most %zu", uri.len, KAFKA_URI_MAX);
	if (!read_brokers(out, uri, brokers, err))
		return err_set(err, EXIT_CONFIG, "out of memory");
	if (!topics.p || topics.len == 0)
		return bad(uri, place.p + place.len, "a topic expected, as in kafka://BROKER/TOPIC", err);
	out->topics = decoded(topics);
	if (!out->topics)
		return bad(uri, topics.p, "% needs two hex digits, and none is a NUL", err);
	out->shown = strndup(uri.p, (size_t)(place.p + place.len - uri.p));
	if (!out->shown)
		return err_set(err, EXIT_CONFIG, "out of memory");
	while (query.len)
		if (!add_parameter(out, slice_cut(&query, '&'), err))
			return false;
	return true;
}

void kafka_uri_free(struct kafka_uri *u)
{
	for (unsigned i = 0; i < u->n; i++) {
		free(u->v[i].name);
		if (u->v[i].value)
			explicit_bzero(u->v[i].value, strlen(u->v[i].value));
		free(u->v[i].value);
	}
	free(u->brokers);
	free(u->topics);
	free(u->shown);
	*u = (struct kafka_uri){ 0 };
}

const char *kafka_uri_take(struct kafka_uri *u, const char *name)
{
	const char *value = NULL;

	for (unsigned i = 0; i < u->n; i++)
		if (strcmp(u->v[i].name, name) == 0) {
			u->v[i].used = true;
			value = u->v[i].value;		/* the last one wins, as everywhere */
		}
	return value;
}
