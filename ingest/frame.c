/*
 * ingest/frame.c - where one message ends and the next begins (RFC 6587). Pure.
 */
#include "ingest/ingest.h"

/* `LEN SP` in front of a counted message. Returns the length of this header, 0 when it is none. */
static size_t count_header(const char *p, size_t left, size_t *count)
{
	size_t n = 0, i = 0;

	for (; i < left && i < 6 && p[i] >= '0' && p[i] <= '9'; i++)
		n = n * 10 + (size_t)(p[i] - '0');
	if (i == 0 || i == left || p[i] != ' ' || p[0] == '0' || n > LINE_MAX_BYTES)
		return 0;
	*count = n;
	return i + 1;
}

/* Only a count is followed by a blank and a PRI (section 3.4.1); no line of HAProxy's begins like that. */
static enum framing framing_guess(const char *p, size_t len)
{
	size_t count, header = count_header(p, len, &count);

	return header && header < len && p[header] == '<' ? FRAMING_COUNTED : FRAMING_LINES;
}

/*
 * The counted message at `p`: its length with header, or 0 when more bytes are needed. Where no count stands,
 * the stream has lost its way: what comes up to the next newline is one message that nobody will understand.
 */
static size_t counted_size(const char *p, size_t left, size_t *header)
{
	size_t count;
	const char *lf;

	*header = count_header(p, left, &count);
	if (*header)
		return left - *header >= count ? *header + count : 0;
	if (left < 8 && !memchr(p, '\n', left))
		return 0;
	lf = memchr(p, '\n', left);
	return lf ? (size_t)(lf - p) + 1 : 0;
}

size_t frame_boundary(const char *p, size_t len, bool last, enum framing *framing)
{
	size_t at = 0, size, header;
	const char *lf;

	if (*framing == FRAMING_UNKNOWN) {
		if (len < 8 && !last && !memchr(p, '\n', len))
			return 0;
		*framing = framing_guess(p, len);
	}
	if (last)
		return len;
	if (*framing == FRAMING_LINES) {
		lf = memrchr(p, '\n', len);
		return lf ? (size_t)(lf - p) + 1 : 0;
	}
	while (at < len && (size = counted_size(p + at, len - at, &header)) != 0)
		at += size;
	return at;
}

static struct frame line_frame(const struct block *b, size_t at, size_t *next)
{
	const char *p = b->p + at, *lf = memchr(p, '\n', b->len - at);
	struct frame f = { .raw = slice_of(p, lf ? (size_t)(lf - p) : b->len - at) };

	*next = at + f.raw.len + (lf != NULL);
	if (f.raw.len > LINE_MAX_BYTES)
		f.flags |= FRAME_TORN;
	if (at == 0 && b->torn_head)
		f.flags |= FRAME_TORN | FRAME_CONTINUES;
	if (!lf && b->torn_tail)
		f.flags |= FRAME_TORN | FRAME_OPEN;
	return f;
}

static struct frame counted_frame(const struct block *b, size_t at, size_t *next)
{
	size_t header, size = counted_size(b->p + at, b->len - at, &header);

	if (size == 0)
		size = b->len - at;
	*next = at + size;
	return (struct frame){ .raw = slice_of(b->p + at + header, size > header ? size - header : 0) };
}

uint32_t frame_cut(const struct block *b, size_t *at, struct frame *out, uint32_t max)
{
	bool counted = b->framing == FRAMING_COUNTED && !b->torn_head && !b->torn_tail;
	uint32_t n = 0;

	while (n < max && *at < b->len) {
		out[n++] = counted ? counted_frame(b, *at, at) : line_frame(b, *at, at);
	}
	return n;
}
