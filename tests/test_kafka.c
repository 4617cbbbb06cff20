/* Kafka's URIs, secrets in files, and how messages are cut: what needs no broker. */
#include "core/kafka_api.h"
#include "ingest/ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* cmocka.h wants these first */
#include <cmocka.h>

static struct err err;

static bool parse(const char *text, struct kafka_uri *u)
{
	err = (struct err){ 0 };
	return kafka_uri_parse(slice_str(text), u, &err);
}

static void a_uri_has_brokers_topics_and_parameters(void **state)
{
	struct kafka_uri u;

	(void)state;
	assert_true(parse("kafka://a:1,b/logs,%5Ex.*?group=g&sasl.password=p%26q%3d&group=h", &u));
	assert_string_equal(u.brokers, "a:1,b");
	assert_string_equal(u.topics, "logs,^x.*");
	assert_string_equal(u.shown, "kafka://a:1,b/logs,%5Ex.*");
	assert_string_equal(kafka_uri_take(&u, "sasl.password"), "p&q=");
	assert_string_equal(kafka_uri_take(&u, "group"), "h");
	assert_null(kafka_uri_take(&u, "grou"));
	assert_true(u.n == 3 && u.v[0].used && u.v[1].used && u.v[2].used);
	kafka_uri_free(&u);
}

static void a_wrong_uri_says_what_was_expected_and_no_secret(void **state)
{
	static const struct { const char *uri, *says; } cases[] = {
		{ "kafka://", "a broker expected" },
		{ "kafka:///t", "a broker expected" },
		{ "kafka://b", "a topic expected" },
		{ "kafka://b/?sasl.password=secret", "a topic expected" },
		{ "kafka://me:secret@b/t", "no user stands here" },
		{ "kafka://b c/t", "HOST:PORT expected" },
		{ "kafka://b/t%4", "two hex digits" },
		{ "kafka://b/t%00", "none is a NUL" },
		{ "kafka://b/t?secret", "a parameter is NAME=VALUE" },
		{ "kafka://b/t?=secret", "a parameter is NAME=VALUE" },
		{ "kafka://b/t?p=secret%zz", "two hex digits" },
	};
	struct kafka_uri u;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(parse(cases[i].uri, &u));
		assert_int_equal(err.code, EXIT_USAGE);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_null(strstr(err.text, "secret"));
		assert_null(strstr(err.quoted, "secret"));
		kafka_uri_free(&u);
	}
}

static const struct kafka_default defaults[] = { { "fetch.wait.max.ms", "7" }, { "group.id", "d" }, { NULL, NULL } };

static void value(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
	char text[64];
	size_t n = sizeof(text);

	assert_int_equal(kafka.conf_get(conf, name, text, &n), RD_KAFKA_CONF_OK);
	assert_string_equal(text, expected);
}

static void the_uri_wins_over_options_and_these_over_defaults(void **state)
{
	static const char *const options[] = { "group.id=o", "client.id=o", NULL };
	struct kafka_uri u;
	rd_kafka_conf_t *conf;

	(void)state;
	assert_true(kafka_load(&err));
	assert_true(parse("kafka://b:1/t?client.id=u", &u));
	conf = kafka_conf(&u, options, defaults, &err);
	assert_non_null(conf);
	value(conf, "fetch.wait.max.ms", "7");
	value(conf, "group.id", "o");
	value(conf, "client.id", "u");
	value(conf, "bootstrap.servers", "b:1");
	kafka.conf_destroy(conf);
	kafka_uri_free(&u);
}

static void a_secret_comes_from_a_file_without_its_last_newline(void **state)
{
	char path[] = "/tmp/haspan-test-XXXXXX", uri[100];
	int fd = mkstemp(path);
	struct kafka_uri u;
	rd_kafka_conf_t *conf;

	(void)state;
	assert_int_equal(write(fd, "geheim \r\n", 9), 9);
	close(fd);
	snprintf(uri, sizeof(uri), "kafka://b/t?sasl.password.file=%s", path);
	assert_true(kafka_load(&err) && parse(uri, &u));
	conf = kafka_conf(&u, NULL, defaults, &err);
	assert_non_null(conf);
	value(conf, "sasl.password", "geheim ");
	kafka.conf_destroy(conf);
	unlink(path);
	err = (struct err){ 0 };
	assert_null(kafka_conf(&u, NULL, defaults, &err));
	assert_int_equal(err.code, EXIT_CONFIG);
	kafka_uri_free(&u);
}

static void what_librdkafka_refuses_is_named_without_its_value(void **state)
{
	static const char *const bad[] = { "kafka://b/t?nosuch=secret", "kafka://b/t?security.protocol=secret" };
	struct kafka_uri u;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_true(kafka_load(&err) && parse(bad[i], &u));
		assert_null(kafka_conf(&u, NULL, defaults, &err));
		assert_int_equal(err.code, EXIT_USAGE);
		assert_null(strstr(err.text, "secret"));
		kafka_uri_free(&u);
	}
}

static void each_message_is_framed_by_itself(void **state)
{
	static const char *const texts[] = { "one", "two\nthree\n", "", "6 <1>abc7 <1>abcd", "\n\n", "last" };
	static const char *const frames[] = { "one", "two", "three", "", "<1>abc", "<1>abcd", "", "", "last" };
	static const int of[] = { 0, 1, 1, 2, 3, 3, 4, 4, 5 };
	char memory[6][BLOCK_PAD * 2 + 32] = { { 0 } };
	struct message m[6] = { 0 };
	struct block b = { .framing = FRAMING_MESSAGES, .message = m, .messages = 6 };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		memcpy(memory[i] + BLOCK_PAD, texts[i], strlen(texts[i]));
		m[i].text = slice_of(memory[i] + BLOCK_PAD, strlen(texts[i]));
		m[i].start = b.len;
		b.len += m[i].text.len + 1;
		frame_boundary(m[i].text.p, m[i].text.len, true, &m[i].framing);
	}
	for (uint32_t max = 1; max < 12; max++) {
		struct frame f[12];
		uint32_t n = 0, got;
		size_t at = 0;

		while ((got = frame_cut(&b, &at, f + n, n + max > 12 ? 12 - n : max)) != 0)
			n += got;
		assert_int_equal(n, 9);
		for (uint32_t i = 0; i < n; i++) {
			assert_true(slice_eq(f[i].raw, slice_str(frames[i])));
			assert_ptr_equal(f[i].message, &m[of[i]]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uri_has_brokers_topics_and_parameters),
		cmocka_unit_test(a_wrong_uri_says_what_was_expected_and_no_secret),
		cmocka_unit_test(the_uri_wins_over_options_and_these_over_defaults),
		cmocka_unit_test(a_secret_comes_from_a_file_without_its_last_newline),
		cmocka_unit_test(what_librdkafka_refuses_is_named_without_its_value),
		cmocka_unit_test(each_message_is_framed_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
