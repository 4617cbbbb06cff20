/*
 * ingest/kafka_range.c - a range of a topic, read once: no membership, no rebalance, and an end.
 */
#include "core/civil.h"
#include "core/log.h"
#include "ingest/kafka_private.h"

#include <time.h>

/* ---- parameters -------------------------------------------------------------------------------------- */

static bool bad(const char *name, const char *expected, struct err *err)
{
	return err_set(err, EXIT_USAGE, "kafka://: parameter %s: expected %s", name, expected);
}

/* `2h`, `30m`, `7d`: so long ago. */
static bool ago(struct slice s, int64_t *ms)
{
	static const struct { char unit; int64_t ms; } units[] = {
		{ 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 },
	};
	struct timespec now;
	uint64_t n;

	for (size_t i = 0; s.len > 1 && i < sizeof(units) / sizeof(units[0]); i++)
		if (s.p[s.len - 1] == units[i].unit && slice_uint(slice_of(s.p, s.len - 1), &n) && n <= 100000) {
			clock_gettime(CLOCK_REALTIME, &now);
			*ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)n * units[i].ms;
			return true;
		}
	return false;
}

/* An RFC 3339 date, seconds or milliseconds since 1970, or how long ago. */
static bool parse_time(struct slice s, int64_t *ms)
{
	int64_t us;
	uint64_t n;
	size_t len;
	bool known;
	int zone;

	if (slice_uint(s, &n) && n < UINT64_C(100000000000000)) {
		*ms = (int64_t)(n < UINT64_C(100000000000) ? n * 1000 : n);
		return true;
	}
	if (civil_iso(s, &len, &us, &zone, &known) && len == s.len) {
		*ms = us / 1000;
		return true;
	}
	return ago(s, ms);
}

static bool parse_offset(struct slice s, int64_t *offset)
{
	uint64_t n;

	if (slice_eq(s, SLICE("beginning")))
		*offset = RD_KAFKA_OFFSET_BEGINNING;
	else if (slice_eq(s, SLICE("end")))
		*offset = RD_KAFKA_OFFSET_END;
	else if (slice_uint(s, &n) && n <= INT64_MAX)
		*offset = (int64_t)n;
	else
		return false;
	return true;
}

bool kafka_range_parse(struct kafka_uri *u, struct kafka_range *r, struct err *err)
{
	static const char time_expected[] = "a time: 2026-11-21T08:00:00Z, seconds since 1970, or 2h (ago)";
	const char *since = kafka_uri_take(u, "since"), *until = kafka_uri_take(u, "until");
	const char *offset = kafka_uri_take(u, "offset"), *partition = kafka_uri_take(u, "partition");
	uint64_t n = 0;

	*r = (struct kafka_range){ .any = since || until || offset || partition, .since_ms = -1, .until_ms = -1,
				   .offset = RD_KAFKA_OFFSET_BEGINNING, .partition = -1 };
	if (since && offset)
		return err_set(err, EXIT_USAGE, "kafka://: since= and offset= are two beginnings: give one");
	if (since && !parse_time(slice_str(since), &r->since_ms))
		return bad("since", time_expected, err);
	if (until && strcmp(until, "end") == 0)
		r->until_ms = INT64_MAX;
	else if (until && !parse_time(slice_str(until), &r->until_ms))
		return bad("until", "end, or a time: 2026-11-21T08:00:00Z, seconds since 1970, or 2h (ago)", err);
	if (offset && !parse_offset(slice_str(offset), &r->offset))
		return bad("offset", "a number, beginning or end", err);
	if (partition && (!slice_uint(slice_str(partition), &n) || n > INT32_MAX))
		return bad("partition", "a number", err);
	if (partition)
		r->partition = (int32_t)n;
	return true;
}

/* ---- offsets ----------------------------------------------------------------------------------------- */

/* The first offsets at or behind `ms`, in `list`; the end where there is none. */
static bool offsets_at(struct kafka_source *k, rd_kafka_topic_partition_list_t *list, int64_t ms, struct err *err)
{
	rd_kafka_resp_err_t code;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = ms;
	code = kafka.offsets_for_times(k->rk, list, KAFKA_PROBE_MS);
	for (int i = 0; !code && i < list->cnt; i++)
		code = list->elems[i].err;
	return !code || err_set(err, EXIT_INPUT, "the offsets of that time are not to be had: %s", kafka.err2str(code));
}

/* Where each partition's range begins and ends. */
static bool find_ends(struct kafka_source *k, const struct kafka_range *r, rd_kafka_topic_partition_list_t *list,
		      struct err *err)
{
	for (int i = 0; i < list->cnt; i++) {
		rd_kafka_topic_partition_t *e = &list->elems[i];
		struct kafka_part *part = &k->part[i];
		int64_t low, high;
		rd_kafka_resp_err_t code =
			kafka.query_watermark_offsets(k->rk, e->topic, e->partition, &low, &high, KAFKA_PROBE_MS);

		if (code)
			return err_set(err, EXIT_INPUT, "%s, partition %d: %s", e->topic, e->partition,
				       kafka.err2str(code));
		part->begin = r->offset >= 0 ? r->offset : r->offset == RD_KAFKA_OFFSET_END ? high : low;
		if (r->since_ms >= 0)
			part->begin = e->offset >= 0 ? e->offset : high;
		if (part->begin < low)
			part->begin = low;
		if (part->begin > high)
			part->begin = high;
		part->end = r->until_ms >= 0 ? high : -1;
	}
	return true;
}

static bool cut_ends(struct kafka_source *k, const struct kafka_range *r, rd_kafka_topic_partition_list_t *list,
		     struct err *err)
{
	if (r->until_ms < 0 || r->until_ms == INT64_MAX)
		return true;
	if (!offsets_at(k, list, r->until_ms, err))
		return false;
	for (int i = 0; i < list->cnt; i++)
		if (list->elems[i].offset >= 0 && list->elems[i].offset < k->part[i].end)
			k->part[i].end = list->elems[i].offset;
	return true;
}

void kafka_range_done(struct kafka_source *k, struct kafka_part *part)
{
	part->done = true;
	k->over = true;
	for (uint32_t i = 0; i < k->parts; i++)
		k->over &= k->part[i].done;
}

/* Leave out what is empty: librdkafka need not ask for it. */
static void begin(struct kafka_source *k, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *wanted = kafka.topic_partition_list_new(list->cnt);
	uint64_t total = 0;

	for (uint32_t i = 0; i < k->parts; i++) {
		struct kafka_part *part = &k->part[i];

		if (part->end >= 0 && part->begin >= part->end) {
			kafka_range_done(k, part);
			continue;
		}
		total += part->end >= 0 ? (uint64_t)(part->end - part->begin) : 0;
		kafka.topic_partition_list_add(wanted, part->topic, part->partition)->offset = part->begin;
	}
	k->total = total;
	if (wanted->cnt)
		kafka.assign(k->rk, wanted);
	kafka.topic_partition_list_destroy(wanted);
}

bool kafka_range_assign(struct kafka_source *k, const struct kafka_range *r, char *const *topics, const int *partitions,
			struct err *err)
{
	rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new(8);
	bool ok = true;

	for (size_t i = 0; topics[i]; i++)
		for (int32_t n = 0; n < partitions[i]; n++)
			if (r->partition < 0 || r->partition == n)
				kafka.topic_partition_list_add(list, topics[i], n);
	if (list->cnt == 0)
		ok = err_set(err, EXIT_INPUT, "no topic has a partition %d", r->partition);
	if (ok) {
		kafka_parts_take(k, list);
		ok = (r->since_ms < 0 || offsets_at(k, list, r->since_ms, err)) && find_ends(k, r, list, err) &&
		     cut_ends(k, r, list, err);
	}
	if (ok)
		begin(k, list);
	kafka.topic_partition_list_destroy(list);
	return ok;
}
