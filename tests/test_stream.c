/* ingest/stitch.c, frame_stream, ingest/address.c, and what a reload does with certificates. */
#include "core/stop.h"
#include "ingest/address.h"
#include "ingest/live.h"
#include "ingest/stitch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum framing stream(const char *text, bool last)
{
	return frame_stream(text, strlen(text), last);
}

static void the_first_bytes_tell_the_framing(void **state)
{
	(void)state;
	assert_int_equal(stream("<", false), FRAMING_LINES);
	assert_int_equal(stream("1", false), FRAMING_UNKNOWN);
	assert_int_equal(stream("12 ", false), FRAMING_UNKNOWN);
	assert_int_equal(stream("12 <", false), FRAMING_COUNTED);
	assert_int_equal(stream("192.0.2.1:", false), FRAMING_LINES);
	assert_int_equal(stream("0", false), FRAMING_UNKNOWN);
	assert_int_equal(stream("0 <", false), FRAMING_LINES);
	assert_int_equal(stream("1234567", false), FRAMING_LINES);
	assert_int_equal(stream("__CURS", false), FRAMING_UNKNOWN);
	assert_int_equal(stream("__CURSOR=", false), FRAMING_EXPORT);
	assert_int_equal(stream("__CURS", true), FRAMING_LINES);
	assert_int_equal(stream("1", true), FRAMING_LINES);
}

static void a_count_without_a_pri_is_one_if_no_line_ends_in_it(void **state)
{
	(void)state;
	assert_int_equal(stream("5 hel", false), FRAMING_UNKNOWN);
	assert_int_equal(stream("5 hello", false), FRAMING_COUNTED);
	assert_int_equal(stream("5 hello6 world!", false), FRAMING_COUNTED);
	assert_int_equal(stream("5 hello world\n", false), FRAMING_LINES);
	assert_int_equal(stream("200 GET /\n", false), FRAMING_LINES);
	assert_int_equal(stream("200 GET /", true), FRAMING_LINES);
	assert_int_equal(stream("99999 hel", false), FRAMING_LINES);
}

/* Bytes as they come from one read, behind what is carried. */
static void take(struct stitch *s, struct block *b, const char *text, bool ended)
{
	memcpy(b->p + b->len + s->carried, text, strlen(text));
	stitch_take(s, b, strlen(text), ended);
}

static void assert_frames(const struct block *b, const char *expected)
{
	struct frame f[8];
	char text[200] = "";
	size_t at = 0, len = 0;
	uint32_t n = frame_cut(b, &at, f, 8);

	for (uint32_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "[%.*s]", (int)f[i].raw.len, f[i].raw.p);
	assert_string_equal(text, expected);
}

static void streams_share_a_block_where_their_framing_is_the_same(void **state)
{
	struct stitch a = { 0 }, b = { 0 }, c = { 0 };
	struct block block;

	(void)state;
	block_alloc(&block);
	take(&a, &block, "<1>one\n<1>tw", false);
	assert_true(!stitch_fits(&b, &block));		/* it hasn't said yet what it is */
	assert_frames(&block, "[<1>one]");
	block.len = 0;
	take(&b, &block, "<2>B\n<2>no end", false);
	assert_true(stitch_fits(&a, &block));
	take(&a, &block, "o", true);
	assert_true(stitch_fits(&b, &block));
	take(&b, &block, "\n", false);
	assert_frames(&block, "[<2>B][<1>two][<2>no end]");
	take(&c, &(struct block){ .p = block.p }, "5 <3>ab", false);
	assert_int_equal(c.framing, FRAMING_COUNTED);
	assert_true(!stitch_fits(&c, &block));
	block.len = 0;
	take(&c, &block, "8 <3>", true);
	assert_true(block.sole);			/* what came next would be taken for its end */
	assert_frames(&block, "[<3>]");
	stitch_rest(&b);
	assert_int_equal(b.room, 0);
	stitch_free(&a);
	stitch_free(&b);
	stitch_free(&c);
	block_free(&block);
}

static void parameters_are_taken_off(void **state)
{
	struct slice uri = SLICE("tcp://[::1]:5?wait&size=a%2Fb"), rest = slice_skip(uri, 6);
	struct address_param param[] = { { .name = "wait", .flag = true }, { .name = "size" } };
	struct err err = { 0 };
	struct address at;
	char *text, name[ADDRESS_TEXT];

	(void)state;
	assert_true(address_params(uri, &rest, param, 2, &err));
	assert_true(slice_eq(rest, SLICE("[::1]:5")) && param[0].given && param[1].given);
	text = address_text(param[1].value);
	assert_string_equal(text, "a/b");
	free(text);
	assert_true(address_parse(uri, rest, "514", SOCK_STREAM, &at, &err));
	assert_string_equal(address_name(&at.a, name), "[::1]:5");
	assert_true(address_parse(uri, SLICE("127.0.0.1"), "514", SOCK_STREAM, &at, &err));
	assert_string_equal(address_name(&at.a, name), "127.0.0.1:514");
	assert_true(address_parse(uri, SLICE("*:1"), "514", SOCK_STREAM, &at, &err) && at.any);
	assert_int_equal(err.code, EXIT_DONE);
}

/* ---- certificates ------------------------------------------------------------------------------------ */

static void certificate(const char *folder, const char *name)
{
	char command[512];

	snprintf(command, sizeof(command), "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 "
		 "-subj /CN=%s -keyout %s/pem -out %s/cert 2>/dev/null && cat %s/cert >>%s/pem", name, folder, folder, folder, folder);
	assert_int_equal(system(command), 0);
}

static void a_bad_new_certificate_leaves_the_old_one(void **state)
{
	struct live_config config = { .max_connections = 10, .max_line = LINE_MAX_BYTES };
	char folder[] = "/tmp/haspan-test-XXXXXX", uri[200], path[100];
	struct err err = { 0 };
	struct live *live = live_new(&config, &err);

	(void)state;
	assert_non_null(mkdtemp(folder));
	certificate(folder, "one");
	snprintf(path, sizeof(path), "%s/pem", folder);
	snprintf(uri, sizeof(uri), "tls://127.0.0.1:0?cert=%s", path);
	assert_true(live_add(live, slice_str(uri), &err));
	certificate(folder, "two");
	assert_true(live_reload(live, &config, &err));
	assert_int_equal(truncate(path, 10), 0);
	assert_true(!live_reload(live, &config, &err));
	assert_true(err.code == EXIT_CONFIG && strstr(err.where, folder));
	live_free(live);
	unlink(path);
	snprintf(path, sizeof(path), "%s/cert", folder);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_bytes_tell_the_framing),
		cmocka_unit_test(a_count_without_a_pri_is_one_if_no_line_ends_in_it),
		cmocka_unit_test(streams_share_a_block_where_their_framing_is_the_same),
		cmocka_unit_test(parameters_are_taken_off),
		cmocka_unit_test(a_bad_new_certificate_leaves_the_old_one),
	};

	stop_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
