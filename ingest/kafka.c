/*
 * ingest/kafka.c - kafka://BROKERS/TOPIC[,TOPIC|^PATTERN]…: a consumer as a port.
 *
 * librdkafka's threads fetch; its queue makes our descriptor readable. Messages stay where it put them: a block holds
 * slices of them, and gives them back when the worker is done with it. Only rd_kafka_consumer_poll is called: with
 * rd_kafka_consume_batch_queue, librdkafka 2.0 loses messages at a cooperative rebalance.
 *
 * Whoever does not poll for max.poll.interval.ms is thrown out of the group. While the workers wait for their sinks nobody
 * asks for lines, so the keeper thread polls instead (live_keep): what that brings is held, and as it holds something
 * already, the partitions pause: librdkafka throws away what it has fetched of them, and stops fetching.
 */
#include "core/crash.h"
#include "core/log.h"
#include "core/stop.h"
#include "ingest/kafka_private.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TOPICS_MAX 64

/* Longer scans than BLOCK_PAD do not overshoot, so a page is what must not be crossed. */
#define PAGE ((uintptr_t)4096)

/* Under ASan every byte that a scan reads must be ours: then all messages are copied. */
#if defined(__SANITIZE_ADDRESS__)
#define COPY_ALL true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COPY_ALL true
#endif
#endif
#ifndef COPY_ALL
#define COPY_ALL false
#endif

/* Our defaults; the user's word wins. */
static const struct kafka_default defaults[] = {
	{ "auto.offset.reset", "earliest" },		/* a new group, or one whose place is gone, leaves nothing out */
	{ "partition.assignment.strategy", "range,roundrobin" },
	{ "enable.auto.offset.store", "false" },	/* stored when it is settled … */
	{ "auto.commit.interval.ms", "1000" },		/* … and committed a second later */
	{ "queued.max.messages.kbytes", "32768" },	/* what is fetched ahead */
	{ "fetch.max.bytes", "16777216" },		/* and how far one answer may go beyond */
	{ "fetch.error.backoff.ms", "50" },		/* also the wait after the queue was full: 500 ms would be felt */
	{ NULL, NULL },
};

/* ---- messages ---------------------------------------------------------------------------------------- */

/* May scans overshoot at either end? Bytes before and behind belong to librdkafka's buffers, or to the same page. */
static bool may_stay(const char *p, size_t len)
{
	uintptr_t from = (uintptr_t)p - BLOCK_PAD, to = (uintptr_t)p + len + BLOCK_PAD - 1;

	return !COPY_ALL && len && from / PAGE == (uintptr_t)p / PAGE && to / PAGE == ((uintptr_t)p + len - 1) / PAGE;
}

static const struct slice header_names[] = {
#define HEADER(name, slot, context) { context ? name : "", context ? sizeof(name) - 1 : 0 },
#include "formats/headers.def"
#undef HEADER
};

#define HEADER_ROWS (sizeof(header_names) / sizeof(header_names[0]))

/* A copy of `n` bytes in the block, which has room for all that one message can have (is_full). */
static const char *aside(struct block *b, const void *p, size_t n)
{
	char *to = b->aside + b->aside_used;

	memcpy(to, p, n);
	b->aside_used += n;
	return to;
}

/* Headers that name a trace. */
static void add_headers(struct block *b, struct message *m, const rd_kafka_headers_t *headers)
{
	const char *name;
	const void *value;
	size_t len;

	for (size_t i = 0; kafka.header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		uint8_t row = 0;

		while (row < HEADER_ROWS && (!header_names[row].len || !slice_ieq(header_names[row], slice_str(name))))
			row++;
		if (row == HEADER_ROWS || !value || len == 0 || len > MESSAGE_HEADER_MAX || m->headers == MESSAGE_HEADERS)
			continue;
		b->header[b->headers++] = (struct message_header){ row, (uint16_t)len, aside(b, value, len) };
		m->headers++;
	}
}

/* 32 hex digits, not all 0. */
static bool is_trace_id(struct slice s)
{
	bool any = false;

	for (size_t i = 0; i < s.len; i++) {
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
		any |= s.p[i] != '0';
	}
	return s.len == 32 && any;
}

/* A name of RFC 1123, or an address. */
static bool is_host(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = slice_lower(s.p[i]);

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c != '\0' && strchr("._:-", c))))
			return false;
	}
	return s.len > 0 && s.len <= 255;
}

/* Key, headers and time of what was read. */
static void add_beside(struct kafka_source *k, struct block *b, struct message *m, const rd_kafka_message_t *from)
{
	struct slice key = slice_of(from->key, from->key ? from->key_len : 0);
	rd_kafka_headers_t *headers;
	rd_kafka_timestamp_type_t type;
	int64_t ms = kafka.message_timestamp(from, &type);

	m->time_us = type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && ms > 0 && ms < INT64_MAX / 1000 ? ms * 1000 : 0;
	m->header = b->header + b->headers;
	m->headers = 0;
	m->key = slice_of("", 0);
	m->key_is_host = k->key_is_host;
	if (k->key_is_host ? is_host(key) : is_trace_id(key))
		m->key = slice_of(aside(b, key.p, key.len), key.len);
	if (kafka.message_headers(from, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
		add_headers(b, m, headers);
}

static void release(struct block *b)
{
	for (uint32_t i = 0; i < b->messages; i++)
		if (b->message[i].handle)
			kafka.message_destroy(b->message[i].handle);
}

/* Append `from`, which fits. It is the block's from now on. */
static void add_message(struct kafka_source *k, struct block *b, rd_kafka_message_t *from)
{
	struct message *m = &b->message[b->messages++];

	*m = (struct message){ .text = slice_of(from->payload, from->payload ? from->len : 0), .start = b->len, .handle = from };
	if (!may_stay(m->text.p, m->text.len)) {
		if (m->text.len)
			memcpy(b->p + m->start, m->text.p, m->text.len);
		m->text.p = b->p + m->start;
	}
	b->len += m->text.len + 1;
	frame_boundary(m->text.p, m->text.len, true, &m->framing);
	add_beside(k, b, m, from);
}

/* The next piece of the large message; it is alone in its block. */
static void add_piece(struct kafka_source *k, struct block *b)
{
	struct message *m = &b->message[0];
	rd_kafka_message_t *from = k->large;
	bool ended = false;

	while (b->len == 0 && !ended) {
		size_t start = stitch_begin(&k->stitch, b), n = from->len - k->large_at;

		n = n < BLOCK_SIZE - b->len ? n : BLOCK_SIZE - b->len;
		memcpy(b->p + b->len, (const char *)from->payload + k->large_at, n);
		b->len += n;
		k->large_at += n;
		ended = k->large_at == from->len;
		stitch_end(&k->stitch, b, start, ended);
	}
	*m = (struct message){ .text = slice_of(b->p, b->len), .framing = b->framing, .torn_head = b->torn_head,
			       .torn_tail = b->torn_tail };
	add_beside(k, b, m, from);
	b->torn_head = b->torn_tail = false;
	b->messages = 1;
	b->len++;
	if (!ended)
		return;
	m->handle = from;
	k->large = NULL;
	stitch_free(&k->stitch);
}

static void drop_large(struct kafka_source *k)
{
	if (k->large)
		kafka.message_destroy(k->large);
	k->large = NULL;
	stitch_free(&k->stitch);
}

/* ---- what is wrong ----------------------------------------------------------------------------------- */

static void trouble(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_source *k = opaque;
	char text[256];

	k->errors++;
	kafka_note(&k->trouble, err, reason);
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		kafka.fatal_error(rk, text, sizeof(text));
	if (k->port.live && err == RD_KAFKA_RESP_ERR__FATAL)
		log_error("%s: %s", k->uri.shown, text);
	else if (k->port.live && log_due(&k->said_ms, LOG_KAFKA_MS))
		log_warn("%s: %s; it is tried again", k->uri.shown, reason);
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		k->over = true;
}

/* A message that is none. */
static void take_error(struct kafka_source *k, const rd_kafka_message_t *m)
{
	struct kafka_part *part;

	if (m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		trouble(k->rk, m->err, kafka.message_errstr(m), k);
		return;
	}
	part = k->range ? kafka_part_of(k, m) : NULL;
	if (part && !part->done && m->offset >= part->end)
		kafka_range_done(k, part);
}

/* ---- filling ----------------------------------------------------------------------------------------- */

static rd_kafka_message_t *next_message(struct kafka_source *k)
{
	rd_kafka_message_t *m;

	if (k->nheld == 0)
		return kafka.consumer_poll(k->rk, 0);
	m = k->held[0];
	k->nheld--;
	memmove(k->held, k->held + 1, k->nheld * sizeof(k->held[0]));
	return m;
}

/* It does not fit any more: it is the next one. There is room: it has just left, or nothing was held. */
static void put_back(struct kafka_source *k, rd_kafka_message_t *m)
{
	memmove(k->held + 1, k->held, k->nheld * sizeof(k->held[0]));
	k->held[0] = m;
	k->nheld++;
}

static void note_read(struct kafka_source *k, struct kafka_part *part, const rd_kafka_message_t *m)
{
	k->messages++;
	k->bytes += m->len;
	kafka_position_read(k, part, m->offset, k->mark + 1);
	if (!k->range)
		return;
	k->done++;
	if (m->offset + 1 >= part->end)
		kafka_range_done(k, part);
}

/* A message into the block, or away if nobody wants it. false: the block is full. */
static bool take_message(struct kafka_source *k, struct block *b, rd_kafka_message_t *m)
{
	struct kafka_part *part = m->err ? NULL : kafka_part_of(k, m);
	size_t room = BLOCK_SIZE - b->len;

	if (m->err)
		take_error(k, m);
	if (!part || part->done) {
		kafka.message_destroy(m);
		return true;
	}
	if (k->range && part->end >= 0 && m->offset >= part->end) {
		kafka_range_done(k, part);
		kafka.message_destroy(m);
		return true;
	}
	if (m->len < room) {
		note_read(k, part, m);
		add_message(k, b, m);
		return true;
	}
	if (b->len) {
		put_back(k, m);
		return false;
	}
	k->large = m;
	k->large_at = 0;
	return false;
}

/* The large message goes on, if its partition is still ours. */
static void fill_large(struct kafka_source *k, struct block *b)
{
	struct kafka_part *part = kafka_part_of(k, k->large);
	rd_kafka_message_t *m = k->large;

	if (!part) {
		drop_large(k);
		return;
	}
	add_piece(k, b);
	if (!k->large)
		note_read(k, part, m);
}

static bool is_full(const struct block *b)
{
	return b->messages == MESSAGES_MAX || b->len >= BLOCK_SIZE || b->headers + MESSAGE_HEADERS > MESSAGES_HEADERS ||
	       MESSAGE_ASIDE - b->aside_used < (MESSAGE_HEADERS + 1) * MESSAGE_HEADER_MAX;
}

/* false: librdkafka has nothing more for now. */
static bool fill_block(struct kafka_source *k, struct block *b)
{
	if (k->large)
		fill_large(k, b);
	while (!b->len || (!is_full(b) && !k->large && b->message[0].handle)) {
		rd_kafka_message_t *m = next_message(k);

		if (!m)
			return false;
		if (!take_message(k, b, m) && b->len)
			break;
		if (k->large)
			fill_large(k, b);
		if (k->over)
			break;
	}
	return true;
}

static enum port_left kafka_fill(struct port *p, struct block *b)
{
	struct kafka_source *k = (struct kafka_source *)p;
	bool more;
	uint64_t n;

	if (b->len)
		return PORT_FULL;
	if (!b->message)
		block_messages(b);
	block_release(b);
	while (read(p->fd, &n, sizeof(n)) > 0)
		;
	if (k->stopping)
		return PORT_EMPTY;
	b->sole = true;
	pthread_mutex_lock(&k->lock);
	kafka_resume(k);
	more = fill_block(k, b);
	k->polled_ms = clock_ms();
	kafka_serve_going(k, k->polled_ms);
	k->waiting = k->tail - k->head;
	if (b->len) {
		b->framing = FRAMING_MESSAGES;
		b->release = release;
		b->source = p->source;
		b->mark = ++k->mark;
	}
	if (k->over && !k->range)
		live_fail(p->live, EXIT_INPUT);
	more |= k->nheld || k->large;
	pthread_mutex_unlock(&k->lock);
	crash_point("kafka.filled");
	return k->over ? PORT_GONE : more ? PORT_MORE : PORT_EMPTY;
}

/* ---- between ----------------------------------------------------------------------------------------- */

static void kafka_acknowledge(struct port *p, uint64_t mark)
{
	struct kafka_source *k = (struct kafka_source *)p;

	pthread_mutex_lock(&k->lock);
	kafka_position_settle(k, mark);
	kafka_serve_going(k, clock_ms());
	pthread_mutex_unlock(&k->lock);
}

/* Nobody has asked for lines for a while. What comes is held, and the descriptor made readable. */
static void hold(struct kafka_source *k)
{
	const uint64_t one = 1;
	rd_kafka_message_t *m;

	if (k->nheld && !k->paused)
		kafka_pause(k);
	if (k->nheld >= KAFKA_HELD_MAX)
		return;
	m = kafka.consumer_poll(k->rk, 0);
	if (m)
		k->held[k->nheld++] = m;
	if (!m && !k->over)
		return;
	if (write(k->port.fd, &one, sizeof(one)) < 0)		/* full: it is readable */
		return;
}

static void kafka_keep(struct port *p, bool last)
{
	struct kafka_source *k = (struct kafka_source *)p;
	int64_t now_ms = clock_ms();

	(void)last;

	pthread_mutex_lock(&k->lock);
	if (now_ms - k->polled_ms >= KAFKA_POLL_MS) {
		hold(k);
		k->polled_ms = now_ms;
	}
	kafka_serve_going(k, now_ms);
	if (now_ms - k->looked_ms >= KAFKA_POLL_MS) {
		kafka_measure(k);
		k->looked_ms = now_ms;
	}
	pthread_mutex_unlock(&k->lock);
}

/* What is not read yet is not lost: it waits for the next member. */
static void kafka_stop(struct port *p)
{
	((struct kafka_source *)p)->stopping = true;
}

static void kafka_metrics(struct port *p, struct metrics *m)
{
	struct kafka_source *k = (struct kafka_source *)p;

	metrics_add(m, METRIC_source_bytes_total, (double)k->bytes);
	metrics_add(m, METRIC_source_messages_total, (double)k->messages);
	metrics_add(m, METRIC_source_errors_total, (double)k->errors);
	metrics_add(m, METRIC_source_partitions, (double)k->assigned);
	metrics_add(m, METRIC_source_paused, (double)k->pausing);
	metrics_add(m, METRIC_source_lag_messages, (double)k->lag);
	metrics_add(m, METRIC_source_unacknowledged_blocks, (double)k->waiting);
	metrics_add(m, METRIC_source_rebalances_total, (double)k->rebalances);
	metrics_add(m, METRIC_source_let_go_total, (double)k->let_go);
	metrics_add(m, METRIC_source_commit_errors_total, (double)k->commit_errors);
}

static void kafka_progress(struct port *p, uint64_t *done, uint64_t *total)
{
	struct kafka_source *k = (struct kafka_source *)p;

	*done += k->done;
	*total += k->total;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static void drop_held(struct kafka_source *k)
{
	for (uint32_t i = 0; i < k->nheld; i++)
		kafka.message_destroy(k->held[i]);
	k->nheld = 0;
	drop_large(k);
}

/* Commit, leave the group. false: it does not let go in time; then its threads end with the process. */
static bool leave(struct kafka_source *k)
{
	rd_kafka_queue_t *queue = kafka.queue_new(k->rk);
	int64_t until = clock_ms() + KAFKA_CLOSE_MS;
	rd_kafka_error_t *e;

	pthread_mutex_lock(&k->lock);
	k->closing = true;
	drop_held(k);
	if (k->commits) {
		crash_point("kafka.commit.end");
		kafka_commit_now(k, NULL);
	}
	kafka_serve_going(k, INT64_MAX);
	e = kafka.consumer_close_queue(k->rk, queue);
	if (e) {
		log_debug("%s: %s", k->uri.shown, kafka.error_string(e));
		kafka.error_destroy(e);
	}
	while (!e && !kafka.consumer_closed(k->rk) && clock_ms() < until)
		kafka.queue_poll_callback(queue, 50);
	kafka.queue_destroy(queue);
	pthread_mutex_unlock(&k->lock);
	return e || kafka.consumer_closed(k->rk);
}

static void kafka_close(struct port *p)
{
	struct kafka_source *k = (struct kafka_source *)p;

	if (k->rk && k->queue && !leave(k)) {
		log_warn("%s: the group does not answer; its members find out by session.timeout.ms", k->port.uri);
		return;
	}
	if (k->queue)
		kafka.queue_destroy(k->queue);
	if (k->rk)
		kafka.destroy(k->rk);
	kafka_parts_free(k);
	kafka_uri_free(&k->uri);
	pthread_mutex_destroy(&k->lock);
	if (p->fd >= 0)
		close(p->fd);
	free(k);
}

static const struct port_ops ops = {
	.fill = kafka_fill,
	.acknowledge = kafka_acknowledge,
	.keep = kafka_keep,
	.progress = kafka_progress,
	.metrics = kafka_metrics,
	.stop = kafka_stop,
	.close = kafka_close,
};

/* ---- the beginning ----------------------------------------------------------------------------------- */

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
		return err_set(err, EXIT_USAGE, "enable.auto.offset.store is false: an offset is stored when its lines are "
						"acknowledged, not when they are read");
	if (kafka.version() < 0x020a0000 &&
	    kafka.conf_get(conf, "partition.assignment.strategy", text, &size) == RD_KAFKA_CONF_OK &&
	    strstr(text, "cooperative-sticky"))
		return err_set(err, EXIT_USAGE, "partition.assignment.strategy=cooperative-sticky needs librdkafka 2.10: %s "
						"loses commits, and aborts, when partitions move; range and roundrobin do not",
			       kafka.version_str());
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
	rd_kafka_conf_t *conf = kafka_conf(&k->uri, c->kafka, defaults, err);
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
			return err_set(err, EXIT_USAGE, "kafka://: group=NAME expected: it keeps the place, and shares the "
							"partitions with other members; or a range: since=, offset=, until=");
		}
		kafka.conf_set(conf, "group.id", "haspan", NULL, 0);	/* asked for, but never joined */
	}
	if (!k->commits)
		kafka.conf_set(conf, "enable.auto.commit", "false", NULL, 0);
	if (k->range)
		kafka.conf_set(conf, "enable.partition.eof", "true", NULL, 0);
	kafka.conf_set_opaque(conf, k);
	kafka.conf_set_error_cb(conf, trouble);
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
			return err_set(err, EXIT_USAGE, "kafka://: more than %d topics: name them by a pattern, ^…", TOPICS_MAX);
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
	k->port.ops = &ops;
	k->port.fd = -1;
	pthread_mutex_init(&k->lock, NULL);
	k->polled_ms = clock_ms();
	if (open_source(k, l, uri, err))
		return &k->port;
	kafka_close(&k->port);
	return NULL;
}
