/*
 * export/otlp.c - traces to OTLP protobuf: TracesData, which on the wire is an ExportTraceServiceRequest.
 *
 * Field numbers are those of opentelemetry-proto (facts checked by tests/test_otlp.c, which packs the same
 * spans with protobuf-c and compares every byte). Lengths stand before their content, and canonical varints
 * have no spare bytes: room for the usual length is left, and in the rare other case the content moves.
 */
#include "core/copy.h"
#include "export/export.h"
#include "parse/format.h"

#include <stdlib.h>

#define SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"

/* Protobuf tags: field number << 3 | wire type. */
enum {
	RS_RESOURCE = 0x0a, RS_SCOPE_SPANS = 0x12, DATA_RESOURCE_SPANS = 0x0a,
	RESOURCE_ATTRIBUTES = 0x0a,
	SS_SCOPE = 0x0a, SS_SPANS = 0x12, SS_SCHEMA_URL = 0x1a,
	SCOPE_NAME = 0x0a, SCOPE_VERSION = 0x12,
	SPAN_TRACE_ID = 0x0a, SPAN_ID = 0x12, SPAN_STATE = 0x1a, SPAN_PARENT = 0x22, SPAN_NAME = 0x2a,
	SPAN_KIND = 0x30, SPAN_START = 0x39, SPAN_END = 0x41, SPAN_ATTRIBUTES = 0x4a, SPAN_EVENTS = 0x5a,
	SPAN_STATUS = 0x7a,
	SPAN_FLAGS_1 = 0x85, SPAN_FLAGS_2 = 0x01,
	EVENT_TIME = 0x09, EVENT_NAME = 0x12, EVENT_ATTRIBUTES = 0x1a,
	STATUS_CODE = 0x18,
	KV_KEY = 0x0a, KV_VALUE = 0x12,
	VALUE_STRING = 0x0a, VALUE_BOOL = 0x10, VALUE_INT = 0x18, VALUE_ARRAY = 0x2a,
	ARRAY_VALUES = 0x0a,
};

/* Span.flags: bits 8 and 9 say whether the parent is known to be remote (trace.proto, SpanFlags). */
enum { FLAG_KNOWN = 0x100, FLAG_REMOTE = 0x200 };

/* ---- primitives -------------------------------------------------------------------------------------- */

static inline size_t varint_len(uint64_t n)
{
	return __builtin_expect(n < 128, 1) ? 1 : ((size_t)(63 - __builtin_clzll(n)) + 7) / 7;
}

static inline char *varint(char *p, uint64_t n)
{
	while (n >= 128) {
		*p++ = (char)(n | 128);
		n >>= 7;
	}
	*p++ = (char)n;
	return p;
}

static inline char *fixed64(char *p, uint64_t n)
{
	memcpy(p, &n, 8);		/* x86 and ARM are little-endian, as the wire is */
	return p + 8;
}

static inline char *big64(char *p, uint64_t n)
{
	n = __builtin_bswap64(n);
	memcpy(p, &n, 8);
	return p + 8;
}

/* A string field; the caller made room for s.len + 48. */
static inline char *string(char *p, int tag, struct slice s)
{
	*p++ = (char)tag;
	return copy_short(varint(p, s.len), s.p, s.len);
}

/* ---- attributes -------------------------------------------------------------------------------------- */

/* Length of AnyValue{string_value}. */
static inline size_t text_len(struct slice s)
{
	return 1 + varint_len(s.len) + s.len;
}

/* Up to and including the length of KeyValue.value; `value` bytes must follow. */
static inline char *attr_head(struct buf *out, const struct attr *a, size_t value)
{
	size_t body = 1 + varint_len(a->key.len) + a->key.len + 1 + varint_len(value) + value;
	char *p = buf_room(out, body + 64);

	*p++ = (char)SPAN_ATTRIBUTES;
	p = string(varint(p, body), KV_KEY, a->key);
	*p++ = KV_VALUE;
	return varint(p, value);
}

static inline void done(struct buf *out, const char *p)
{
	out->len = (size_t)(p - out->p);
}

static inline void attr_text(struct buf *out, const struct attr *a, struct slice s)
{
	char *p = attr_head(out, a, text_len(s));

	done(out, string(p, VALUE_STRING, s));
}

static inline void attr_int(struct buf *out, const struct attr *a, int64_t n)
{
	char *p = attr_head(out, a, 1 + varint_len((uint64_t)n));

	*p++ = VALUE_INT;
	done(out, varint(p, (uint64_t)n));
}

static inline void attr_bool(struct buf *out, const struct attr *a, bool b)
{
	char *p = attr_head(out, a, 2);

	*p++ = VALUE_BOOL;
	*p++ = b;
	done(out, p);
}

/* ArrayValue of strings, when some length takes more than a byte. */
static void attr_long_list(struct buf *out, const struct attr *a, const struct slice *v, uint32_t n)
{
	size_t array = 0, text;
	char *p;

	for (uint32_t i = 0; i < n; i++) {
		text = text_len(v[i]);
		array += 1 + varint_len(text) + text;
	}
	p = attr_head(out, a, 1 + varint_len(array) + array);
	*p++ = VALUE_ARRAY;
	p = varint(p, array);
	for (uint32_t i = 0; i < n; i++) {
		*p++ = ARRAY_VALUES;
		p = string(varint(p, text_len(v[i])), VALUE_STRING, v[i]);
	}
	done(out, p);
}

static void attr_any(struct buf *out, const struct attr *a, const struct record *r, union value v);

/* Members without a meaning: attributes whose keys the line gave. */
static void attr_pairs(struct buf *out, const struct record *r)
{
	for (uint32_t i = 0; i < r->npairs; i++) {
		struct attr a = { .type = (uint8_t)attr_of_pair(&r->pair[i]), .key = r->pair[i].key };

		attr_any(out, &a, r, (union value){ .text = r->pair[i].value });
	}
}

/* The usual one: no string of more than 125 bytes. */
static void attr_list(struct buf *out, const struct attr *a, const struct slice *v, uint32_t n)
{
	size_t array = 4 * (size_t)n, longest = 0;
	char *p;

	for (uint32_t i = 0; i < n; i++) {
		array += v[i].len;
		longest |= v[i].len;
	}
	if (longest > 125) {
		attr_long_list(out, a, v, n);
		return;
	}
	p = attr_head(out, a, 1 + varint_len(array) + array);
	*p++ = VALUE_ARRAY;
	p = varint(p, array);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = v[i].len;

		p[0] = ARRAY_VALUES;
		p[1] = (char)(len + 2);
		p[2] = VALUE_STRING;
		p[3] = (char)len;
		p = copy_short(p + 4, v[i].p, len);
	}
	done(out, p);
}

/* The rare shapes: arrays, values that come as text, anything of 128 bytes and more. */
static void attr_any(struct buf *out, const struct attr *a, const struct record *r, union value v)
{
	int64_t num;

	switch ((enum attr_type)a->type) {
	case ATTR_TEXT:
		attr_text(out, a, v.text);
		break;
	case ATTR_INT:
	case ATTR_TIMER:
		attr_int(out, a, v.num);
		break;
	case ATTR_BOOL:
		attr_bool(out, a, v.num != 0);
		break;
	case ATTR_LIST:
		attr_list(out, a, &v.text, 1);
		break;
	case ATTR_LISTS:
		attr_list(out, a, r->cap[a->index].v, r->cap[a->index].n);
		break;
	case ATTR_NUMBER_TEXT:
		if (attr_number(v.text, &num))
			attr_int(out, a, num);
		else
			attr_text(out, a, v.text);
		break;
	case ATTR_BOOL_TEXT:
		attr_bool(out, a, attr_truth(v.text));
		break;
	case ATTR_PAIRS:
		attr_pairs(out, r);
		break;
	}
}

/*
 * The usual attribute: a short text or number in a slot, so that every length is one byte. The row's image is
 * copied as one piece and its lengths are filled in. Room for SHORT_ATTR bytes is there.
 */
#define SHORT_ATTR 192

static inline char *short_text(char *p, const struct attr *a, struct slice s)
{
	char *at = p + a->head;

	memcpy(p, a->image, PLAN_IMAGE);
	p[1] = (char)(a->head + s.len - 1);
	at[-2] = (char)(s.len + 2);
	at[0] = (char)s.len;
	return copy_short(at + 1, s.p, s.len);
}

/* A number of one or two bytes, without a branch: nobody can foretell which. */
static inline char *short_int(char *p, const struct attr *a, uint32_t n)
{
	unsigned more = n > 127, v = (n & 127) | more << 7 | n >> 7 << 8;
	char *at = p + a->head;

	memcpy(p, a->image, PLAN_IMAGE);
	p[1] = (char)(a->head - 1 + more);
	at[-2] = (char)(2 + more);
	memcpy(at, &v, 4);
	return at + 1 + more;
}

static void attributes(struct buf *out, const struct attrs *attrs, const struct record *r)
{
	char *p = buf_room(out, attrs->n * SHORT_ATTR);
	const struct attr *a = attrs->v, *end = a + attrs->nslots;
	union value v;

	for (; a < end; a++) {
		const union value *value = &r->v[a->index];

		if (!(r->have[a->word] & a->bit))
			continue;
		if (a->quick == QUICK_TEXT && value->text.len <= a->short_text) {
			p = short_text(p, a, value->text);
		} else if (a->quick == QUICK_INT && (uint64_t)value->num < 1 << 14) {
			p = short_int(p, a, (uint32_t)value->num);
		} else if (attr_slot(a, r)) {
			done(out, p);
			attr_any(out, a, r, *value);
			p = buf_room(out, (size_t)(end - a) * SHORT_ATTR);
		}
	}
	done(out, p);
	for (a = attrs->own, end = a + (attrs->n - attrs->nslots); a < end; a++)
		if (attr_value(a, r, &v))
			attr_any(out, a, r, v);
}

static const struct attr error_type = { .key = { "error.type", 10 } };

/* ---- spans ------------------------------------------------------------------------------------------- */

/* The span's length, now known: `at` is where its two bytes were left. */
static void close_length(struct buf *out, size_t at)
{
	size_t len = out->len - at - 2, need = varint_len(len);

	if (need != 2) {
		buf_room(out, need);
		memmove(out->p + at + need, out->p + at + 2, len);
		out->len = at + need + len;
	}
	varint(out->p + at, len);
}

/* AnyValue of an event's field; with `p` NULL only its length. */
static size_t event_value(char *p, const struct event_attr *a)
{
	int64_t num;

	if (a->type == ATTR_NUMBER_TEXT && attr_number(a->value, &num)) {
		if (p) {
			*p++ = VALUE_INT;
			varint(p, (uint64_t)num);
		}
		return 1 + varint_len((uint64_t)num);
	}
	if (a->type == ATTR_BOOL_TEXT) {
		if (p) {
			p[0] = VALUE_BOOL;
			p[1] = attr_truth(a->value);
		}
		return 2;
	}
	if (p)
		string(p, VALUE_STRING, a->value);
	return text_len(a->value);
}

static size_t event_attr_len(const struct event_attr *a)
{
	size_t value = event_value(NULL, a);

	return 1 + varint_len(a->key.len) + a->key.len + 1 + varint_len(value) + value;
}

static void event_attr(struct buf *out, const struct event_attr *a)
{
	size_t len = event_attr_len(a), value = event_value(NULL, a);
	char *p = buf_room(out, len + 64);

	*p++ = EVENT_ATTRIBUTES;
	p = string(varint(p, len), KV_KEY, a->key);
	*p++ = KV_VALUE;
	p = varint(p, value);
	event_value(p, a);
	done(out, p + value);
}

/* The lines of a request that has several. */
static void events(struct buf *out, const struct trace *t)
{
	for (const struct event *e = t->event; e < t->event + t->nevents; e++) {
		const struct event_attr origin = { SLICE("haproxy.log.origin"), e->origin, ATTR_TEXT };
		size_t len = 9 + 1 + 1 + e->name.len, kv;
		char *p = buf_room(out, 128 + e->name.len);

		if (e->origin.len)
			len += 1 + varint_len(event_attr_len(&origin)) + event_attr_len(&origin);
		for (uint32_t k = 0; k < e->nattrs; k++) {
			kv = event_attr_len(&e->attr[k]);
			len += 1 + varint_len(kv) + kv;
		}
		*p++ = SPAN_EVENTS;
		p = varint(p, len);
		*p++ = EVENT_TIME;
		p = fixed64(p, e->ns);
		done(out, string(p, EVENT_NAME, e->name));
		if (e->origin.len)
			event_attr(out, &origin);
		for (uint32_t k = 0; k < e->nattrs; k++)
			event_attr(out, &e->attr[k]);
	}
}

static void span(struct buf *out, const struct record *r, const struct trace *t, const struct span *s)
{
	uint32_t flags = t->flags | FLAG_KNOWN | (s->parent_remote ? FLAG_REMOTE : 0);
	char *p = buf_room(out, 160 + t->state.len + s->name.len);
	size_t at = out->len + 1;

	*p++ = SS_SPANS;
	p += 2;
	*p++ = SPAN_TRACE_ID;
	*p++ = 16;
	p = big64(big64(p, t->id_hi), t->id_lo);
	*p++ = SPAN_ID;
	*p++ = 8;
	p = big64(p, s->id);
	if (t->state.len)
		p = string(p, SPAN_STATE, t->state);
	if (s->parent) {
		*p++ = SPAN_PARENT;
		*p++ = 8;
		p = big64(p, s->parent);
	}
	p = string(p, SPAN_NAME, s->name);
	*p++ = SPAN_KIND;
	*p++ = (char)s->kind;
	*p++ = SPAN_START;
	p = fixed64(p, s->start_ns);
	*p++ = SPAN_END;
	p = fixed64(p, s->end_ns);
	done(out, p);

	if (s->error_type.len)
		attr_text(out, &error_type, s->error_type);
	if (s->role == ROLE_SERVER)
		attributes(out, t->has_client ? &r->format->plan->server : &r->format->plan->server_alone, r);
	else if (s->role == ROLE_CLIENT)
		attributes(out, &r->format->plan->client, r);
	if (s->role == ROLE_SERVER && t->nevents)
		events(out, t);

	p = buf_room(out, 16);
	if (s->status) {
		*p++ = SPAN_STATUS;
		*p++ = 2;
		*p++ = STATUS_CODE;
		*p++ = (char)s->status;
	}
	*p++ = (char)SPAN_FLAGS_1;
	*p++ = SPAN_FLAGS_2;
	memcpy(p, &flags, 4);
	done(out, p + 4);
	close_length(out, at);
}

static void protobuf_trace(struct buf *out, const struct record *r, const struct trace *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		span(out, r, t, &t->span[i]);
}

/* ---- groups ------------------------------------------------------------------------------------------ */

/* Room for a length of 16 KiB to 2 MiB, the usual one. */
#define GROUP_LENGTH 3

static size_t key_value_len(struct slice key, struct slice value)
{
	size_t v = text_len(value);

	return 1 + varint_len(key.len) + key.len + 1 + varint_len(v) + v;
}

static void resource_attribute(struct buf *out, struct slice key, struct slice value)
{
	char *p = buf_room(out, key.len + value.len + 64);

	*p++ = RESOURCE_ATTRIBUTES;
	p = varint(p, key_value_len(key, value));
	p = string(p, KV_KEY, key);
	*p++ = KV_VALUE;
	p = varint(p, text_len(value));
	done(out, string(p, VALUE_STRING, value));
}

static size_t resource_len(const struct resource *res, struct slice host)
{
	size_t len = 0;

	for (uint32_t i = 0; i < res->n; i++) {
		size_t kv = key_value_len(res->keys[i], res->values[i]);

		len += 1 + varint_len(kv) + kv;
	}
	if (host.len) {
		size_t kv = key_value_len(SLICE("host.name"), host);

		len += 1 + varint_len(kv) + kv;
	}
	return len;
}

static void protobuf_open(struct buf *out, const struct resource *res, struct slice host, size_t *mark)
{
	size_t scope = 1 + 1 + 6 + 1 + 1 + res->version.len;
	char *p = buf_room(out, 64);

	*mark = out->len;
	*p++ = DATA_RESOURCE_SPANS;
	p += GROUP_LENGTH;
	*p++ = RS_RESOURCE;
	done(out, varint(p, resource_len(res, host)));
	for (uint32_t i = 0; i < res->n; i++)
		resource_attribute(out, res->keys[i], res->values[i]);
	if (host.len)
		resource_attribute(out, SLICE("host.name"), host);
	p = buf_room(out, 128 + res->version.len);
	*p++ = RS_SCOPE_SPANS;
	p += GROUP_LENGTH;
	*p++ = SS_SCOPE;
	*p++ = (char)scope;
	p = string(p, SCOPE_NAME, SLICE("haspan"));
	done(out, string(p, SCOPE_VERSION, res->version));
}

/* Put the real length where GROUP_LENGTH bytes were left for it. */
static void close_group(struct buf *out, size_t at)
{
	size_t len = out->len - at - GROUP_LENGTH, need = varint_len(len);

	if (need != GROUP_LENGTH) {
		buf_room(out, need);
		memmove(out->p + at + need, out->p + at + GROUP_LENGTH, len);
		out->len = at + need + len;
	}
	varint(out->p + at, len);
}

static void protobuf_close(struct buf *out, size_t mark)
{
	size_t at = mark + 1 + GROUP_LENGTH + 1, resource = 0;
	unsigned shift = 0;
	char *p = buf_room(out, 64);

	done(out, string(p, SS_SCHEMA_URL, SLICE(SCHEMA_URL)));
	do {				/* over the resource, to where the scope's spans begin */
		resource |= (size_t)(out->p[at] & 127) << shift;
		shift += 7;
	} while (out->p[at++] & 128);
	close_group(out, at + resource + 1);
	close_group(out, mark + 1);
}

const struct encoder encoder_protobuf = { "protobuf", protobuf_open, protobuf_trace, protobuf_close, NULL, false };
