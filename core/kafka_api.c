#include "core/kafka_api.h"

#include "core/limits.h"
#include "core/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* The ABI's name on every Linux; 1.9 brought the last function that is used here. */
#define KAFKA_LIBRARY "librdkafka.so.1"
#define KAFKA_ADVICE "Kafka needs librdkafka 1.9 or later (Debian: apt install librdkafka1)"

struct kafka_api kafka;

/* POSIX makes a function's address fit a `void *`, ISO C has no cast for it: hence the copy. */
static bool find(void *lib, const char *name, void *function, struct err *err)
{
	void *p = dlsym(lib, name);

	if (!p)
		return err_set(err, EXIT_CONFIG, "%s has no %s: %s", KAFKA_LIBRARY, name, KAFKA_ADVICE);
	memcpy(function, &p, sizeof(p));
	return true;
}

bool kafka_load(struct err *err)
{
	static bool loaded;
	void *lib, *lookup;

	if (loaded)
		return true;
	lib = dlopen(KAFKA_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
	if (!lib)
		return err_set(err, EXIT_CONFIG, "%s: %s", KAFKA_ADVICE, dlerror());
#define X(name) \
	if (!find(lib, "rd_kafka_" #name, &kafka.name, err)) \
		return false;
	KAFKA_FUNCTIONS(X)
#undef X
	lookup = dlsym(lib, "rd_kafka_sasl_set_credentials");
	memcpy(&kafka.sasl_set_credentials, &lookup, sizeof(lookup));
	loaded = true;
	return true;
}

/* ---- what it says ------------------------------------------------------------------------------------ */

/* Kinds of messages that are rate-limited apart: a broker that is away must not hide what else there is to say. */
#define KINDS 64

/*
 * librdkafka repeats itself a hundred times a second while a broker is away: each kind of message is said once in
 * LOG_KAFKA_MS. From any of its threads.
 */
static void say(const rd_kafka_t *rk, int level, const char *kind, const char *text)
{
	static _Atomic int64_t said[KINDS];
	uint32_t h = 2166136261u;
	int64_t now = clock_ms(), last;

	(void)rk;
	for (const char *p = kind; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	last = atomic_load(&said[h % KINDS]);
	if (level > 4)
		log_debug("kafka: %s: %s", kind, text);
	else if ((last == 0 || now - last >= LOG_KAFKA_MS) &&
		 atomic_compare_exchange_strong(&said[h % KINDS], &last, now))
		log_warn("kafka: %s", text);
}

/* ---- configuration ----------------------------------------------------------------------------------- */

/* The secret in `path`, without its last newline; owned. */
static char *read_secret(const char *name, const char *path, struct err *err)
{
	char *text = malloc(KAFKA_SECRET_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got, n = 0;

	while (fd >= 0 && text && (got = read(fd, text + n, KAFKA_SECRET_MAX + 1 - (size_t)n)) != 0) {
		if (got < 0 && errno != EINTR) {
			n = -1;
			break;
		}
		n += got > 0 ? got : 0;
		if ((size_t)n > KAFKA_SECRET_MAX)
			break;
	}
	if (fd < 0 || !text || n < 0)
		err_set(err, EXIT_CONFIG, "cannot read %s, which %s names: %m", path, name);
	else if ((size_t)n > KAFKA_SECRET_MAX || memchr(text, '\0', (size_t)n))
		err_set(err, EXIT_CONFIG, "%s, which %s names, is no secret: at most %zu bytes, without a NUL", path,
			name, KAFKA_SECRET_MAX);
	if (fd >= 0)
		close(fd);
	if (err->code != EXIT_DONE) {
		free(text);
		return NULL;
	}
	n -= n && text[n - 1] == '\n';
	n -= n && text[n - 1] == '\r';
	text[n] = '\0';
	return text;
}

/* One property. What librdkafka has to say against it may quote the value: only that of the name is repeated. */
static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
	static const char suffix[] = ".file";
	size_t n = strlen(name);
	char text[256], bare[128], *secret = NULL;
	rd_kafka_conf_res_t res;

	if (n > sizeof(suffix) && n < sizeof(bare) && strcmp(name + n - 5, suffix) == 0) {
		secret = read_secret(name, value, err);
		if (!secret)
			return false;
		memcpy(bare, name, n - 5);
		bare[n - 5] = '\0';
		name = bare;
		value = secret;
	}
	if (strcmp(name, "group") == 0)
		name = "group.id";
	res = kafka.conf_set(conf, name, value, text, sizeof(text));
	if (secret) {
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
	if (res == RD_KAFKA_CONF_UNKNOWN)
		return err_set(err, EXIT_USAGE, "librdkafka %s knows no property %.100s", kafka.version_str(), name);
	if (res != RD_KAFKA_CONF_OK)
		return err_set(err, EXIT_USAGE, "librdkafka does not take this value of %.100s", name);
	return true;
}

/* `name=value` of --kafka. */
static bool set_property(rd_kafka_conf_t *conf, const char *text, struct err *err)
{
	struct slice value = slice_str(text), name = slice_cut(&value, '=');
	char bare[128];

	if (!value.p || name.len == 0 || name.len >= sizeof(bare))
		return err_set(err, EXIT_USAGE, "expected PROPERTY=VALUE") || err_where(err, "--kafka");
	memcpy(bare, name.p, name.len);
	bare[name.len] = '\0';
	return set(conf, bare, value.p, err);
}

rd_kafka_conf_t *kafka_conf(const struct kafka_uri *u, const char *const *properties,
			    const struct kafka_default *defaults, struct err *err)
{
	rd_kafka_conf_t *conf = kafka.conf_new();
	bool ok = set(conf, "client.id", "haspan", err) && set(conf, "log.connection.close", "false", err);

	kafka.conf_set_log_cb(conf, say);
	for (; ok && defaults->name; defaults++)
		ok = set(conf, defaults->name, defaults->value, err);
	for (; ok && properties && *properties; properties++)
		ok = set_property(conf, *properties, err);
	for (unsigned i = 0; ok && i < u->n; i++)
		ok = u->v[i].used || set(conf, u->v[i].name, u->v[i].value, err);
	if (ok && set(conf, "bootstrap.servers", u->brokers, err))
		return conf;
	kafka.conf_destroy(conf);
	return NULL;
}

/* ---- is anybody there? ------------------------------------------------------------------------------- */

/* What waiting does not mend. */
static bool is_denial(int err)
{
	return err == RD_KAFKA_RESP_ERR__AUTHENTICATION || err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
	       err == RD_KAFKA_RESP_ERR__SSL || err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
	       err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
	       err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
	       err == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM || err == RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE ||
	       err == RD_KAFKA_RESP_ERR_INVALID_GROUP_ID || err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION ||
	       err == RD_KAFKA_RESP_ERR__FATAL;
}

void kafka_note(struct kafka_trouble *t, int err, const char *reason)
{
	pthread_mutex_lock(&t->lock);
	/* "All brokers are down" says less than what came before it. */
	if (!t->denied && (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || !t->text[0])) {
		size_t n = strnlen(reason, sizeof(t->text) - 1);

		memcpy(t->text, reason, n);
		t->text[n] = '\0';
		t->denied = is_denial(err) ? err : 0;
	}
	pthread_mutex_unlock(&t->lock);
}

static bool is_denied(struct kafka_trouble *t)
{
	bool denied;

	pthread_mutex_lock(&t->lock);
	denied = t->denied != 0;
	pthread_mutex_unlock(&t->lock);
	return denied;
}

static bool no_answer(const struct kafka_probe *p, struct err *err)
{
	struct kafka_trouble *t = p->trouble;

	pthread_mutex_lock(&t->lock);
	if (t->denied)
		err_set(err, p->code, "the broker refuses: %s", t->text);
	else
		err_set(err, p->code, "no broker answers within %u s%s%s", p->ms / 1000, t->text[0] ? ": " : "",
			t->text);
	pthread_mutex_unlock(&t->lock);
	return err_where(err, "%s", p->shown);
}

/* What the cluster says of the topic; true: it is there. `*again`: it may be soon. */
static bool judge(const struct kafka_probe *p, const struct rd_kafka_metadata *m, const char *topic, bool *again,
		  struct err *err)
{
	rd_kafka_resp_err_t code = m->topic_cnt ? m->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;

	*again = code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR || *again)
		return !*again;
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && p->may_create)
		return true;
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		err_set(err, p->code, "there is no topic %s", topic);
	else
		err_set(err, p->code, "topic %s: %s", topic, kafka.err2str(code));
	return err_where(err, "%s", p->shown);
}

bool kafka_probe(const struct kafka_probe *p, const char *topic, int *partitions, struct err *err)
{
	rd_kafka_topic_t *t = topic ? kafka.topic_new(p->rk, topic, NULL) : NULL;
	int64_t end = clock_ms() + p->ms;
	bool ok = false, again = true;

	while (again && !is_denied(p->trouble) && clock_ms() < end) {
		const struct rd_kafka_metadata *m = NULL;
		rd_kafka_resp_err_t code = kafka.metadata(p->rk, !t, t, &m, KAFKA_PROBE_STEP_MS);

		kafka.poll(p->rk, 0);
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
			/* It says less than what the callback was told, unless it is a refusal. */
			kafka_note(p->trouble, is_denial(code) ? (int)code : RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
				   kafka.err2str(code));
			continue;
		}
		again = false;
		ok = !t || judge(p, m, topic, &again, err);
		if (ok && partitions)
			*partitions = t && m->topic_cnt ? m->topics[0].partition_cnt : 0;
		kafka.metadata_destroy(m);
	}
	if (t)
		kafka.topic_destroy(t);
	return ok || (err->code == EXIT_DONE ? no_answer(p, err) : false);
}
