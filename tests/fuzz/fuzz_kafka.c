/* A kafka:// URI, and a block of messages: what is cut from them is what lies in them, in passes of any size. */
#include "core/kafka_api.h"
#include "fuzz.h"
#include "ingest/ingest.h"

#define MAX 4000
static struct frame whole[MAX], parts[MAX];
static struct message messages[MAX];

/* Messages end at a byte 1. */
static size_t split(struct slice all, struct block *b)
{
	while (all.p && b->messages < MAX) {
		struct slice text = slice_cut(&all, 1);
		struct message *m = &messages[b->messages++];

		*m = (struct message){ .text = text, .start = b->len };
		frame_boundary(text.p, text.len, true, &m->framing);
		b->len += text.len + 1;
	}
	return b->messages;
}

static uint32_t cut(const struct block *b, struct frame *out, uint32_t max)
{
	size_t at = 0, before = 0;
	uint32_t n = 0, got;

	while (n + max <= MAX && (got = frame_cut(b, &at, out + n, max)) != 0) {
		CHECK(got <= max && at > before && at <= b->len);
		before = at;
		for (uint32_t i = n; i < n + got; i++) {
			CHECK(out[i].message && fuzz_inside(out[i].raw, out[i].message->text));
			CHECK(i == 0 || out[i].message >= out[i - 1].message);
		}
		n += got;
	}
	return n;
}

static void uri(const uint8_t *data, size_t size)
{
	struct kafka_uri u;
	struct err err = { 0 };
	char *base;
	struct slice text;

	text = fuzz_padded(data, size, &base);
	if (!slice_starts(text, SLICE("kafka://"))) {
		free(base);
		return;
	}
	CHECK(kafka_uri_parse(text, &u, &err) == (err.code == EXIT_DONE));
	if (err.code == EXIT_DONE)
		CHECK(u.brokers && u.topics && *u.topics && u.shown && !strchr(u.shown, '?') && !strchr(u.shown, '@'));
	/* What stands behind '?' is never repeated. */
	CHECK(slice_find(text, '?') == text.len || !strchr(err.quoted, '?') || slice_find(text, '?') > 60);
	kafka_uri_free(&u);
	free(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct block b = { .framing = FRAMING_MESSAGES, .message = messages };
	uint32_t n, m, max;
	char *base;

	uri(data, size);
	max = 1 + fuzz_byte(&data, &size) % 7;
	if (size == 0 || size >= MAX / 2)
		return 0;
	split(fuzz_padded(data, size, &base), &b);
	n = cut(&b, whole, MAX);
	m = cut(&b, parts, max);
	CHECK(n == m);
	for (uint32_t i = 0; i < n; i++)
		CHECK(whole[i].raw.p == parts[i].raw.p && whole[i].raw.len == parts[i].raw.len &&
		      whole[i].message == parts[i].message);
	free(base);
	return 0;
}
