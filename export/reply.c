#include "export/reply.h"

#include "core/limits.h"
#include "export/proto/trace.pb-c.h"

#include <jansson.h>
#include <stdlib.h>

enum reply_form reply_form(struct slice type, bool json_sent)
{
	static const struct {
		struct slice type;
		enum reply_form form;
	} known[] = {
		{ { "application/x-protobuf", 22 }, REPLY_PROTOBUF },
		{ { "application/protobuf", 20 }, REPLY_PROTOBUF },
		{ { "application/json", 16 }, REPLY_JSON },
		{ { "text/plain", 10 }, REPLY_TEXT },
	};
	struct slice bare = slice_trim(slice_cut(&type, ';'));

	if (bare.len == 0)
		return json_sent ? REPLY_JSON : REPLY_PROTOBUF;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_ieq(bare, known[i].type))
			return known[i].form;
	return REPLY_OTHER;
}

/*
 * What a collector says goes to a terminal: printable ASCII only, since bytes above it may be
 * control characters too (C1, bidirectional overrides).
 */
static void say(struct reply *out, const char *p, size_t len)
{
	size_t n = len < sizeof(out->message) - 1 ? len : sizeof(out->message) - 1;

	for (size_t i = 0; i < n; i++)
		out->message[i] = (char)(p[i] >= ' ' && p[i] <= '~' ? p[i] : '?');
	out->message[n] = '\0';
}

static uint64_t clamp(int64_t rejected, uint64_t spans)
{
	if (rejected < 0)
		return 0;
	return (uint64_t)rejected < spans ? (uint64_t)rejected : spans;
}

/* ---- protobuf -------------------------------------------------------------------------------- */

/*
 * Each of two million unknown fields in 4 MiB would cost an allocation of its own: what one answer
 * may take is bounded. Nothing is given back before the end, so that no sizes need to be
 * remembered.
 */
static void *budget_alloc(void *left, size_t n)
{
	size_t *budget = left;

	if (n > *budget)
		return NULL;
	*budget -= n;
	return malloc(n);
}

static void budget_free(void *left, void *p)
{
	(void)left;
	free(p);
}

static void protobuf_success(struct slice body, uint64_t spans, struct reply *out)
{
	size_t left = 2 * RESPONSE_MAX;
	ProtobufCAllocator a = { budget_alloc, budget_free, &left };
	Otlp__ExportTraceServiceResponse *r = otlp__export_trace_service_response__unpack(
		&a, body.len, (const uint8_t *)body.p);

	if (!r) {
		out->unreadable = true;
		return;
	}
	if (r->partial_success) {
		out->rejected = clamp(r->partial_success->rejected_spans, spans);
		say(out, r->partial_success->error_message,
		    strlen(r->partial_success->error_message));
	}
	otlp__export_trace_service_response__free_unpacked(r, &a);
}

static void protobuf_failure(struct slice body, struct reply *out)
{
	size_t left = 2 * RESPONSE_MAX;
	ProtobufCAllocator a = { budget_alloc, budget_free, &left };
	Otlp__RpcStatus *r = otlp__rpc_status__unpack(&a, body.len, (const uint8_t *)body.p);

	if (!r)
		return;
	say(out, r->message, strlen(r->message));
	otlp__rpc_status__free_unpacked(r, &a);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Values in one answer that are worth building a tree of; a partial success has two. */
#define JSON_VALUES_MAX 10000

/*
 * An array of two million zeros fits in 4 MiB of text, and in 100 MiB as a tree: count before
 * building.
 */
static json_t *json_answer(struct slice body)
{
	bool quoted = false;
	size_t values = 0;

	for (size_t i = 0; i < body.len; i++) {
		char c = body.p[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			i++;
		else if (!quoted && (c == ',' || c == '[' || c == '{'))
			values++;
	}
	return values <= JSON_VALUES_MAX ? json_loadb(body.p, body.len, JSON_ALLOW_NUL, NULL)
					 : NULL;
}

static void say_json(struct reply *out, const json_t *text)
{
	if (json_is_string(text))
		say(out, json_string_value(text), json_string_length(text));
}

/* 64-bit integers are strings in OTLP JSON, and receivers accept numbers too. */
static int64_t json_int64(const json_t *v)
{
	return json_is_string(v) ? strtoll(json_string_value(v), NULL, 10) : json_integer_value(v);
}

static void json_success(struct slice body, uint64_t spans, struct reply *out)
{
	json_t *doc = json_answer(body);
	const json_t *partial = json_object_get(doc, "partialSuccess");

	out->unreadable = !json_is_object(doc);
	out->rejected = clamp(json_int64(json_object_get(partial, "rejectedSpans")), spans);
	say_json(out, json_object_get(partial, "errorMessage"));
	json_decref(doc);
}

static void json_failure(struct slice body, struct reply *out)
{
	json_t *doc = json_answer(body);

	say_json(out, json_object_get(doc, "message"));
	json_decref(doc);
}

/* ---------------------------------------------------------------------------------------------- */

void reply_success(enum reply_form form, struct slice body, uint64_t spans, struct reply *out)
{
	*out = (struct reply){ 0 };
	if (body.len == 0)
		return;
	if (form == REPLY_PROTOBUF)
		protobuf_success(body, spans, out);
	else if (form == REPLY_JSON)
		json_success(body, spans, out);
	else
		out->unreadable = true;
}

void reply_failure(enum reply_form form, struct slice body, struct reply *out)
{
	*out = (struct reply){ 0 };
	if (form == REPLY_PROTOBUF)
		protobuf_failure(body, out);
	else if (form == REPLY_JSON)
		json_failure(body, out);
	else if (form == REPLY_TEXT)
		say(out, body.p, slice_find(body, '\n'));
}
