/*
 * ingest/kafka_group.c - the partitions of a consumer: given and taken, read, settled, stored.
 *
 * Positions are stored when they are settled, and librdkafka commits what is stored (auto.commit.interval.ms). A
 * partition that is taken away is not given back inside librdkafka's callback: the blocks that hold its lines are still
 * on their way, one of them in the hands of the caller. It is marked, and given back when all that was read of it is
 * settled, or after --drain-timeout. Meanwhile the group waits, as Kafka means it to, and heartbeats go on.
 */
#include "core/crash.h"
#include "core/log.h"
#include "ingest/kafka_private.h"

#include <stdlib.h>

/* ---- partitions -------------------------------------------------------------------------------------- */

static void no_memory(void)
{
	log_error("kafka: out of memory");
	abort();
}

static void *more(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	if (!p)
		no_memory();
	return p;
}

static struct kafka_part *find_part(struct kafka_source *k, const char *topic, int32_t partition)
{
	for (uint32_t i = 0; i < k->parts; i++)
		if (k->part[i].partition == partition && strcmp(k->part[i].topic, topic) == 0)
			return &k->part[i];
	return NULL;
}

static struct kafka_part *add_part(struct kafka_source *k, const char *topic, int32_t partition)
{
	struct kafka_part *part;

	k->part = more(k->part, k->parts + 1, sizeof(*k->part));
	part = &k->part[k->parts++];
	*part = (struct kafka_part){ .topic = strdup(topic), .partition = partition, .begin = -1, .end = -1 };
	if (!part->topic)
		no_memory();
	return part;
}

/* The ring has room for some positions of each partition; it is never made smaller. */
static void make_room(struct kafka_source *k)
{
	uint32_t room = KAFKA_POSITIONS + 4 * k->parts;
	struct kafka_position *ring;

	if (room <= k->room)
		return;
	ring = more(NULL, room, sizeof(*ring));
	for (uint64_t i = k->head; i < k->tail; i++)
		ring[i % room] = k->ring[i % k->room];
	free(k->ring);
	k->ring = ring;
	k->room = room;
}

static void forget_hash(struct kafka_source *k)
{
	uint32_t size = 16;

	while (size < 4 * k->parts)
		size *= 2;
	if (size > k->hashed) {
		k->hash = more(k->hash, size, sizeof(*k->hash));
		k->hashed = size;
	}
	memset(k->hash, 0, k->hashed * sizeof(*k->hash));
	k->last = UINT32_MAX;
	for (uint32_t i = 0; i < k->parts; i++)
		k->part[i].rkt = NULL;
}

static void count_assigned(struct kafka_source *k)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < k->parts; i++)
		n += k->part[i].assigned;
	k->assigned = n;
}

void kafka_parts_take(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		struct kafka_part *part = find_part(k, list->elems[i].topic, list->elems[i].partition);

		if (!part)
			part = add_part(k, list->elems[i].topic, list->elems[i].partition);
		part->generation++;
		part->assigned = true;
		part->going = part->paused = part->dirty = part->done = false;
		part->settled = part->next = -1;
		part->mark = 0;
		part->waiting = 0;
	}
	make_room(k);
	forget_hash(k);
	count_assigned(k);
}

struct kafka_part *kafka_part_of(struct kafka_source *k, const rd_kafka_message_t *m)
{
	struct kafka_part *part = k->last < k->parts ? &k->part[k->last] : NULL;
	uint32_t at;

	if (part && part->rkt == m->rkt && part->partition == m->partition)
		return part->assigned && !part->going ? part : NULL;
	at = (uint32_t)((uintptr_t)m->rkt >> 4) * 31 + (uint32_t)m->partition * 2654435761u;
	for (; k->hashed && k->hash[at & (k->hashed - 1)]; at++) {
		part = &k->part[k->hash[at & (k->hashed - 1)] - 1];
		if (part->rkt == m->rkt && part->partition == m->partition)
			break;
	}
	if (!k->hashed || !k->hash[at & (k->hashed - 1)]) {
		part = find_part(k, kafka.topic_name(m->rkt), m->partition);
		if (!part || part->rkt)		/* not ours, or named anew: librdkafka has made another handle */
			return part && part->assigned && !part->going ? part : NULL;
		part->rkt = m->rkt;
		k->hash[at & (k->hashed - 1)] = (uint32_t)(part - k->part) + 1;
	}
	k->last = (uint32_t)(part - k->part);
	return part->assigned && !part->going ? part : NULL;
}

/* ---- positions --------------------------------------------------------------------------------------- */

static struct kafka_position *position(struct kafka_source *k, uint64_t i)
{
	return &k->ring[i % k->room];
}

/* A position leaves the ring without a word, because a later one of its partition says more. */
static void drop_position(struct kafka_source *k, const struct kafka_position *p)
{
	struct kafka_part *part = &k->part[p->part];

	if (part->generation == p->generation)
		part->waiting--;
}

/*
 * The ring is full: of its newer half only the last position of each partition stays, and is settled with the newest
 * mark. Later than it could be, never too early.
 */
static void coarsen(struct kafka_source *k)
{
	uint64_t from = k->head + (k->tail - k->head) / 2, to = k->tail, mark = position(k, to - 1)->mark;

	for (uint32_t i = 0; i < k->parts; i++)
		k->part[i].entry = UINT64_MAX;
	for (uint64_t i = from; i < to; i++) {
		struct kafka_position p = *position(k, i);
		struct kafka_part *part = &k->part[p.part];

		if (part->generation != p.generation)
			continue;
		if (part->entry == UINT64_MAX) {
			part->entry = from;
			part->mark = mark;
			p.mark = mark;
			*position(k, from++) = p;
		} else {
			drop_position(k, &p);
			position(k, part->entry)->offset = p.offset;
		}
	}
	k->tail = from;
}

void kafka_position_read(struct kafka_source *k, struct kafka_part *part, int64_t offset, uint64_t mark)
{
	part->next = offset + 1;
	if (part->mark == mark && part->waiting) {
		position(k, part->entry)->offset = offset + 1;
		return;
	}
	if (k->tail - k->head == k->room)
		coarsen(k);
	part->mark = mark;
	part->entry = k->tail++;
	part->waiting++;
	*position(k, part->entry) =
		(struct kafka_position){ mark, offset + 1, (uint32_t)(part - k->part), part->generation };
}

/* What is settled and not stored yet; NULL: nothing. */
static rd_kafka_topic_partition_list_t *dirty(struct kafka_source *k)
{
	rd_kafka_topic_partition_list_t *list = NULL;

	for (uint32_t i = 0; i < k->parts; i++) {
		struct kafka_part *part = &k->part[i];

		if (!part->dirty || !part->assigned)
			continue;
		part->dirty = false;
		if (!list)
			list = kafka.topic_partition_list_new(4);
		kafka.topic_partition_list_add(list, part->topic, part->partition)->offset = part->settled;
	}
	return list;
}

void kafka_position_settle(struct kafka_source *k, uint64_t mark)
{
	rd_kafka_topic_partition_list_t *list;

	for (; k->head < k->tail && position(k, k->head)->mark <= mark; k->head++) {
		const struct kafka_position *p = position(k, k->head);
		struct kafka_part *part = &k->part[p->part];

		if (part->generation != p->generation || !part->assigned)
			continue;
		part->waiting--;
		part->settled = p->offset;
		part->dirty = true;
	}
	k->waiting = k->tail - k->head;
	list = k->commits ? dirty(k) : NULL;
	if (!list)
		return;
	crash_point("kafka.store.before");
	/* A partition that was lost meanwhile says so by itself; it is read again by whoever has it now. */
	kafka.offsets_store(k->rk, list);
	crash_point("kafka.store.after");
	kafka.topic_partition_list_destroy(list);
}

void kafka_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka_source *k = opaque;

	(void)rk;
	crash_point("kafka.committed");
	for (int i = 0; list && !err && i < list->cnt; i++)
		err = list->elems[i].err;
	if (!err || err == RD_KAFKA_RESP_ERR__NO_OFFSET)
		return;
	k->commit_errors++;
	if (log_due(&k->commit_said_ms, LOG_KAFKA_MS))
		log_warn("%s: offsets were not committed: %s; what they stand for may be read twice", k->uri.shown,
			 kafka.err2str(err));
}

/* The answer to the commit that somebody waits for. */
static void answered(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	bool *done = opaque;

	*done = true;
	kafka_committed(rk, err, list, kafka.opaque(rk));
}

void kafka_commit_now(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
	int64_t until = clock_ms() + KAFKA_COMMIT_MS;
	rd_kafka_queue_t *queue = kafka.queue_new(k->rk);
	bool done = false;
	rd_kafka_resp_err_t err = kafka.commit_queue(k->rk, list, queue, answered, &done);

	while (!err && !done && clock_ms() < until)
		kafka.queue_poll_callback(queue, 50);
	kafka.queue_destroy(queue);
	if (!done)
		kafka_committed(k->rk, err ? err : RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, k);
}

/* ---- taken away -------------------------------------------------------------------------------------- */

/* The assignment without `list` (NULL: all of it). */
static void unassign(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
	if (strcmp(kafka.rebalance_protocol(k->rk), "COOPERATIVE") == 0 && list) {
		rd_kafka_error_t *e = kafka.incremental_unassign(k->rk, list);

		if (e)
			log_warn("%s: %s", k->uri.shown, kafka.error_string(e));
		if (e)
			kafka.error_destroy(e);
	} else {
		kafka.assign(k->rk, NULL);
	}
}

/* From now on nothing is stored for them. */
static void forget(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		struct kafka_part *part = find_part(k, list->elems[i].topic, list->elems[i].partition);

		if (!part)
			continue;
		k->let_go += part->waiting != 0;
		part->generation++;
		part->waiting = 0;
		part->assigned = part->going = part->dirty = false;
	}
	forget_hash(k);
	count_assigned(k);
}

static bool is_waited_for(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		struct kafka_part *part = find_part(k, list->elems[i].topic, list->elems[i].partition);

		if (part && part->waiting)
			return true;
	}
	return false;
}

/* What is settled of the partitions that leave: as long as they are ours. */
static void commit_last(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *last = kafka.topic_partition_list_new(list->cnt);

	for (int i = 0; i < list->cnt; i++) {
		struct kafka_part *part = find_part(k, list->elems[i].topic, list->elems[i].partition);

		if (part && part->settled >= 0)
			kafka.topic_partition_list_add(last, part->topic, part->partition)->offset = part->settled;
	}
	if (last->cnt && !kafka.assignment_lost(k->rk)) {
		crash_point("kafka.commit.last");
		kafka_commit_now(k, last);
	}
	kafka.topic_partition_list_destroy(last);
}

void kafka_serve_going(struct kafka_source *k, int64_t now_ms)
{
	rd_kafka_topic_partition_list_t *list = k->going;

	if (!list || (now_ms < k->going_until && is_waited_for(k, list) && !kafka.assignment_lost(k->rk)))
		return;
	k->going = NULL;
	if (k->commits)
		commit_last(k, list);
	kafka_resume(k);		/* a pause would outlive the assignment */
	forget(k, list);
	crash_point("kafka.unassign");
	unassign(k, list);
	kafka.topic_partition_list_destroy(list);
}

static void take_away(struct kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		struct kafka_part *part = find_part(k, list->elems[i].topic, list->elems[i].partition);

		if (part)
			part->going = true;
	}
	if (k->going)
		kafka.topic_partition_list_destroy(k->going);
	k->going = kafka.topic_partition_list_copy(list);
	k->going_until = clock_ms() + (k->closing ? 0 : (int64_t)k->drain_ms);
	kafka_serve_going(k, k->closing ? INT64_MAX : clock_ms());
}

static void give(struct kafka_source *k, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_error_t *e = NULL;

	kafka_parts_take(k, list);
	crash_point("kafka.assign");
	if (strcmp(kafka.rebalance_protocol(k->rk), "COOPERATIVE") == 0)
		e = kafka.incremental_assign(k->rk, list);
	else
		kafka.assign(k->rk, list);
	if (e) {
		log_warn("%s: %s", k->uri.shown, kafka.error_string(e));
		kafka.error_destroy(e);
	}
}

void kafka_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka_source *k = opaque;

	(void)rk;
	k->rebalances++;
	crash_point("kafka.rebalance");
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !k->closing) {
		log_debug("%s: %d partitions are given", k->uri.shown, list->cnt);
		give(k, list);
		return;
	}
	log_debug("%s: %d partitions are taken away", k->uri.shown, list->cnt);
	if (err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
		take_away(k, list);
	else
		unassign(k, NULL);
}

/* ---- pauses ------------------------------------------------------------------------------------------ */

/* Only those that are not so already: to resume what was never paused takes a partition back (librdkafka #4686). */
static void set_pause(struct kafka_source *k, bool pause)
{
	rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new(4);

	for (uint32_t i = 0; i < k->parts; i++) {
		struct kafka_part *part = &k->part[i];

		if (!part->assigned || part->paused == pause || (pause && part->going))
			continue;
		part->paused = pause;
		kafka.topic_partition_list_add(list, part->topic, part->partition);
	}
	if (list->cnt && pause)
		kafka.pause_partitions(k->rk, list);
	else if (list->cnt)
		kafka.resume_partitions(k->rk, list);
	k->pausing = pause ? k->pausing + (uint64_t)list->cnt : 0;
	kafka.topic_partition_list_destroy(list);
}

void kafka_pause(struct kafka_source *k)
{
	k->paused = true;
	set_pause(k, true);
}

void kafka_resume(struct kafka_source *k)
{
	if (!k->paused)
		return;
	k->paused = false;
	set_pause(k, false);
}

/* ---- numbers ----------------------------------------------------------------------------------------- */

void kafka_measure(struct kafka_source *k)
{
	uint64_t lag = 0;

	for (uint32_t i = 0; i < k->parts; i++) {
		const struct kafka_part *part = &k->part[i];
		int64_t low, high, at = part->settled >= 0 ? part->settled : part->next;

		if (!part->assigned || at < 0 ||
		    kafka.get_watermark_offsets(k->rk, part->topic, part->partition, &low, &high) != 0)
			continue;
		lag += high > at ? (uint64_t)(high - at) : 0;
	}
	k->lag = lag;
}

void kafka_parts_free(struct kafka_source *k)
{
	for (uint32_t i = 0; i < k->parts; i++)
		free(k->part[i].topic);
	free(k->part);
	free(k->hash);
	free(k->ring);
	if (k->going)
		kafka.topic_partition_list_destroy(k->going);
}
