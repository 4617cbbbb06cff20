/* Frames: every byte belongs to one of them or to framing, and where a read ends makes no difference. */
#include "fuzz.h"
#include "ingest/ingest.h"

#define MAX 5000	/* frames, and so bytes */
static struct frame whole[MAX], parts[MAX];

/* Nothing but ends of line, of which a stream of lines has one and journald's records have any number? */
static bool framing_only(const struct block *b, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (b->p[i] != '\n')
			return false;
	return to - from <= 1 || b->framing == FRAMING_EXPORT;
}

/* Cut all of `b` in passes of `max`: the frames tile it but for `123456 ` in front and LF behind. */
static uint32_t cut(const struct block *b, struct frame *out, uint32_t max)
{
	size_t at = 0, end = 0, header = b->framing == FRAMING_COUNTED ? 7 : 0;
	uint32_t n = 0, got;

	while ((got = frame_cut(b, &at, out + n, max)) != 0) {
		for (uint32_t i = n; i < n + got; i++) {
			size_t start = (size_t)(out[i].raw.p - b->p);

			CHECK(start >= end && start + out[i].raw.len <= b->len);
			CHECK(start - end <= header + 1 || framing_only(b, end, start));
			CHECK(!(out[i].flags & FRAME_TORN) || b->torn_head || b->torn_tail);
			end = start + out[i].raw.len;
		}
		n += got;
		CHECK(got <= max && at >= end && at <= b->len && framing_only(b, end, at));
	}
	CHECK(at == b->len);
	return n;
}

/* What a reader does: as many bytes of `*rest` as are whole frames become a block. */
static uint32_t read_block(struct block *b, struct slice *rest, size_t len, bool last, struct frame *out, uint32_t max)
{
	b->p = (char *)(uintptr_t)rest->p;
	b->len = frame_boundary(rest->p, len, last, &b->framing);
	CHECK(b->len <= len && (!last || (b->len == len && b->framing != FRAMING_UNKNOWN)));
	*rest = slice_skip(*rest, b->len);
	return cut(b, out, max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t choice = fuzz_byte(&data, &size), split = fuzz_byte(&data, &size);
	struct block b = { .framing = choice & 3, .torn_head = choice & 4, .torn_tail = choice & 8 }, two = b;
	struct slice all, rest;
	char *base;
	uint32_t n, m;

	if (size >= MAX)
		return 0;
	all = rest = fuzz_padded(data, size, &base);
	n = read_block(&b, &rest, size, true, whole, choice >> 4 ? choice >> 4 : MAX);
	two.torn_head = two.torn_tail = false, rest = all;
	m = read_block(&two, &rest, size * split / 255, false, parts, MAX);
	m += read_block(&two, &rest, rest.len, true, parts + m, MAX);
	CHECK(b.torn_head || b.torn_tail || m == n);
	for (uint32_t i = 0; i < n && !b.torn_head && !b.torn_tail; i++)
		CHECK(parts[i].raw.p == whole[i].raw.p && parts[i].raw.len == whole[i].raw.len);
	free(base);
	return 0;
}
