/*
 * ingest/kafka.c - kafka://BROKERS/TOPIC[,TOPIC|^PATTERN]…: a consumer as a port.
 *
 * librdkafka's threads fetch; its queue makes our descriptor readable. Messages stay where it put them: a block holds
 * slices of them, and gives them back when the worker is done with it. Only rd_kafka_consumer_poll is called: with
 * rd_kafka_consume_batch_queue, librdkafka 2.0 loses messages at a cooperative rebalance.
 *
 * Whoever does not poll for max.poll.interval.ms is thrown out of the group. While the workers wait for their sinks
 * nobody asks for lines, so the keeper thread polls instead (live_keep): what that brings is held, and when something is
 * held already, the partitions pause: librdkafka throws away what it has fetched of them, and stops fetching. A thread of
 * its own would do no more; the keeper is there, never waits for a sink's answer, and drives rebalances as well.
 */
#include "core/crash.h"
#include "core/log.h"
#include "ingest/kafka_private.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- what is wrong ----------------------------------------------------------------------------------- */

void kafka_trouble_said(rd_kafka_t *rk, int err, const char *reason, void *opaque)
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
		kafka_trouble_said(k->rk, m->err, kafka.message_errstr(m), k);
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
		kafka_add_message(k, b, m);
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
		kafka_drop_large(k);
		return;
	}
	kafka_add_piece(k, b);
	if (!k->large)
		note_read(k, part, m);
}

/* false: librdkafka has nothing more for now. */
static bool fill_block(struct kafka_source *k, struct block *b)
{
	if (k->large)
		fill_large(k, b);
	while (!b->len || (!kafka_is_full(b) && !k->large && b->message[0].handle)) {
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
	enum port_left left;
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
	kafka_keep_fetching(k);
	k->polled_ms = clock_ms();
	kafka_serve_going(k, k->polled_ms);
	k->waiting = k->tail - k->head;
	if (b->len) {
		b->framing = FRAMING_MESSAGES;
		b->release = kafka_release;
		b->source = p->source;
		b->mark = ++k->mark;
	}
	if (k->over && !k->range)
		live_fail(p->live, EXIT_INPUT);
	left = k->over ? PORT_GONE : more || k->nheld || k->large ? PORT_MORE : PORT_EMPTY;
	pthread_mutex_unlock(&k->lock);
	crash_point("kafka.filled");
	return left;
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

static bool kafka_unfinished(struct port *p)
{
	const struct kafka_source *k = (const struct kafka_source *)p;

	return k->range && !k->over;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static void drop_held(struct kafka_source *k)
{
	for (uint32_t i = 0; i < k->nheld; i++)
		kafka.message_destroy(k->held[i]);
	k->nheld = 0;
	kafka_drop_large(k);
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
	/* Messages that were fetched come along, and queue_poll_callback() must meet none. */
	while (!e && !kafka.consumer_closed(k->rk) && clock_ms() < until) {
		rd_kafka_message_t *m = kafka.consume_queue(queue, 50);

		if (m)
			kafka.message_destroy(m);
	}
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

const struct port_ops kafka_ops = {
	.fill = kafka_fill,
	.acknowledge = kafka_acknowledge,
	.keep = kafka_keep,
	.progress = kafka_progress,
	.unfinished = kafka_unfinished,
	.metrics = kafka_metrics,
	.stop = kafka_stop,
	.close = kafka_close,
};
