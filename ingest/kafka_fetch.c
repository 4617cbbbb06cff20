/*
 * ingest/kafka_fetch.c - what keeps librdkafka fetching while it is read, and its memory from being given back and taken
 * anew all the time.
 *
 * When as much is fetched ahead as may be (queued.max.messages.kbytes, queued.min.messages), a broker's thread goes to
 * sleep. Since 2.2 fetch.queue.backoff.ms says for how long; before, it is a second, whatever was read meanwhile, unless
 * something wakes it. At 300 MB/s the queue is empty after a tenth of that.
 */
#include "ingest/kafka_private.h"

#include <malloc.h>

void kafka_keep_memory(void)
{
#ifdef __GLIBC__
	static bool done;

	/*
	 * Answers of brokers are buffers of megabytes, allocated by one thread and freed by another: each would be pages
	 * from the kernel, zeroed there, and given back. So what was used once stays, up to what is fetched ahead.
	 */
	if (done)
		return;
	done = true;
	mallopt(M_MMAP_THRESHOLD, KAFKA_HEAP_PIECE);
	mallopt(M_TRIM_THRESHOLD, KAFKA_HEAP_KEPT);
	mallopt(M_TOP_PAD, KAFKA_HEAP_KEPT);
#endif
}

/*
 * The one call that wakes all of them and does nothing else, if it is told what is so already: credentials count when a
 * connection is made.
 */
static void wake_brokers(struct kafka_source *k)
{
	const rd_kafka_conf_t *conf = kafka.conf(k->rk);
	char user[KAFKA_CREDENTIAL_MAX], password[KAFKA_CREDENTIAL_MAX];
	size_t n = sizeof(user), m = sizeof(password);
	bool has_user = kafka.conf_get(conf, "sasl.username", NULL, &n) == RD_KAFKA_CONF_OK;
	bool has_password = kafka.conf_get(conf, "sasl.password", NULL, &m) == RD_KAFKA_CONF_OK;
	rd_kafka_error_t *e;

	if (n > sizeof(user) || m > sizeof(password))
		return;
	user[0] = password[0] = '\0';
	if (has_user)
		kafka.conf_get(conf, "sasl.username", user, &n);
	if (has_password)
		kafka.conf_get(conf, "sasl.password", password, &m);
	e = kafka.sasl_set_credentials(k->rk, user, password);
	explicit_bzero(password, sizeof(password));
	if (e)
		kafka.error_destroy(e);
}

void kafka_keep_fetching(struct kafka_source *k)
{
	size_t left;

	if (kafka.version() >= KAFKA_QUEUE_BACKOFF || !kafka.sasl_set_credentials)
		return;
	left = kafka.queue_length(k->queue);
	if (left > k->most)
		k->most = left;
	if (left > k->most / 2 || k->most == left)
		return;
	k->most = left;
	wake_brokers(k);
}
