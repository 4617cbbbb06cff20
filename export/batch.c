#include "export/batch.h"

#include "core/limits.h"
#include "export/gzip.h"
#include "export/split.h"

#include <stdio.h>
#include <stdlib.h>

/* How a JSON wire begins and ends (export/otlp_json.c). */
#define JSON_OPEN SLICE("{\"resourceSpans\":[")
#define JSON_CLOSE SLICE("]}")

struct batch *batch_new(bool json)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", sizeof(*b));
		abort();
	}
	b->bytes.max = WIRE_MAX;
	b->packed.max = GZIP_BOUND(WIRE_MAX);
	b->seq = b->at = UINT64_MAX;
	b->json = json;
	return b;
}

void batch_free(struct batch *b)
{
	buf_free(&b->bytes);
	buf_free(&b->packed);
	free(b);
}

size_t batch_size(const struct batch *b)
{
	return b->bytes.len + b->packed.len;
}

/* The bound is on memory. */
void batch_shrink(struct batch *b)
{
	size_t cap = b->bytes.len + BUF_PAD;
	char *p = cap < b->bytes.cap ? realloc(b->bytes.p, cap) : NULL;

	if (!p)
		return;
	b->bytes.p = p;
	b->bytes.cap = cap;
}

static bool is_json(struct slice s)
{
	size_t tail = JSON_CLOSE.len;

	return s.len >= JSON_OPEN.len + tail && slice_starts(s, JSON_OPEN) &&
	       slice_eq(slice_skip(s, s.len - tail), JSON_CLOSE);
}

bool batch_fits(const struct batch *b, struct slice bytes, bool json, size_t max)
{
	if (b->half || b->json != json || b->bytes.len + bytes.len > max)
		return false;
	return !json || (is_json(slice_of(b->bytes.p, b->bytes.len)) && is_json(bytes));
}

void batch_append(struct batch *b, struct slice bytes)
{
	if (b->json) {
		b->bytes.len -= JSON_CLOSE.len;
		buf_char(&b->bytes, ',');
		bytes = slice_skip(bytes, JSON_OPEN.len);
	}
	buf_slice(&b->bytes, bytes);
}

void batch_count(struct batch *b, const struct batch *in)
{
	b->spans += in->spans;
	b->loose += in->loose;
	b->seq = in->seq < b->seq ? in->seq : b->seq;
	b->at = in->at < b->at ? in->at : b->at;
}

bool batch_split(const struct batch *whole, struct batch **head, struct batch **tail)
{
	struct batch *h = batch_new(whole->json), *t = batch_new(whole->json);
	struct slice in = slice_of(whole->bytes.p, whole->bytes.len);
	bool (*split)(struct slice, struct buf *, struct buf *, uint64_t *, uint64_t *) =
		whole->json ? split_json : split_protobuf;

	if (!split(in, &h->bytes, &t->bytes, &h->spans, &t->spans)) {
		batch_free(h);
		batch_free(t);
		return false;
	}
	/* The account is kept by what was submitted, whatever the parts say. */
	h->spans = h->spans < whole->spans ? h->spans : whole->spans;
	t->spans = whole->spans - h->spans;
	h->loose = whole->loose < h->spans ? whole->loose : h->spans;
	t->loose = whole->loose - h->loose;
	h->seq = t->seq = whole->seq;
	h->at = t->at = whole->at;
	h->half = t->half = true;
	*head = h;
	*tail = t;
	return true;
}

void batches_append(struct batches *q, struct batch *b)
{
	if (q->head)
		q->tail->next = b;
	else
		q->head = b;
	q->tail = b;
	q->bytes += b->bytes.len;
}

void batches_push_front(struct batches *q, struct batch *b)
{
	b->next = q->head;
	q->head = b;
	if (!b->next)
		q->tail = b;
	q->bytes += b->bytes.len;
}

struct batch *batches_pop(struct batches *q)
{
	struct batch *b = q->head;

	q->head = b->next;
	b->next = NULL;
	q->bytes -= b->bytes.len;
	return b;
}
