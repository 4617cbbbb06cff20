/*
 * tests/kafka_tool.c - what the tests ask of a Kafka cluster, without a JVM's two seconds a question.
 *
 *   kafka_tool BROKERS [-X PROPERTY=VALUE]... COMMAND
 *     create TOPIC PARTITIONS REPLICATION     grow TOPIC PARTITIONS        cut TOPIC PARTITION OFFSET
 *     committed GROUP TOPIC      `PARTITION OFFSET` a line; -1001: none
 *     ends TOPIC                 `PARTITION LOW HIGH` a line
 *     leaders TOPIC              `PARTITION BROKER` a line
 *     allow USER TOPIC|- GROUP|- may read them
 *     members GROUP              how many there are, and its state
 *     empty TOPIC PARTITION      writes a message of no bytes, and one without a body
 *     at TOPIC MS LINE           writes a message of that time
 *     count TOPIC                reads it to its end: `MESSAGES BYTES CPU_S WALL_S` from the first message on
 *     share TOPIC FIRST LAST     reads these partitions from their beginnings until it is killed: prints `S MESSAGES`
 *                                every 20 ms in which some came, S by the monotonic clock
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MS 20000

static rd_kafka_t *rk;
static const char *brokers;
static char text[512];

static void die(const char *what, const char *why)
{
	fprintf(stderr, "kafka_tool: %s: %s\n", what, why);
	exit(1);
}

static void check(const char *what, rd_kafka_resp_err_t err)
{
	if (err)
		die(what, rd_kafka_err2str(err));
}

/* The answer to an admin request. */
static rd_kafka_event_t *answer(rd_kafka_queue_t *q, const char *what)
{
	rd_kafka_event_t *e = rd_kafka_queue_poll(q, MS);

	if (!e)
		die(what, "no answer");
	if (rd_kafka_event_error(e))
		die(what, rd_kafka_event_error_string(e));
	return e;
}

static void topic_answer(const rd_kafka_topic_result_t **r, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (rd_kafka_topic_result_error(r[i]))
			die(what, rd_kafka_topic_result_error_string(r[i]));
}

static void create(rd_kafka_queue_t *q, char **a)
{
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(a[0], atoi(a[1]), atoi(a[2]), text, sizeof(text));
	size_t n;

	rd_kafka_CreateTopics(rk, &t, 1, NULL, q);
	topic_answer(rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer(q, "create")), &n), 1,
		     "create");
}

static void grow(rd_kafka_queue_t *q, char **a)
{
	rd_kafka_NewPartitions_t *t = rd_kafka_NewPartitions_new(a[0], (size_t)atoi(a[1]), text, sizeof(text));
	size_t n;

	rd_kafka_CreatePartitions(rk, &t, 1, NULL, q);
	topic_answer(rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(answer(q, "grow")), &n),
		     1, "grow");
}

static void cut(rd_kafka_queue_t *q, char **a)
{
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	rd_kafka_DeleteRecords_t *d;

	rd_kafka_topic_partition_list_add(l, a[0], atoi(a[1]))->offset = atoll(a[2]);
	d = rd_kafka_DeleteRecords_new(l);
	rd_kafka_DeleteRecords(rk, &d, 1, NULL, q);
	l = (rd_kafka_topic_partition_list_t *)(uintptr_t)rd_kafka_DeleteRecords_result_offsets(
		rd_kafka_event_DeleteRecords_result(answer(q, "cut")));
	check("cut", l->elems[0].err);
}

static void allow_one(rd_kafka_queue_t *q, const char *user, rd_kafka_ResourceType_t type, const char *name)
{
	char who[128];
	rd_kafka_AclBinding_t *b;

	snprintf(who, sizeof(who), "User:%s", user);
	b = rd_kafka_AclBinding_new(type, name, RD_KAFKA_RESOURCE_PATTERN_LITERAL, who, "*", RD_KAFKA_ACL_OPERATION_READ,
				    RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof(text));
	rd_kafka_CreateAcls(rk, &b, 1, NULL, q);
	answer(q, "allow");
}

static void allow(rd_kafka_queue_t *q, char **a)
{
	if (strcmp(a[1], "-"))
		allow_one(q, a[0], RD_KAFKA_RESOURCE_TOPIC, a[1]);
	if (strcmp(a[2], "-"))
		allow_one(q, a[0], RD_KAFKA_RESOURCE_GROUP, a[2]);
}

static const rd_kafka_metadata_t *metadata(const char *topic)
{
	const rd_kafka_metadata_t *m;

	check(topic, rd_kafka_metadata(rk, 0, rd_kafka_topic_new(rk, topic, NULL), &m, MS));
	check(topic, m->topics[0].err);
	return m;
}

static void ends(rd_kafka_queue_t *q, char **a)
{
	const rd_kafka_metadata_t *m = metadata(a[0]);

	(void)q;
	for (int i = 0; i < m->topics[0].partition_cnt; i++) {
		int64_t low, high;

		check("ends", rd_kafka_query_watermark_offsets(rk, a[0], i, &low, &high, MS));
		printf("%d %lld %lld\n", i, (long long)low, (long long)high);
	}
}

static void leaders(rd_kafka_queue_t *q, char **a)
{
	const rd_kafka_metadata_t *m = metadata(a[0]);

	(void)q;
	for (int i = 0; i < m->topics[0].partition_cnt; i++)
		printf("%d %d\n", m->topics[0].partitions[i].id, m->topics[0].partitions[i].leader);
}

static void committed(rd_kafka_queue_t *q, char **a)
{
	const rd_kafka_metadata_t *m = metadata(a[1]);
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);

	(void)q;
	for (int i = 0; i < m->topics[0].partition_cnt; i++)
		rd_kafka_topic_partition_list_add(l, a[1], i);
	check("committed", rd_kafka_committed(rk, l, MS));
	for (int i = 0; i < l->cnt; i++)
		printf("%d %lld\n", l->elems[i].partition, (long long)l->elems[i].offset);
}

static void members(rd_kafka_queue_t *q, char **a)
{
	const struct rd_kafka_group_list *l;

	(void)q;
	check("members", rd_kafka_list_groups(rk, a[0], &l, MS));
	printf("%d %s\n", l->group_cnt ? l->groups[0].member_cnt : 0, l->group_cnt ? l->groups[0].state : "");
}

static void empty(rd_kafka_queue_t *q, char **a)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	rd_kafka_t *p;
	rd_kafka_topic_t *t;

	(void)q;
	rd_kafka_conf_set(c, "bootstrap.servers", brokers, NULL, 0);
	p = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
	t = rd_kafka_topic_new(p, a[0], NULL);
	rd_kafka_produce(t, atoi(a[1]), RD_KAFKA_MSG_F_COPY, text, 0, NULL, 0, NULL);
	rd_kafka_produce(t, atoi(a[1]), 0, NULL, 0, "k", 1, NULL);
	check("empty", rd_kafka_flush(p, MS));
}

static void at(rd_kafka_queue_t *q, char **a)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	rd_kafka_t *p;

	(void)q;
	rd_kafka_conf_set(c, "bootstrap.servers", brokers, NULL, 0);
	p = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
	check("at", rd_kafka_producev(p, RD_KAFKA_V_TOPIC(a[0]), RD_KAFKA_V_TIMESTAMP(atoll(a[1])),
				      RD_KAFKA_V_VALUE(a[2], strlen(a[2])), RD_KAFKA_V_END));
	check("at", rd_kafka_flush(p, MS));
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Every partition from its beginning to its end, and nothing else: the yardstick. */
static void count(rd_kafka_queue_t *q, char **a)
{
	const rd_kafka_metadata_t *m = metadata(a[0]);
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	unsigned long long messages = 0, bytes = 0;
	int open = m->topics[0].partition_cnt;
	double from = 0;

	(void)q;
	for (int i = 0; i < open; i++)
		rd_kafka_topic_partition_list_add(l, a[0], i)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_poll_set_consumer(rk);
	check("assign", rd_kafka_assign(rk, l));
	while (open) {
		rd_kafka_message_t *got = rd_kafka_consumer_poll(rk, 100);

		if (!got)
			continue;
		if (got->err) {
			open -= got->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
		} else {
			from = messages++ ? from : now();
			bytes += got->len;
		}
		rd_kafka_message_destroy(got);
	}
	printf("%llu %llu %.3f %.3f\n", messages, bytes, cpu(), now() - from);
	fflush(stdout);
	_Exit(0);
}

/* A share of the topic: what members of a group could do if they did nothing. */
static void share(rd_kafka_queue_t *q, char **a)
{
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	unsigned long long messages = 0, said = 0;
	double due = 0;

	(void)q;
	for (int i = atoi(a[1]); i <= atoi(a[2]); i++)
		rd_kafka_topic_partition_list_add(l, a[0], i)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_poll_set_consumer(rk);
	check("assign", rd_kafka_assign(rk, l));
	for (;;) {
		rd_kafka_message_t *got = rd_kafka_consumer_poll(rk, 20);

		if (got && !got->err)
			messages++;
		if (got)
			rd_kafka_message_destroy(got);
		if ((got && messages % 256) || messages == said || now() < due)
			continue;
		said = messages;
		due = now() + 0.02;
		printf("%.6f %llu\n", now(), messages);
		fflush(stdout);
	}
}

static const struct {
	const char *name;
	int arguments;
	void (*run)(rd_kafka_queue_t *q, char **a);
} commands[] = {
	{ "create", 3, create },   { "grow", 2, grow },	      { "cut", 3, cut },       { "committed", 2, committed },
	{ "ends", 1, ends },	   { "leaders", 1, leaders }, { "allow", 3, allow },   { "members", 1, members },
	{ "count", 1, count },	   { "empty", 2, empty },
	{ "share", 3, share },	   { "at", 3, at },
};

static void connect_to(char ***argv, const char *group)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();

	rd_kafka_conf_set(c, "bootstrap.servers", brokers, NULL, 0);
	rd_kafka_conf_set(c, "group.id", group, NULL, 0);
	rd_kafka_conf_set(c, "enable.partition.eof", "true", NULL, 0);
	rd_kafka_conf_set(c, "enable.auto.commit", "false", NULL, 0);
	for (; **argv && strcmp(**argv, "-X") == 0; *argv += 2) {
		char *value = strchr((*argv)[1], '=');

		*value++ = '\0';
		if (rd_kafka_conf_set(c, (*argv)[1], value, text, sizeof(text)))
			die("-X", text);
	}
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, text, sizeof(text));
	if (!rk)
		die(brokers, text);
}

int main(int argc, char **argv)
{
	char **a = argv + 2, *group = "kafka_tool";

	for (int i = 2; i + 1 < argc; i++)
		if (strcmp(argv[i], "committed") == 0)
			group = argv[i + 1];
	if (argc < 3)
		die("expected", "BROKERS COMMAND");
	brokers = argv[1];
	connect_to(&a, group);
	for (size_t i = 0; *a && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, *a) == 0 && argc - (int)(a - argv) == commands[i].arguments + 1) {
			commands[i].run(rd_kafka_queue_new(rk), a + 1);
			fflush(stdout);
			_Exit(0);
		}
	die(*a ? *a : "?", "no such command");
}
