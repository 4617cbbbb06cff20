/*
 * ingest/kafka_message.c - from librdkafka's messages to a block's: where they lie, how they are framed, what stands
 * beside the text.
 */
#include "ingest/kafka_private.h"

/* Longer scans than BLOCK_PAD do not overshoot, so a page is what must not be crossed. */
#define PAGE ((uintptr_t)4096)

/* Under ASan every byte that a scan reads must be ours: then all messages are copied. */
#if defined(__SANITIZE_ADDRESS__)
#define COPY_ALL true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COPY_ALL true
#endif
#endif
#ifndef COPY_ALL
#define COPY_ALL false
#endif

/* May scans overshoot at either end? Bytes before and behind belong to librdkafka's buffers, or to the same page. */
static bool may_stay(const char *p, size_t len)
{
	uintptr_t from = (uintptr_t)p - BLOCK_PAD, to = (uintptr_t)p + len + BLOCK_PAD - 1;

	return !COPY_ALL && len && from / PAGE == (uintptr_t)p / PAGE && to / PAGE == ((uintptr_t)p + len - 1) / PAGE;
}

static const struct slice header_names[] = {
#define HEADER(name, slot, context) { context ? name : "", context ? sizeof(name) - 1 : 0 },
#include "formats/headers.def"
#undef HEADER
};

#define HEADER_ROWS (sizeof(header_names) / sizeof(header_names[0]))

/* A copy of `n` bytes in the block, which has room for all that one message can have (kafka_is_full). */
static const char *aside(struct block *b, const void *p, size_t n)
{
	char *to = b->aside + b->aside_used;

	memcpy(to, p, n);
	b->aside_used += n;
	return to;
}

/* Headers that name a trace. */
static void add_headers(struct block *b, struct message *m, const rd_kafka_headers_t *headers)
{
	const char *name;
	const void *value;
	size_t len;

	for (size_t i = 0; kafka.header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		uint8_t row = 0;

		while (row < HEADER_ROWS && (!header_names[row].len || !slice_ieq(header_names[row], slice_str(name))))
			row++;
		if (row == HEADER_ROWS || !value || len == 0 || len > MESSAGE_HEADER_MAX ||
		    m->headers == MESSAGE_HEADERS)
			continue;
		b->header[b->headers++] = (struct message_header){ row, (uint16_t)len, aside(b, value, len) };
		m->headers++;
	}
}

/* 32 hex digits, not all 0. */
static bool is_trace_id(struct slice s)
{
	bool any = false;

	for (size_t i = 0; i < s.len; i++) {
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
		any |= s.p[i] != '0';
	}
	return s.len == 32 && any;
}

/* A name of RFC 1123, or an address. */
static bool is_host(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = slice_lower(s.p[i]);

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c != '\0' && strchr("._:-", c))))
			return false;
	}
	return s.len > 0 && s.len <= 255;
}

/*
 * Has it no headers? To ask librdkafka makes it build a list for each message, a tenth of all that a line costs. A record
 * (Kafka's message format 2) has the number of its headers behind its value, and librdkafka leaves both where they came
 * in; the older formats have none at all. So a 0 there means none. If a librdkafka ever copies values, one look in
 * KAFKA_LOOK_EVERY finds it out, and each message is asked for from then on.
 */
static bool has_no_headers(struct kafka_source *k, const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const char *end;

	if (COPY_ALL || k->ask_headers || !m->payload || m->len == 0)
		return false;
	end = (const char *)m->payload + m->len;
	if ((uintptr_t)end % PAGE == 0 || *end != 0)
		return false;
	if (k->messages % KAFKA_LOOK_EVERY == 1)
		k->ask_headers = kafka.message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR;
	return !k->ask_headers;
}

/* Key, headers and time of what was read. */
static void add_beside(struct kafka_source *k, struct block *b, struct message *m, const rd_kafka_message_t *from)
{
	struct slice key = slice_of(from->key, from->key ? from->key_len : 0);
	rd_kafka_headers_t *headers;
	rd_kafka_timestamp_type_t type;
	int64_t ms = kafka.message_timestamp(from, &type);

	m->time_us = type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && ms > 0 && ms < INT64_MAX / 1000 ? ms * 1000 : 0;
	m->header = b->header + b->headers;
	m->headers = 0;
	m->key = slice_of("", 0);
	m->key_is_host = k->key_is_host;
	if (k->key_is_host ? is_host(key) : is_trace_id(key))
		m->key = slice_of(aside(b, key.p, key.len), key.len);
	if (!has_no_headers(k, from) && kafka.message_headers(from, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
		add_headers(b, m, headers);
}

void kafka_release(struct block *b)
{
	for (uint32_t i = 0; i < b->messages; i++)
		if (b->message[i].handle)
			kafka.message_destroy(b->message[i].handle);
}

/* Append `from`, which fits. It is the block's from now on. */
void kafka_add_message(struct kafka_source *k, struct block *b, rd_kafka_message_t *from)
{
	struct message *m = &b->message[b->messages++];

	*m = (struct message){ .text = slice_of(from->payload, from->payload ? from->len : 0), .start = b->len,
			       .handle = from };
	if (!may_stay(m->text.p, m->text.len)) {
		if (m->text.len)
			memcpy(b->p + m->start, m->text.p, m->text.len);
		m->text.p = b->p + m->start;
	}
	b->len += m->text.len + 1;
	frame_boundary(m->text.p, m->text.len, true, &m->framing);
	add_beside(k, b, m, from);
}

/* The next piece of the large message; it is alone in its block. */
void kafka_add_piece(struct kafka_source *k, struct block *b)
{
	struct message *m = &b->message[0];
	rd_kafka_message_t *from = k->large;
	bool ended = false;

	while (b->len == 0 && !ended) {
		size_t start = stitch_begin(&k->stitch, b), n = from->len - k->large_at;

		n = n < BLOCK_SIZE - b->len ? n : BLOCK_SIZE - b->len;
		memcpy(b->p + b->len, (const char *)from->payload + k->large_at, n);
		b->len += n;
		k->large_at += n;
		ended = k->large_at == from->len;
		stitch_end(&k->stitch, b, start, ended);
	}
	*m = (struct message){ .text = slice_of(b->p, b->len), .framing = b->framing, .torn_head = b->torn_head,
			       .torn_tail = b->torn_tail };
	add_beside(k, b, m, from);
	b->torn_head = b->torn_tail = false;
	b->messages = 1;
	b->len++;
	if (!ended)
		return;
	m->handle = from;
	k->large = NULL;
	stitch_free(&k->stitch);
}

void kafka_drop_large(struct kafka_source *k)
{
	if (k->large)
		kafka.message_destroy(k->large);
	k->large = NULL;
	stitch_free(&k->stitch);
}

bool kafka_is_full(const struct block *b)
{
	return b->messages == MESSAGES_MAX || b->len >= BLOCK_SIZE || b->headers + MESSAGE_HEADERS > MESSAGES_HEADERS ||
	       MESSAGE_ASIDE - b->aside_used < (MESSAGE_HEADERS + 1) * MESSAGE_HEADER_MAX;
}
