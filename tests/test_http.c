/*
 * The parts of the HTTP sink that need no server: the table of answers, waiting, splitting, URLs,
 * bodies.
 */
#include "export/endpoint.h"
#include "export/gzip.h"
#include "export/reply.h"
#include "export/retry.h"
#include "export/split.h"

#include "export/proto/trace.pb-c.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

static const struct retry_timing timing = RETRY_TIMING_DEFAULT;

/* ---- answers --------------------------------------------------------------------------------- */

static void every_status_has_its_action(void **state)
{
	(void)state;
	for (int status = 0; status < 600; status++) {
		enum answer_action want = ANSWER_REFUSE;

		if (status / 100 == 2)
			want = ANSWER_ACCEPT;
		else if (status == 0 || status == 429 || status == 502 || status == 503 ||
			 status == 504)
			want = ANSWER_RETRY;
		else if (status == 401 || status == 403)
			want = ANSWER_HOLD;
		else if (status == 413)
			want = ANSWER_SPLIT;
		else if (status == 307 || status == 308)
			want = ANSWER_FOLLOW;
		assert_int_equal(retry_action(status), want);
	}
}

static void backoff_doubles_up_to_its_ceiling(void **state)
{
	static const uint32_t ceiling[] = { 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(retry_backoff_ms(&timing, i, ceiling[i]), ceiling[i]);
		assert_int_equal(retry_backoff_ms(&timing, i, ceiling[i] + (uint64_t)1), 0);
		assert_true(retry_backoff_ms(&timing, i, UINT64_MAX) <= ceiling[i]);
	}
	assert_int_equal(retry_backoff_ms(&timing, 4000000000u, 30000), 30000);
}

static void retry_after_is_believed_within_reason(void **state)
{
	static const struct {
		const char *text;
		int64_t date, want;
	} t[] = {
		{ "0", -1, 100 },
		{ "1", -1, 1000 },
		{ " 120 ", -1, 120000 },
		{ "300", -1, 300000 },
		{ "301", -1, 300000 },
		{ "999999999999999999", -1, 300000 },
		{ "99999999999999999999999999", -1, 300000 },
		{ "", -1, -1 },
		{ "-1", -1, -1 },
		{ "+1", -1, -1 },
		{ "1.5", -1, -1 },
		{ "1 2", -1, -1 },
		{ "soon", -1, -1 },
		{ "Fri, 31 Dec 1999 23:59:59 GMT", 1010, 10000 },
		{ "Fri, 31 Dec 1999 23:59:59 GMT", 1000, 100 },
		{ "Fri, 31 Dec 1999 23:59:59 GMT", 999, -1 },
		{ "Fri, 31 Dec 1999 23:59:59 GMT", -1, -1 },
		{ "Fri, 31 Dec 1999 23:59:59 GMT", INT64_MAX, 300000 },
		{ "Friday, 31-Dec-99 23:59:59 GMT", 1010, 10000 },
		{ "Fri Dec 31 23:59:59 1999", 1010, 10000 },
		/* A library may read a date into these; they are none. */
		{ "20", 1010, 20000 },
		{ "-5", 1010, -1 },
		{ "19991231", 1010, 300000 },
		{ "Dec 31", 1010, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(retry_after_ms(&timing, slice_str(t[i].text), t[i].date, 1000),
				 t[i].want);
}

/* ---- splitting ------------------------------------------------------------------------------- */

/*
 * A request as text: a letter is a span of the trace of that name, `/` begins a scope, `|` a
 * resource. It is written here by hand, field by field, so that the test does not lean on what it
 * tests.
 */
static void put_field(struct buf *out, unsigned field, struct slice s)
{
	assert_true(field < 16 && s.len < 16384);
	buf_char(out, (char)(field << 3 | 2));
	buf_char(out, (char)((s.len & 127) | 128));
	buf_char(out, (char)(s.len >> 7));
	buf_slice(out, s);
}

static void put_spans(struct buf *out, struct slice names)
{
	for (size_t i = 0; i < names.len; i++) {
		struct buf span = { .max = 4096 };
		char id[16] = { names.p[i] };

		put_field(&span, 1, slice_of(id, sizeof(id)));
		put_field(&span, 2, SLICE("12345678"));
		put_field(&span, 5, slice_of(&names.p[i], 1));
		put_field(out, 2, slice_of(span.p, span.len));
		buf_free(&span);
	}
}

static void put_request(struct buf *out, struct slice rest)
{
	while (rest.p) {
		struct slice scopes = slice_cut(&rest, '|');
		struct buf rs = { .max = 16384 };

		/* dropped_attributes_count, and a field that is not in our .proto. */
		put_field(&rs, 1, SLICE("\x10\x07\x1a\x01x"));
		while (scopes.p) {
			struct buf ss = { .max = 16384 };

			put_field(&ss, 1, SLICE("\x0a\x06haspan"));
			put_spans(&ss, slice_cut(&scopes, '/'));
			put_field(&rs, 2, slice_of(ss.p, ss.len));
			buf_free(&ss);
		}
		put_field(&rs, 3, SLICE("url"));
		put_field(out, 1, slice_of(rs.p, rs.len));
		buf_free(&rs);
	}
}

static void read_resource(const Otlp__ResourceSpans *rs, struct buf *out)
{
	assert_int_equal(rs->resource->dropped_attributes_count, 7);
	assert_int_equal(rs->resource->base.n_unknown_fields, 1);
	assert_string_equal(rs->schema_url, "url");
	for (size_t i = 0; i < rs->n_scope_spans; i++) {
		assert_string_equal(rs->scope_spans[i]->scope->name, "haspan");
		if (i)
			buf_char(out, '/');
		for (size_t n = 0; n < rs->scope_spans[i]->n_spans; n++) {
			assert_int_equal(rs->scope_spans[i]->spans[n]->trace_id.len, 16);
			buf_char(out, rs->scope_spans[i]->spans[n]->name[0]);
		}
	}
}

static uint64_t letters(const char *text)
{
	uint64_t n = 0;

	for (; *text; text++)
		n += *text >= 'a' && *text <= 'z';
	return n;
}

static void assert_reads(const struct buf *in, const char *want, uint64_t spans)
{
	Otlp__ExportTraceServiceRequest *q = otlp__export_trace_service_request__unpack(
		NULL, in->len, (const uint8_t *)in->p);
	struct buf got = { .max = 4096 };

	assert_non_null(q);
	for (size_t i = 0; i < q->n_resource_spans; i++) {
		if (i)
			buf_char(&got, '|');
		read_resource(q->resource_spans[i], &got);
	}
	buf_char(&got, '\0');
	assert_string_equal(got.p, want);
	assert_int_equal(spans, letters(want));
	buf_free(&got);
	otlp__export_trace_service_request__free_unpacked(q, NULL);
}

static const struct {
	const char *whole, *head, *tail;
} splits[] = {
	{ "aaabbb", "aaa", "bbb" },
	{ "ab", "a", "b" },
	{ "aaaaab", "aaaaa", "b" },
	{ "abbbbb", "a", "bbbbb" },
	{ "aabbccdd", "aabb", "ccdd" },
	{ "abcdefg", "abc", "defg" },
	{ "aba", "a", "ba" },
	{ "aa/bb", "aa", "bb" },
	{ "aa|bb", "aa", "bb" },
	{ "aa/bb/cc|dd", "aa/bb", "cc|dd" },
	{ "aa|bb/cc/dd", "aa|bb", "cc/dd" },
	{ "a|bbbccc", "a|bbb", "ccc" },
	{ "aabb/cc", "aa", "bb/cc" },
	{ "aabbcccc/d|e", "aabb", "cccc/d|e" },
	{ "aa|abb", "aa|a", "bb" },
	/* With empty scopes: never made, and no reason to fall over. */
	{ "/ab", "/a", "b" },
	{ "a|/|b", "a|/", "b" },
	{ "ab/", "a", "b/" },
};

static void a_request_is_cut_between_traces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
		struct buf in = { .max = 65536 }, head = { .max = 65536 }, tail = { .max = 65536 };
		uint64_t in_head, in_tail;

		put_request(&in, slice_str(splits[i].whole));
		assert_true(
			split_protobuf(slice_of(in.p, in.len), &head, &tail, &in_head, &in_tail));
		assert_reads(&head, splits[i].head, in_head);
		assert_reads(&tail, splits[i].tail, in_tail);
		buf_free(&in);
		buf_free(&head);
		buf_free(&tail);
	}
}

/*
 * The same text as OTLP JSON, with what is easily lost on the way: NUL, UTF-8, numbers, unknown
 * members.
 */
static char *json_request(struct slice rest)
{
	struct buf out = { .max = 65536 };

	buf_lit(&out, "{\"resourceSpans\":[");
	while (rest.p) {
		struct slice scopes = slice_cut(&rest, '|');

		buf_lit(&out, "{\"resource\":{\"a\":\"\\u0000\xc3\xa9\"},\"scopeSpans\":[");
		while (scopes.p) {
			struct slice spans = slice_cut(&scopes, '/');

			buf_lit(&out, "{\"scope\":{\"name\":\"haspan\"},\"spans\":[");
			for (size_t i = 0; i < spans.len; i++) {
				buf_lit(&out, "{\"traceId\":\"");
				buf_char(&out, spans.p[i]);
				buf_lit(&out,
					"\",\"kind\":1,\"x\":{\"doubleValue\":0.1},\"y\":\"7\"},");
			}
			out.len--;
			buf_slice(&out, scopes.p ? SLICE("]},") : SLICE("]}"));
		}
		buf_slice(&out, rest.p ? SLICE("],\"schemaUrl\":\"u\"},")
				       : SLICE("],\"schemaUrl\":\"u\"}"));
	}
	buf_lit(&out, "]}");
	buf_char(&out, '\0');
	return out.p;
}

static void assert_same_json(struct buf *got, const char *text)
{
	char *want = json_request(slice_str(text));

	buf_char(got, '\0');
	/* A double has 17 digits after a round trip, which is the same number. */
	for (char *p; (p = strstr(got->p, "0.10000000000000001"));)
		memmove(p + 3, p + 19, strlen(p + 19) + 1);
	assert_string_equal(got->p, want);
	free(want);
	buf_free(got);
}

static void json_is_cut_between_traces(void **state)
{
	(void)state;
	for (size_t i = 0; splits[i].whole[0] != '/'; i++) {
		struct buf head = { .max = 65536 }, tail = { .max = 65536 };
		char *in = json_request(slice_str(splits[i].whole));
		uint64_t in_head, in_tail;

		assert_true(split_json(slice_str(in), &head, &tail, &in_head, &in_tail));
		assert_int_equal(in_head, letters(splits[i].head));
		assert_int_equal(in_tail, letters(splits[i].tail));
		assert_same_json(&head, splits[i].head);
		assert_same_json(&tail, splits[i].tail);
		free(in);
	}
}

static void what_cannot_be_cut_is_left_alone(void **state)
{
	static const char *const whole[] = { "", "a", "aaaa", "aa/aa", "aa|aa/a" };
	struct buf head = { .max = 4096 }, tail = { .max = 4096 };
	uint64_t in_head = 7, in_tail = 8;

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		struct buf in = { .max = 65536 };

		put_request(&in, slice_str(whole[i]));
		assert_false(
			split_protobuf(slice_of(in.p, in.len), &head, &tail, &in_head, &in_tail));
		buf_free(&in);
	}
	assert_false(split_protobuf(SLICE("nonsense"), &head, &tail, &in_head, &in_tail));
	assert_false(split_json(SLICE("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}]}]}]}"),
				&head, &tail, &in_head, &in_tail));
	assert_false(split_json(SLICE("{\"resourceSpans\":7}"), &head, &tail, &in_head, &in_tail));
	assert_false(split_json(SLICE("[{\"spans\":{}}]"), &head, &tail, &in_head, &in_tail));
	assert_false(split_json(SLICE("nonsense"), &head, &tail, &in_head, &in_tail));
	assert_false(split_json(SLICE(""), &head, &tail, &in_head, &in_tail));
	assert_int_equal(head.len + tail.len, 0);
	assert_int_equal(in_head * 10 + in_tail, 78);
}

/* Whatever is cut off or changed: an answer, no crash. */
static void damaged_requests_do_no_harm(void **state)
{
	struct buf in = { .max = 65536 };
	uint64_t n, m;

	(void)state;
	put_request(&in, SLICE("aabb/cc|ddee"));
	for (size_t i = 0; i < in.len; i++) {
		struct buf head = { .max = 65536 }, tail = { .max = 65536 };
		char was = in.p[i];

		split_protobuf(slice_of(in.p, i), &head, &tail, &n, &m);
		in.p[i] = (char)(was ^ 0x55);
		split_protobuf(slice_of(in.p, in.len), &head, &tail, &n, &m);
		in.p[i] = was;
		buf_free(&head);
		buf_free(&tail);
	}
	buf_free(&in);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void gzip_can_be_undone(void **state)
{
	struct buf in = { .max = 1 << 20 }, packed = { .max = GZIP_BOUND(1 << 20) };
	char *out = malloc(1 << 20);
	uint64_t x = 1;

	(void)state;
	/* First nothing, then what deflate can shrink, then what it cannot. */
	for (unsigned round = 0; round < 3; round++) {
		z_stream z = { 0 };

		for (size_t i = 0; i < round * 300000;
		     i++, x = x * 6364136223846793005 + 1442695040888963407)
			buf_char(&in, (char)(round == 1 ? i >> 8 : x >> 56));
		packed.len = 0;
		gzip_pack(slice_of(in.p, in.len), &packed);
		assert_true(round != 1 || packed.len < in.len / 10);
		z.next_in = (Bytef *)packed.p, z.avail_in = (uInt)packed.len;
		z.next_out = (Bytef *)out, z.avail_out = 1 << 20;
		assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
		assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
		assert_int_equal(z.total_out, in.len);
		assert_true(in.len == 0 || memcmp(out, in.p, in.len) == 0);
		inflateEnd(&z);
	}
	free(out);
	buf_free(&in);
	buf_free(&packed);
}

static void forms_are_told_by_content_type(void **state)
{
	(void)state;
	assert_int_equal(reply_form(SLICE(""), false), REPLY_PROTOBUF);
	assert_int_equal(reply_form(SLICE(""), true), REPLY_JSON);
	assert_int_equal(reply_form(SLICE("application/x-protobuf"), true), REPLY_PROTOBUF);
	assert_int_equal(reply_form(SLICE("Application/JSON ; charset=utf-8"), false), REPLY_JSON);
	assert_int_equal(reply_form(SLICE("text/plain; charset=utf-8"), false), REPLY_TEXT);
	assert_int_equal(reply_form(SLICE("text/html"), false), REPLY_OTHER);
	assert_int_equal(reply_form(SLICE("application/json5"), false), REPLY_OTHER);
}

struct success {
	enum reply_form form;
	struct slice body;
	uint64_t rejected;
	const char *message;
	bool unreadable;
};

#define S(literal) { literal, sizeof(literal) - 1 }

static const struct success successes[] = {
	{ REPLY_PROTOBUF, S(""), 0, "", false },
	{ REPLY_PROTOBUF, S("\x0a\x00"), 0, "", false },
	{ REPLY_PROTOBUF, S("\x0a\x02\x08\x03"), 3, "", false },
	{ REPLY_PROTOBUF, S("\x0a\x08\x08\x03\x12\x04oops"), 3, "oops", false },
	{ REPLY_PROTOBUF, S("\x0a\x06\x12\x04oops"), 0, "oops", false },
	{ REPLY_PROTOBUF, S("\x0a\x02\x08\x64"), 10, "", false },
	{ REPLY_PROTOBUF, S("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0, "", false },
	{ REPLY_PROTOBUF, S("\x0a\x03\x12\x01\x1b"), 0, "?", false },
	{ REPLY_PROTOBUF, S("\x0a\x09\x08"), 0, "", true },
	{ REPLY_PROTOBUF, S("<html>"), 0, "", true },
	{ REPLY_PROTOBUF, S("{}"), 0, "", true },
	{ REPLY_JSON, S(""), 0, "", false },
	{ REPLY_JSON, S("{}"), 0, "", false },
	{ REPLY_JSON, S("{\"partialSuccess\":{}}"), 0, "", false },
	{ REPLY_JSON, S("{\"partialSuccess\":null}"), 0, "", false },
	{ REPLY_JSON,
	  S("{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"o\\\"[[\"}}"), 3,
	  "o\"[[", false },
	{ REPLY_JSON, S("{\"partialSuccess\":{\"rejectedSpans\":3}}"), 3, "", false },
	{ REPLY_JSON, S("{\"partialSuccess\":{\"rejectedSpans\":-3}}"), 0, "", false },
	{ REPLY_JSON, S("{\"partialSuccess\":{\"rejectedSpans\":\"9223372036854775808\"}}"), 10, "",
	  false },
	{ REPLY_JSON, S("{\"partialSuccess\":{\"rejectedSpans\":\"many\",\"errorMessage\":7}}"), 0,
	  "", false },
	{ REPLY_JSON, S("{\"partialSuccess\":{\"errorMessage\":\"\\u001b\\u009b\\u202e\"}}"), 0,
	  "??????", false },
	{ REPLY_JSON, S("[]"), 0, "", true },
	{ REPLY_JSON, S("{"), 0, "", true },
	{ REPLY_TEXT, S("ok"), 0, "", true },
	{ REPLY_OTHER, S(""), 0, "", false },
	{ REPLY_OTHER, S("<html>"), 0, "", true },
};

static void a_success_says_what_was_rejected(void **state)
{
	struct reply r;

	(void)state;
	for (size_t i = 0; i < sizeof(successes) / sizeof(successes[0]); i++) {
		const struct success *s = &successes[i];

		reply_success(s->form, s->body, 10, &r);
		assert_int_equal(r.rejected, s->rejected);
		assert_string_equal(r.message, s->message);
		assert_int_equal(r.unreadable, s->unreadable);
	}
}

static void a_failure_says_why(void **state)
{
	static const struct success t[] = {
		{ REPLY_PROTOBUF, S("\x08\x03\x12\x04oops\x1a\x02xx"), 0, "oops", false },
		{ REPLY_PROTOBUF, S(""), 0, "", false },
		{ REPLY_PROTOBUF, S("<html>"), 0, "", false },
		{ REPLY_JSON, S("{\"code\":3,\"message\":\"oops\"}"), 0, "oops", false },
		{ REPLY_JSON, S("{\"message\":[]}"), 0, "", false },
		{ REPLY_JSON, S("<html>"), 0, "", false },
		{ REPLY_TEXT, S("no\tway\nsecond line"), 0, "no?way", false },
		{ REPLY_TEXT, S(""), 0, "", false },
		{ REPLY_OTHER, S("<html>"), 0, "", false },
	};
	struct reply r;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		reply_failure(t[i].form, t[i].body, &r);
		assert_string_equal(r.message, t[i].message);
	}
}

/* Bodies that are small and grow when they are understood. */
static void a_hostile_answer_is_not_understood(void **state)
{
	struct buf body = { .max = 8 << 20 };
	struct reply r;

	(void)state;
	for (size_t i = 0; i < 2000000; i++)
		buf_lit(&body, "\x78\x01");
	reply_success(REPLY_PROTOBUF, slice_of(body.p, body.len), 10, &r);
	assert_true(r.unreadable);
	body.len = 0;
	buf_lit(&body, "{\"a\":[0");
	for (size_t i = 0; i < 2000000; i++)
		buf_lit(&body, ",0");
	buf_lit(&body, "]}");
	reply_success(REPLY_JSON, slice_of(body.p, body.len), 10, &r);
	assert_true(r.unreadable);
	/* A long message, on the other hand, is only long. */
	body.len = 0;
	buf_lit(&body, "{\"partialSuccess\":{\"rejectedSpans\":4,\"errorMessage\":\"");
	for (size_t i = 0; i < 2000000; i++)
		buf_lit(&body, ",[");
	buf_lit(&body, "\"}}");
	reply_success(REPLY_JSON, slice_of(body.p, body.len), 10, &r);
	assert_int_equal(r.rejected, 4);
	assert_int_equal(strlen(r.message), sizeof(r.message) - 1);
	buf_free(&body);
}

/* ---- URLs ------------------------------------------------------------------------------------ */

static const struct export_config plain = { .timeout_ms = 10000, .connections = 2 };

static void urls_are_completed(void **state)
{
	static const struct {
		const char *uri, *url, *shown;
	} t[] = {
		{ "http://h:4318", "http://h:4318/v1/traces", "http://h:4318/v1/traces" },
		{ "HTTPS://H", "HTTPS://H/v1/traces", "HTTPS://H/v1/traces" },
		{ "http://h:4318/", "http://h:4318/v1/traces", "http://h:4318/v1/traces" },
		{ "http://h:4318?exact=true", "http://h:4318/", "http://h:4318/" },
		{ "http://h:4318/?exact=true", "http://h:4318/", "http://h:4318/" },
		{ "http://h/a?exact=true", "http://h/a", "http://h/a" },
		{ "http://h/a/b", "http://h/a/b", "http://h/a/b" },
		{ "http://h?x=1", "http://h/v1/traces?x=1", "http://h/v1/traces" },
		{ "http://h/p?x=1&timeout=5&y&&z=%20", "http://h/p?x=1&y&&z=%20", "http://h/p" },
		{ "http://h/p?timeout=5", "http://h/p", "http://h/p" },
		{ "http://h/p?", "http://h/p", "http://h/p" },
		{ "http://u:p@h:1/p?api_key=s3cret", "http://h:1/p?api_key=s3cret",
		  "http://h:1/p" },
		{ "http://u:p@q@h", "http://h/v1/traces", "http://h/v1/traces" },
		{ "http://[::1]:4318", "http://[::1]:4318/v1/traces",
		  "http://[::1]:4318/v1/traces" },
		{ "http://[fe80::1]", "http://[fe80::1]/v1/traces", "http://[fe80::1]/v1/traces" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct endpoint e;
		struct err err = { 0 };

		assert_true(endpoint_parse(slice_str(t[i].uri), &plain, &e, &err));
		assert_string_equal(e.url, t[i].url);
		assert_string_equal(e.shown, t[i].shown);
		endpoint_free(&e);
	}
}

static void a_url_wins_over_the_configuration(void **state)
{
	const char *const headers[] = { "Authorization: Bearer x", "X-B:2", NULL };
	struct export_config cfg = { .protocol = "http/json", .headers = headers, .gzip = true };
	struct endpoint e;
	struct err err = { 0 };

	(void)state;
	assert_true(endpoint_parse(SLICE("http://h"), &cfg, &e, &err));
	assert_true(e.json && e.gzip && e.timeout_ms == 0 && e.connections == 1 && e.headers == 2 &&
		    !e.user);
	assert_string_equal(e.header[0], "Authorization: Bearer x");
	assert_string_equal(e.header[1], "X-B: 2");
	endpoint_free(&e);
	assert_true(endpoint_parse(
		SLICE("http://us%65r:p%3aw%20@h?protocol=http%2Fprotobuf&compression=none&"
		      "timeout=0&connections=128&header=x-b%3a%20three&header=X-C:"),
		&cfg, &e, &err));
	assert_true(!e.json && !e.gzip && e.timeout_ms == 0 && e.connections == 128 &&
		    e.headers == 3);
	assert_string_equal(e.header[1], "x-b: three");
	assert_string_equal(e.header[2], "X-C: ");
	assert_string_equal(e.user, "user");
	assert_string_equal(e.password, "p:w ");
	endpoint_free(&e);
}

static const struct {
	const char *uri;
	unsigned column;
	const char *text;
} mistakes[] = {
	{ "ftp://h", 1, "http://" },
	{ "http:/h", 1, "http://" },
	{ "http", 1, "http://" },
	{ "", 1, "http://" },
	{ "http://", 8, "host" },
	{ "http:///p", 8, "host" },
	{ "http://:80", 8, "host" },
	{ "http://SECRET:SECRET@:80", 22, "host" },
	{ "http://h:", 10, "port" },
	{ "http://h:0", 10, "port" },
	{ "http://h:65536", 10, "port" },
	{ "http://h:80x", 10, "port" },
	{ "http://SECRET:SECRET/SECRET@h", 15, "port" },
	{ "http://[::1", 8, "IPv6" },
	{ "http://[]", 8, "IPv6" },
	{ "http://[::1]x", 13, "port" },
	{ "http://h/a b", 11, "blank" },
	{ "http://h/a\nb", 11, "blank" },
	{ "http://h/#f", 10, "%23" },
	{ "http://SECRET%zz@h", 14, "hex" },
	{ "http://u:%@h", 10, "hex" },
	{ "http://u:%0@h", 10, "hex" },
	{ "http://u:%00@h", 10, "control" },
	{ "http://h?timeout=1s&header=A:SECRET", 18, "milliseconds" },
	{ "http://h?timeout=-1&token=SECRET", 18, "milliseconds" },
	{ "http://h?timeout=", 18, "milliseconds" },
	{ "http://h?timeout", 17, "milliseconds" },
	{ "http://h?timeout=86400001", 18, "milliseconds" },
	{ "http://h?x&connections=0", 24, "1 to 128" },
	{ "http://h?connections=129", 22, "1 to 128" },
	{ "http://h?protocol=grpc", 19, "http/protobuf" },
	{ "http://h?compression=zstd", 22, "gzip" },
	{ "http://h?header=SECRET", 17, "Name:value" },
	{ "http://h?header=a%20b:SECRET", 17, "Name:value" },
	{ "http://h?header=:SECRET", 17, "Name:value" },
	{ "http://h?header=A:SECRET%0d%0aB:c", 25, "control" },
	{ "http://h?header=content-type:SECRET", 17, "set by haspan" },
};

static void mistakes_are_shown_without_secrets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct endpoint e;
		struct err err = { 0 };

		assert_false(endpoint_parse(slice_str(mistakes[i].uri), &plain, &e, &err));
		assert_int_equal(err.code, EXIT_USAGE);
		assert_int_equal(err.column, mistakes[i].column);
		assert_non_null(strstr(err.text, mistakes[i].text));
		assert_null(strstr(err.quoted, "SECRET"));
		assert_null(strstr(err.text, "SECRET"));
		endpoint_free(&e);
	}
}

static void headers_of_the_configuration_are_checked(void **state)
{
	static const char *const bad[] = { "novalue", "Content-Length: 1", "A B: SECRET",
					   "A: SECRET\r\nB: x", ": x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const headers[] = { bad[i], NULL };
		struct export_config cfg = { .headers = headers };
		struct endpoint e;
		struct err err = { 0 };

		assert_false(endpoint_parse(SLICE("http://h"), &cfg, &e, &err));
		assert_int_equal(err.code, EXIT_USAGE);
		assert_null(strstr(err.text, "SECRET"));
		endpoint_free(&e);
	}
}

static void urls_of_any_length_are_survived(void **state)
{
	static char uri[20000];
	struct endpoint e;
	struct err err;

	(void)state;
	for (size_t n = 0; n < sizeof(uri); n += n < 8200 && n > 8180 ? 1 : 97) {
		memset(uri, 'a', n);
		memcpy(uri, "http://u:p@h/?header=A:", n < 23 ? n : 23);
		err = (struct err){ 0 };
		endpoint_parse(slice_of(uri, n), &plain, &e, &err);
		assert_int_equal(err.code == EXIT_DONE, n >= 22 && n < ENDPOINT_URI_MAX);
		endpoint_free(&e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_its_action),
		cmocka_unit_test(backoff_doubles_up_to_its_ceiling),
		cmocka_unit_test(retry_after_is_believed_within_reason),
		cmocka_unit_test(a_request_is_cut_between_traces),
		cmocka_unit_test(json_is_cut_between_traces),
		cmocka_unit_test(what_cannot_be_cut_is_left_alone),
		cmocka_unit_test(damaged_requests_do_no_harm),
		cmocka_unit_test(gzip_can_be_undone),
		cmocka_unit_test(forms_are_told_by_content_type),
		cmocka_unit_test(a_success_says_what_was_rejected),
		cmocka_unit_test(a_failure_says_why),
		cmocka_unit_test(a_hostile_answer_is_not_understood),
		cmocka_unit_test(urls_are_completed),
		cmocka_unit_test(a_url_wins_over_the_configuration),
		cmocka_unit_test(mistakes_are_shown_without_secrets),
		cmocka_unit_test(headers_of_the_configuration_are_checked),
		cmocka_unit_test(urls_of_any_length_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
