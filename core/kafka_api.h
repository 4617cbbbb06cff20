/*
 * core/kafka_api.h - librdkafka, loaded when it is needed, and what the source and the sink of Kafka share: how a URI
 * becomes its configuration, what becomes of what it says, and whether there is a cluster at all.
 *
 * librdkafka brings a dozen libraries: linked, it would cost every run some milliseconds of start-up.
 */
#ifndef CORE_KAFKA_API_H
#define CORE_KAFKA_API_H

#include "core/err.h"
#include "core/slice.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>

/* X(name without `rd_kafka_`) */
#define KAFKA_FUNCTIONS(X) \
	X(assign) \
	X(assignment_lost) \
	X(commit_queue) \
	X(committed) \
	X(conf) \
	X(conf_destroy) \
	X(conf_get) \
	X(conf_new) \
	X(conf_set) \
	X(conf_set_dr_msg_cb) \
	X(conf_set_error_cb) \
	X(conf_set_log_cb) \
	X(conf_set_offset_commit_cb) \
	X(conf_set_opaque) \
	X(conf_set_rebalance_cb) \
	X(consume_queue) \
	X(consumer_close_queue) \
	X(consumer_closed) \
	X(consumer_poll) \
	X(destroy) \
	X(err2name) \
	X(err2str) \
	X(error_code) \
	X(error_destroy) \
	X(error_string) \
	X(fatal_error) \
	X(flush) \
	X(get_watermark_offsets) \
	X(header_get_all) \
	X(headers_destroy) \
	X(headers_new) \
	X(header_add) \
	X(incremental_assign) \
	X(incremental_unassign) \
	X(last_error) \
	X(message_destroy) \
	X(message_errstr) \
	X(message_headers) \
	X(message_status) \
	X(message_timestamp) \
	X(metadata) \
	X(metadata_destroy) \
	X(new) \
	X(offsets_for_times) \
	X(offsets_store) \
	X(opaque) \
	X(outq_len) \
	X(pause_partitions) \
	X(poll) \
	X(poll_set_consumer) \
	X(produce) \
	X(produceva) \
	X(purge) \
	X(query_watermark_offsets) \
	X(queue_destroy) \
	X(queue_get_consumer) \
	X(queue_get_main) \
	X(queue_io_event_enable) \
	X(queue_new) \
	X(queue_length) \
	X(queue_poll) \
	X(queue_poll_callback) \
	X(rebalance_protocol) \
	X(resume_partitions) \
	X(subscribe) \
	X(topic_destroy) \
	X(topic_name) \
	X(topic_new) \
	X(topic_partition_list_add) \
	X(topic_partition_list_copy) \
	X(topic_partition_list_destroy) \
	X(topic_partition_list_new) \
	X(unsubscribe) \
	X(version) \
	X(version_str)

struct kafka_api {
#define X(name) __typeof__(rd_kafka_##name) *name;
	KAFKA_FUNCTIONS(X)
#undef X
	/* Since 2.0; NULL before, and where the headers are older they do not know it. */
	rd_kafka_error_t *(*sasl_set_credentials)(rd_kafka_t *rk, const char *username, const char *password);
};

/* Valid once kafka_load() has returned true. */
extern struct kafka_api kafka;

/* Load librdkafka, once. From the starting thread only. False with `err` filled (EXIT_CONFIG): it is missing or old. */
bool kafka_load(struct err *err);

/* ---- where ------------------------------------------------------------------------------------------- */

/* Parameters of one URI, and properties of --kafka: librdkafka knows 150. */
#define KAFKA_SETTINGS_MAX 128

struct kafka_setting {
	char *name, *value;	/* owned, decoded */
	bool used;		/* the caller's own: librdkafka is not told */
};

/* `kafka://BROKER[:PORT][,BROKER…]/TOPICS[?NAME=VALUE[&…]]`; all owned and NUL-terminated. */
struct kafka_uri {
	char *brokers;		/* as in bootstrap.servers */
	char *topics;		/* %XX decoded */
	char *shown;		/* for people: without the parameters, which may hold secrets */
	struct kafka_setting v[KAFKA_SETTINGS_MAX];
	unsigned n;
};

/*
 * Read `uri`. False with `err` filled (EXIT_USAGE); what it quotes has no values of parameters in it. `out` is freed
 * with kafka_uri_free in either case.
 */
bool kafka_uri_parse(struct slice uri, struct kafka_uri *out, struct err *err);
void kafka_uri_free(struct kafka_uri *u);

/* The value of a parameter that is the caller's own, from now on no property; NULL: not given. Lent. */
const char *kafka_uri_take(struct kafka_uri *u, const char *name);

/* ---- configuration ----------------------------------------------------------------------------------- */

/* A default of haspan's own; the user's word wins. */
struct kafka_default {
	const char *name, *value;
};

/*
 * A configuration for rd_kafka_new, which takes it: `defaults` (ended by a NULL name), then `properties`
 * ("name=value", NULL-terminated, may be NULL: --kafka), then those of the URI that nobody has taken. `NAME.file=PATH`
 * is the value of NAME, read from a file without its last newline. Logs go to core/log.h, rate-limited. Needs
 * kafka_load. NULL with `err` filled (EXIT_USAGE, EXIT_CONFIG): no value is ever quoted.
 */
rd_kafka_conf_t *kafka_conf(const struct kafka_uri *u, const char *const *properties,
			    const struct kafka_default *defaults, struct err *err);

/* ---- is anybody there? ------------------------------------------------------------------------------- */

/*
 * What a client's error callback was told: the last thing that will not pass by itself (a wrong password, a certificate
 * nobody trusts), and whether no broker was to be reached. Zero it before use.
 */
struct kafka_trouble {
	pthread_mutex_t lock;		/* PTHREAD_MUTEX_INITIALIZER, or zeroed */
	int denied;			/* rd_kafka_resp_err_t, or 0 */
	char text[256];			/* of the last of either kind */
};

/* From the error callback; any thread. */
void kafka_note(struct kafka_trouble *t, int err, const char *reason);

/*
 * Ask the cluster for `topic` (NULL: for all it has) until it answers, is known to refuse, or `ms` have passed; serves
 * the client's callbacks meanwhile. False with `err` filled with `code`: one clear line. The number of the topic's
 * partitions is put into `*partitions` unless that is NULL. A topic that may be made by the first message to it is
 * there when `may_create`. Blocks: for the start only.
 */
struct kafka_probe {
	rd_kafka_t *rk;
	struct kafka_trouble *trouble;
	const char *shown;		/* the URI without secrets, for messages */
	unsigned ms;
	enum exit_code code;		/* of what goes wrong */
	bool may_create;
};
bool kafka_probe(const struct kafka_probe *p, const char *topic, int *partitions, struct err *err);

#endif
