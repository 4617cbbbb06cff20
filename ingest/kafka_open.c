/*
 * ingest/kafka_open.c - the beginning: the URI's meaning, the configuration, and whether there is what it names.
 */
#include "core/log.h"
#include "ingest/kafka_private.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#define TOPICS_MAX 64

/* Our defaults; the user's word wins. The first is left out before KAFKA_QUEUE_BACKOFF. */
static const struct kafka_default defaults[] = {
	{ "fetch.queue.backoff.ms", "10" },		/* the wait when enough is fetched ahead (kafka_fetch.c) */
	{ "auto.offset.reset", "earliest" },		/* a new group, or one whose place is gone, skips nothing */
	{ "partition.assignment.strategy", "range,roundrobin" },
	{ "enable.auto.offset.store", "false" },	/* stored when it is settled … */
	{ "auto.commit.interval.ms", "1000" },		/* … and committed a second later */
	{ "queued.max.messages.kbytes", "32768" },	/* what is fetched ahead */
	{ "fetch.max.bytes", "16777216" },		/* and how far one answer may go beyond */
	{ NULL, NULL },
};

static bool is_set_to(const rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char text[16];
	size_t size = sizeof(text);

	return kafka.conf_get(conf, name, text, &size) == RD_KAFKA_CONF_OK && strcmp(text, value) == 0;
}

/* What would lose lines. */
static bool check_conf(const rd_kafka_conf_t *conf, struct err *err)
{
	char text[256];
	size_t size = sizeof(text);

	if (!is_set_to(conf, "enable.auto.offset.store", "false"))
		return err_set(err, EXIT_USAGE, "enable.auto.offset.store is false: an offset is stored when its lines "
						"are acknowledged, not when they are read");
	if (kafka.version() < 0x020a0000 &&
	    kafka.conf_get(conf, "partition.assignment.strategy", text, &size) == RD_KAFKA_CONF_OK &&
	    strstr(text, "cooperative-sticky"))
		return err_set(err, EXIT_USAGE, "partition.assignment.strategy=cooperative-sticky needs librdkafka "
						"2.10: %s loses commits, and aborts, when partitions move; range and "
						"roundrobin do not", kafka.version_str());
	return true;
}

/* haspan's own parameters. */
static bool own_parameters(struct kafka_source *k, struct kafka_range *r, struct err *err)
{
	const char *key = kafka_uri_take(&k->uri, "key"), *commit = kafka_uri_take(&k->uri, "commit");

	if (key && strcmp(key, "host") != 0 && strcmp(key, "trace_id") != 0)
		return err_set(err, EXIT_USAGE, "kafka://: parameter key: expected host or trace_id");
	if (commit && strcmp(commit, "true") != 0 && strcmp(commit, "false") != 0)
		return err_set(err, EXIT_USAGE, "kafka://: parameter commit: expected true or false");
	if (!kafka_range_parse(&k->uri, r, err))
		return false;
	k->key_is_host = key && strcmp(key, "host") == 0;
	k->group = !r->any;
	k->range = r->until_ms >= 0;
	k->commits = k->group ? !commit || strcmp(commit, "true") == 0 : commit && strcmp(commit, "true") == 0;
	return true;
}

static bool make_client(struct kafka_source *k, const struct live_config *c, struct err *err)
{
	bool old = kafka.version() < KAFKA_QUEUE_BACKOFF;
	rd_kafka_conf_t *conf = kafka_conf(&k->uri, c->kafka, defaults + old, err);
	char text[256], group[256] = "";
	size_t size = sizeof(group);

	if (!conf || !check_conf(conf, err)) {
		if (conf)
			kafka.conf_destroy(conf);
		return false;
	}
	if (kafka.conf_get(conf, "group.id", group, &size) != RD_KAFKA_CONF_OK || !group[0]) {
		if (k->group || k->commits) {
			kafka.conf_destroy(conf);
			return err_set(err, EXIT_USAGE, "kafka://: group=NAME expected: it keeps the place, and shares "
							"the partitions with other members; or a range: since=, "
							"offset=, until=");
		}
		kafka.conf_set(conf, "group.id", "haspan", NULL, 0);	/* asked for, but never joined */
	}
	if (!k->commits)
		kafka.conf_set(conf, "enable.auto.commit", "false", NULL, 0);
	if (k->range)
		kafka.conf_set(conf, "enable.partition.eof", "true", NULL, 0);
	kafka.conf_set_opaque(conf, k);
	kafka.conf_set_error_cb(conf, kafka_trouble_said);
	kafka.conf_set_rebalance_cb(conf, kafka_rebalance);
	kafka.conf_set_offset_commit_cb(conf, kafka_committed);
	k->rk = kafka.new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (k->rk)
		return true;
	kafka.conf_destroy(conf);
	return err_set(err, EXIT_CONFIG, "%s", text);
}

/* Topics of the URI, NULL-terminated; they share one allocation. */
struct topics {
	char *text;
	char *v[TOPICS_MAX + 1];
	int partitions[TOPICS_MAX];
	uint32_t n;
	bool patterns;
};

static bool split_topics(const struct kafka_source *k, struct topics *t, struct err *err)
{
	char *rest, *topic;

	*t = (struct topics){ .text = strdup(k->uri.topics) };
	rest = t->text;
	while ((topic = rest ? strsep(&rest, ",") : NULL) != NULL) {
		if (!*topic)
			return err_set(err, EXIT_USAGE, "kafka://: a topic without a name");
		if (t->n == TOPICS_MAX)
			return err_set(err, EXIT_USAGE, "kafka://: more than %d topics: name them by a pattern, ^…",
				       TOPICS_MAX);
		for (uint32_t i = 0; i < t->n; i++)
			if (strcmp(t->v[i], topic) == 0)
				return err_set(err, EXIT_USAGE, "kafka://: the topic %s stands there twice", topic);
		t->patterns |= *topic == '^';
		t->v[t->n++] = topic;
	}
	return t->text || err_set(err, EXIT_CONFIG, "out of memory");
}

static bool probe(struct kafka_source *k, struct topics *t, struct err *err)
{
	struct kafka_probe p = { .rk = k->rk, .trouble = &k->trouble, .shown = k->uri.shown, .ms = KAFKA_PROBE_MS,
				 .code = EXIT_INPUT };
	bool ok = !t->patterns || kafka_probe(&p, NULL, NULL, err);

	for (uint32_t i = 0; ok && i < t->n; i++)
		ok = *t->v[i] == '^' || kafka_probe(&p, t->v[i], &t->partitions[i], err);
	return ok;
}

/* Is the group ours to join? A coordinator that is not there yet is none of our business: it will be. */
static bool probe_group(struct kafka_source *k, const struct topics *t, struct err *err)
{
	rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new(1);
	rd_kafka_resp_err_t code;
	const char *why = NULL;

	kafka.topic_partition_list_add(list, *t->v[0] == '^' ? "-" : t->v[0], 0);
	code = kafka.committed(k->rk, list, KAFKA_GROUP_MS);
	kafka.topic_partition_list_destroy(list);
	if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR_INVALID_GROUP_ID)
		why = kafka.err2str(code);
	for (int i = 0; !why && code && i < 100; i++) {
		rd_kafka_message_t *m = kafka.consumer_poll(k->rk, 0);

		if (!m)
			break;
		if (m->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
			why = kafka.err2str(m->err);
		kafka.message_destroy(m);
	}
	if (!why)
		return true;
	err_set(err, EXIT_INPUT, "the broker refuses the group: %s", why);
	return err_where(err, "%s", k->uri.shown);
}

static bool join(struct kafka_source *k, const struct topics *t, struct err *err)
{
	rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new((int)t->n);
	rd_kafka_resp_err_t code;

	for (uint32_t i = 0; i < t->n; i++)
		kafka.topic_partition_list_add(list, t->v[i], RD_KAFKA_PARTITION_UA);
	code = kafka.subscribe(k->rk, list);
	kafka.topic_partition_list_destroy(list);
	return !code || err_set(err, EXIT_INPUT, "cannot subscribe: %s", kafka.err2str(code));
}

static bool start(struct kafka_source *k, const struct kafka_range *r, struct topics *t, struct err *err)
{
	static const uint64_t one = 1;

	if (!probe(k, t, err))
		return false;
	kafka.poll_set_consumer(k->rk);
	if (k->group && !probe_group(k, t, err))
		return false;
	kafka_keep_memory();
	k->queue = kafka.queue_get_consumer(k->rk);
	kafka.queue_io_event_enable(k->queue, k->port.fd, &one, sizeof(one));
	return k->group ? join(k, t, err) : kafka_range_assign(k, r, t->v, t->partitions, err);
}

static bool open_source(struct kafka_source *k, struct live *l, struct slice uri, struct err *err)
{
	const struct live_config *c = live_settings(l);
	struct kafka_range range;
	struct topics t = { 0 };
	bool ok = kafka_uri_parse(uri, &k->uri, err) && own_parameters(k, &range, err) && split_topics(k, &t, err) &&
		  kafka_load(err) && make_client(k, c, err);

	if (ok && range.any && t.patterns)
		ok = err_set(err, EXIT_USAGE, "kafka://: a range is read of topics that are named, not of a pattern");
	k->drain_ms = c->drain_ms;
	k->port.fd = c->check_only ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ok && !c->check_only)
		ok = start(k, &range, &t, err);
	free(t.text);
	k->port.uri = ok ? strdup(k->uri.shown) : NULL;
	return ok;
}

struct port *kafka_open(struct live *l, struct slice uri, struct slice rest, struct err *err)
{
	struct kafka_source *k = calloc(1, sizeof(*k));

	(void)rest;
	if (!k) {
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	k->port.ops = &kafka_ops;
	k->port.fd = -1;
	pthread_mutex_init(&k->lock, NULL);
	k->polled_ms = clock_ms();
	if (open_source(k, l, uri, err))
		return &k->port;
	k->port.ops->close(&k->port);
	return NULL;
}
