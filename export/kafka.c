/*
 * export/kafka.c - messages to a Kafka topic: a producer of librdkafka's, whose delivery reports are the answers.
 *
 * Wires come as messages (export/keyed.h). librdkafka keeps a copy of each, bounded by --buffer-max, until the brokers have
 * it; when it is full the worker waits. A wire is settled when each of its messages has been reported. What brokers do
 * not take now but may take later (the right to write is missing) is kept here and produced again.
 */
#include "core/crash.h"
#include "core/kafka_api.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/wait.h"
#include "export/keyed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What a message is known by, from its production to its report. */
struct ticket {
	struct shipment *shipment;
	uint32_t spans;
};

/* A wire whose messages are on their way; in order of `seq`. */
struct shipment {
	struct shipment *next;
	uint64_t seq;
	uint32_t left;			/* messages without a report, and 1 more while they are being produced */
	struct ticket ticket[];
};

/* A message to be produced again. */
struct again {
	struct again *next;
	struct ticket *ticket;
	size_t len;
	char key[KEYED_KEY];
	char bytes[];
};

struct kafka_sink {
	struct sink base;
	struct kafka_uri uri;
	struct kafka_trouble trouble;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	pthread_t thread;
	bool running;
	int64_t drain_ms, give_up_ms;
	size_t buffer_max;

	pthread_mutex_t lock;		/* for what follows */
	pthread_cond_t room;		/* something was reported */
	struct shipment *head, **tail;
	struct again *again, **again_tail;
	int64_t again_ms;		/* when they are */
	struct sink_tally tally;	/* `held` is what is left of `submitted` */
	uint64_t submitted;
	bool down;			/* no broker is there, and nothing was acknowledged since */
	uint64_t bytes, messages, failures;	/* on their way; reported; reported as failed */
	int64_t progress_ms;		/* the last good report, or since when something is on its way */
	int64_t stop_ms;		/* when a stop was first seen; 0: not yet */
	int64_t said_ms;
	bool quit;
};

static void *room_for(size_t n)
{
	void *p = calloc(1, n);

	if (!p) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", n);
		abort();
	}
	return p;
}

/* ---- reports; under the lock ------------------------------------------------------------------------- */

/* Wires settle in their order: a later one that is done waits for those before it. */
static void settle(struct kafka_sink *s)
{
	while (s->head && s->head->left == 0) {
		struct shipment *done = s->head;

		s->head = done->next;
		if (!s->head)
			s->tail = &s->head;
		free(done);
	}
}

/* Its message is answered for. */
static void close_ticket(struct kafka_sink *s, struct ticket *t, bool taken, size_t bytes)
{
	if (taken)
		s->tally.exported += t->spans;
	else
		s->tally.refused += t->spans;
	s->bytes -= bytes;
	s->messages++;
	s->failures += !taken;
	t->shipment->left--;
	settle(s);
	pthread_cond_broadcast(&s->room);
}

/* What an operator mends while haspan waits, as it does for a collector's 401 and 403. */
static bool may_be_taken_later(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
	case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
	case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
	case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
		return true;
	default:
		return false;
	}
}

static void keep_for_later(struct kafka_sink *s, struct ticket *t, const rd_kafka_message_t *m)
{
	struct again *a = room_for(sizeof(*a) + m->len);

	a->ticket = t;
	a->len = m->len;
	memcpy(a->key, m->key, KEYED_KEY);
	if (m->len)
		memcpy(a->bytes, m->payload, m->len);
	if (!s->again)
		s->again_ms = clock_ms() + KAFKA_HOLD_MS;
	*s->again_tail = a;
	s->again_tail = &a->next;
}

static void reported(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_sink *s = opaque;
	struct ticket *t = m->_private;
	uint64_t held;
	bool due = false;

	(void)rk;
	crash_point("kafka-report");
	pthread_mutex_lock(&s->lock);
	held = s->submitted - s->tally.exported - s->tally.refused;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		s->progress_ms = clock_ms();
		s->down = false;
		close_ticket(s, t, true, m->len);
	} else if (m->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE && m->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT &&
		   m->err != RD_KAFKA_RESP_ERR__FATAL && m->err != RD_KAFKA_RESP_ERR__DESTROY) {
		due = log_due(&s->said_ms, LOG_KAFKA_MS);
		if (may_be_taken_later(m->err))
			keep_for_later(s, t, m);
		else
			close_ticket(s, t, false, m->len);
	}
	pthread_mutex_unlock(&s->lock);
	if (due && may_be_taken_later(m->err))
		log_warn("%s: %s; %" PRIu64 " spans are held; trying again", s->base.uri, kafka.err2str(m->err), held);
	else if (due)
		log_warn("%s: %s; a message of %zu bytes is refused for good", s->base.uri, kafka.err2str(m->err), m->len);
}

static void trouble(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_sink *s = opaque;
	char text[512];

	kafka_note(&s->trouble, err, reason);
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		pthread_mutex_lock(&s->lock);
		s->down = true;
		pthread_mutex_unlock(&s->lock);
	}
	if (err != RD_KAFKA_RESP_ERR__FATAL)
		return;
	/* The idempotent producer has lost its order: nothing goes out any more, and what is held stays so. */
	kafka.fatal_error(rk, text, sizeof(text));
	if (!s->base.failed)
		log_error("%s: %s", s->base.uri, text);
	s->base.failed = true;
}

/* ---- production -------------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t produce(struct kafka_sink *s, struct slice bytes, const char *key, struct ticket *t)
{
	crash_point("kafka-produce");
	/* The payload is copied: librdkafka writes nothing into it. */
	if (kafka.produce(s->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)bytes.p, bytes.len, key,
			  KEYED_KEY, t) == 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	return kafka.last_error();
}

static bool is_drained(struct kafka_sink *s)
{
	if (s->stop_ms == 0 && stop_requested())
		s->stop_ms = clock_ms();
	return s->stop_ms && clock_ms() - s->stop_ms >= s->drain_ms;
}

/* Under the lock: until something is reported, or a little while. false: it has been waited for too long. */
static bool wait_for_room(struct kafka_sink *s)
{
	wait_ms(&s->room, &s->lock, KAFKA_TICK_MS);
	if (s->base.failed || is_drained(s))
		return false;
	if (s->give_up_ms == 0 || clock_ms() - s->progress_ms < s->give_up_ms)
		return true;
	log_error("%s: no broker has acknowledged anything for %" PRId64 " s; giving up", s->base.uri, s->give_up_ms / 1000);
	s->base.failed = true;
	return false;
}

/* One message: on its way, or answered for, or left over because nobody waits any more (false). */
static bool ship(struct kafka_sink *s, const struct keyed *k, struct ticket *t)
{
	rd_kafka_resp_err_t code;
	bool go_on = true;

	while ((code = produce(s, k->bytes, k->key, t)) == RD_KAFKA_RESP_ERR__QUEUE_FULL && go_on) {
		pthread_mutex_lock(&s->lock);
		go_on = wait_for_room(s);
		pthread_mutex_unlock(&s->lock);
	}
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__FATAL)
		return false;
	/* Too large, mostly: it never will be taken. */
	pthread_mutex_lock(&s->lock);
	close_ticket(s, t, false, k->bytes.len);
	pthread_mutex_unlock(&s->lock);
	if (log_due(&s->said_ms, LOG_KAFKA_MS))
		log_warn("%s: %s; a message of %zu bytes is refused for good", s->base.uri, kafka.err2str(code), k->bytes.len);
	return true;
}

/* Before the first of its messages: whoever asks finds it among what is not settled. */
static struct shipment *begin_shipment(struct kafka_sink *s, const struct wire *w, uint64_t *spans)
{
	struct shipment *x;
	struct keyed k;
	uint64_t bytes = 0;
	uint32_t n = 0;

	for (size_t at = 0; keyed_next(&w->bytes, &at, &k); n++)
		bytes += k.bytes.len;
	x = room_for(sizeof(*x) + n * sizeof(x->ticket[0]));
	x->seq = w->seq;
	x->left = n + 1;
	*spans = 0;
	n = 0;
	for (size_t at = 0; keyed_next(&w->bytes, &at, &k); n++) {
		x->ticket[n] = (struct ticket){ x, k.spans };
		*spans += k.spans;
	}
	pthread_mutex_lock(&s->lock);
	if (s->bytes == 0)
		s->progress_ms = clock_ms();
	s->submitted += w->spans;
	s->bytes += bytes;
	*s->tail = x;
	s->tail = &x->next;
	pthread_mutex_unlock(&s->lock);
	return x;
}

static void kafka_submit(struct sink *base, struct wire *w)
{
	struct kafka_sink *s = (struct kafka_sink *)base;
	bool go_on = !base->failed;
	struct shipment *x;
	struct keyed k;
	uint64_t spans;
	uint32_t n = 0;

	x = begin_shipment(s, w, &spans);
	for (size_t at = 0; go_on && keyed_next(&w->bytes, &at, &k); n++)
		go_on = ship(s, &k, &x->ticket[n]);
	pthread_mutex_lock(&s->lock);
	/* Of requests of several lines, each of which left when it came (encoder_raw). */
	s->tally.exported += w->spans - spans;
	x->left--;
	settle(s);
	pthread_mutex_unlock(&s->lock);
	w->bytes.len = 0;
	w->spans = 0;
}

/* ---- the thread -------------------------------------------------------------------------------------- */

/* What brokers have refused for the time being. */
static void produce_again(struct kafka_sink *s)
{
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	struct again *a;

	pthread_mutex_lock(&s->lock);
	while (s->again && code != RD_KAFKA_RESP_ERR__QUEUE_FULL && clock_ms() >= s->again_ms) {
		a = s->again;
		pthread_mutex_unlock(&s->lock);
		code = produce(s, slice_of(a->bytes, a->len), a->key, a->ticket);
		pthread_mutex_lock(&s->lock);
		if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		s->again = a->next;
		if (!s->again)
			s->again_tail = &s->again;
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__FATAL)
			close_ticket(s, a->ticket, false, a->len);
		free(a);
	}
	pthread_mutex_unlock(&s->lock);
}

static void *kafka_main(void *arg)
{
	struct kafka_sink *s = arg;
	bool quit = false;

	while (!quit) {
		kafka.poll(s->rk, KAFKA_TICK_MS);
		produce_again(s);
		pthread_mutex_lock(&s->lock);
		quit = s->quit;
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

/* ---- the sink ---------------------------------------------------------------------------------------- */

static void kafka_finish(struct sink *base)
{
	struct kafka_sink *s = (struct kafka_sink *)base;
	bool go_on = !base->failed;

	pthread_mutex_lock(&s->lock);
	s->progress_ms = clock_ms();
	while (s->head && go_on) {
		pthread_mutex_unlock(&s->lock);
		kafka.flush(s->rk, 0);		/* do not linger for more */
		pthread_mutex_lock(&s->lock);
		go_on = !s->head || wait_for_room(s);
	}
	s->quit = true;
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	s->running = false;
	if (s->head)
		kafka.purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

static void kafka_tally(struct sink *base, struct sink_tally *out)
{
	struct kafka_sink *s = (struct kafka_sink *)base;

	pthread_mutex_lock(&s->lock);
	*out = s->tally;
	out->held = s->submitted - s->tally.exported - s->tally.refused;
	pthread_mutex_unlock(&s->lock);
}

static uint64_t kafka_unsettled(struct sink *base)
{
	struct kafka_sink *s = (struct kafka_sink *)base;
	uint64_t seq;

	pthread_mutex_lock(&s->lock);
	seq = s->head ? s->head->seq : UINT64_MAX;
	pthread_mutex_unlock(&s->lock);
	return seq;
}

static void kafka_metrics(struct sink *base, struct metrics *m)
{
	struct kafka_sink *s = (struct kafka_sink *)base;

	pthread_mutex_lock(&s->lock);
	metrics_add(m, METRIC_sink_queue_bytes, (double)s->bytes);
	metrics_add(m, METRIC_sink_queue_max_bytes, (double)s->buffer_max);
	metrics_add(m, METRIC_sink_requests_total, (double)s->messages);
	metrics_add(m, METRIC_sink_retrying, s->again || (s->down && s->head));
	metrics_add(m, METRIC_sink_failures_total, (double)s->failures);
	pthread_mutex_unlock(&s->lock);
}

static void kafka_free(struct sink *base)
{
	struct kafka_sink *s = (struct kafka_sink *)base;

	if (s->running) {
		pthread_mutex_lock(&s->lock);
		s->quit = true;
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	if (s->topic)
		kafka.topic_destroy(s->topic);
	if (s->rk) {
		kafka.poll(s->rk, 0);		/* the reports of what was purged */
		kafka.destroy(s->rk);
	}
	while (s->head) {
		struct shipment *x = s->head;

		s->head = x->next;
		free(x);
	}
	while (s->again) {
		struct again *a = s->again;

		s->again = a->next;
		free(a);
	}
	kafka_uri_free(&s->uri);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->room);
	free(base->uri);
	free(s);
}

static const struct sink_ops kafka_ops = {
	.submit = kafka_submit,
	.finish = kafka_finish,
	.tally = kafka_tally,
	.unsettled = kafka_unsettled,
	.metrics = kafka_metrics,
	.free = kafka_free,
};

/* ---- opening ----------------------------------------------------------------------------------------- */

static bool pick_encoding(struct kafka_sink *s, struct slice uri, struct err *err)
{
	static const struct encoder *const known[] = { &encoder_keyed_protobuf, &encoder_keyed_json, &encoder_raw };
	const char *name = kafka_uri_take(&s->uri, "encoding");

	s->base.encoder = known[0];
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!name || strcmp(known[i]->name, name) == 0) {
			s->base.encoder = known[name ? i : 0];
			return true;
		}
	err_set(err, EXIT_USAGE, "no such encoding: expected otlp_proto, otlp_json or raw");
	return err_where(err, "%.*s", (int)slice_find(uri, '?'), uri.p);
}

/*
 * Messages wait for ever unless the user says otherwise: who gives up is --give-up-after. The partitioner is the one of
 * Java's producers, so that equal keys meet whoever wrote them.
 */
static rd_kafka_conf_t *make_conf(struct kafka_sink *s, const struct export_config *cfg, struct err *err)
{
	uint64_t kbytes = cfg->buffer_max / 1024;
	char room[32];
	const struct kafka_default defaults[] = {
		{ "enable.idempotence", "true" },
		{ "message.timeout.ms", "0" },
		{ "partitioner", "murmur2_random" },
		{ "linger.ms", "20" },
		{ "queue.buffering.max.messages", KAFKA_MESSAGES_MAX },
		{ "queue.buffering.max.kbytes", room },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *conf;

	kbytes = kbytes < 1 ? 1 : kbytes > INT32_MAX ? INT32_MAX : kbytes;
	snprintf(room, sizeof(room), "%" PRIu64, kbytes);
	conf = kafka_conf(&s->uri, cfg->kafka, defaults, err);
	if (!conf)
		return NULL;
	kafka.conf_set_dr_msg_cb(conf, reported);
	kafka.conf_set_error_cb(conf, trouble);
	kafka.conf_set_opaque(conf, s);
	return conf;
}

/* Everything that needs no broker. `*conf` is the caller's. */
static struct kafka_sink *prepare(struct slice uri, const struct export_config *cfg, rd_kafka_conf_t **conf, struct err *err)
{
	struct kafka_sink *s = room_for(sizeof(*s));

	s->base.ops = &kafka_ops;
	s->drain_ms = cfg->drain_ms;
	s->give_up_ms = cfg->give_up_ms;
	s->buffer_max = cfg->buffer_max;
	s->tail = &s->head;
	s->again_tail = &s->again;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->trouble.lock, NULL);
	wait_init(&s->room);
	if (kafka_uri_parse(uri, &s->uri, err) && pick_encoding(s, uri, err) && kafka_load(err) &&
	    (*conf = make_conf(s, cfg, err)) != NULL) {
		s->base.uri = strdup(s->uri.shown);
		return s;
	}
	kafka_free(&s->base);
	return NULL;
}

/*
 * A wrong password, a topic that is not there or not ours: said at once. A cluster that is away is waited for where the
 * input has no end, as a collector is.
 */
static bool ask_brokers(struct kafka_sink *s, struct err *err)
{
	struct kafka_probe probe = { .rk = s->rk, .trouble = &s->trouble, .shown = s->uri.shown, .ms = KAFKA_PROBE_MS,
				     .code = EXIT_EXPORT };

	if (kafka_probe(&probe, NULL, NULL, err))
		return kafka_probe(&probe, s->uri.topics, NULL, err);
	if (s->trouble.denied || s->give_up_ms)
		return false;
	log_warn("%s: %s; what comes is held", s->base.uri, err->text);
	*err = (struct err){ 0 };
	return true;
}

struct sink *kafka_sink_open(struct slice uri, const struct export_config *cfg, struct err *err)
{
	rd_kafka_conf_t *conf;
	struct kafka_sink *s = prepare(uri, cfg, &conf, err);
	char text[256];

	if (!s)
		return NULL;
	s->rk = kafka.new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (!s->rk) {
		kafka.conf_destroy(conf);
		err_set(err, EXIT_USAGE, "librdkafka: %s", text);
		err_where(err, "%s", s->uri.shown);
	} else if (ask_brokers(s, err)) {
		s->topic = kafka.topic_new(s->rk, s->uri.topics, NULL);
		if (s->topic && pthread_create(&s->thread, NULL, kafka_main, s) == 0) {
			s->running = true;
			return &s->base;
		}
		err_set(err, EXIT_CONFIG, "%s", s->topic ? "cannot start a thread" : kafka.err2str(kafka.last_error()));
	}
	kafka_free(&s->base);
	return NULL;
}

bool kafka_sink_check(struct slice uri, const struct export_config *cfg, struct err *err)
{
	rd_kafka_conf_t *conf;
	struct kafka_sink *s = prepare(uri, cfg, &conf, err);

	if (!s)
		return false;
	kafka.conf_destroy(conf);
	kafka_free(&s->base);
	return true;
}
