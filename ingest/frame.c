/*
 * ingest/frame.c - where one message ends and the next begins: RFC 6587, records of journalctl -o export, and lines
 * that a container runtime cut into several records. Pure.
 */
#include "ingest/ingest.h"
#include "ingest/record.h"

/* journalctl begins each record with it. */
#define CURSOR "__CURSOR="

/* Where a record begins behind one that has lost its way, or is too long to be looked at. */
#define RESYNC "\n\n" CURSOR

/* `LEN SP` in front of a counted message. Returns the length of this header, 0 when it is none. */
static size_t count_header(const char *p, size_t left, size_t *count)
{
	size_t n = 0, i = 0;

	for (; i < left && i < COUNT_DIGITS && p[i] >= '0' && p[i] <= '9'; i++)
		n = n * 10 + (size_t)(p[i] - '0');
	if (i == 0 || i == left || p[i] != ' ' || p[0] == '0')
		return 0;
	*count = n;
	return i + 1;
}

/* Only a count is followed by a blank and a PRI (section 3.4.1); no line of HAProxy's begins like that. */
static enum framing framing_guess(const char *p, size_t len)
{
	size_t count, header = count_header(p, len, &count);

	if (slice_starts(slice_of(p, len), SLICE(CURSOR)))
		return FRAMING_EXPORT;
	return header && header < len && p[header] == '<' ? FRAMING_COUNTED : FRAMING_LINES;
}

enum framing frame_stream(const char *p, size_t len, bool last)
{
	size_t count, header = count_header(p, len, &count), whole = header + count;
	bool begins = len < sizeof(CURSOR) - 1 && memcmp(p, CURSOR, len) == 0;

	if (header == 0) {
		/* The count may not be finished. */
		for (size_t i = 0; i < len && p[i] >= '0' && p[i] <= '9'; i++)
			begins |= i + 1 == len && len < COUNT_DIGITS + 1;
		return begins && !last ? FRAMING_UNKNOWN : framing_guess(p, len);
	}
	if (header == len)
		return last ? FRAMING_LINES : FRAMING_UNKNOWN;
	if (p[header] == '<')
		return FRAMING_COUNTED;
	if (whole > LINE_MAX_BYTES || memchr(p, '\n', len < whole ? len : whole))
		return FRAMING_LINES;
	if (len < whole)
		return last ? FRAMING_LINES : FRAMING_UNKNOWN;
	return len == whole || (p[whole] >= '1' && p[whole] <= '9') ? FRAMING_COUNTED : FRAMING_LINES;
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

size_t frame_missing(const char *p, size_t len)
{
	size_t count, header = count_header(p, len, &count);

	return header && header + count > len ? header + count - len : 0;
}

/* ---- journalctl -o export ---------------------------------------------------------------------------- */

/* The first byte of the next record that begins behind an empty line; 0: not here. */
static size_t export_resync(const char *p, size_t len)
{
	const char *at = memmem(p, len, RESYNC, sizeof(RESYNC) - 1);

	return at ? (size_t)(at - p) + 2 : 0;
}

/*
 * The record at `p`: its length with the empty lines around it, or 0 when more bytes are needed. Where it is broken it
 * ends before the next that begins with a cursor: what lies between is one message that nobody will understand.
 * `all`: no more will come, so that a length beyond the end is a lie.
 */
static size_t export_size(const char *p, size_t left, bool all)
{
	struct slice raw = slice_of(p, left), name, value;
	size_t at = 0, lost;
	bool cut;

	while (at < left && p[at] == '\n')
		at++;
	while (export_field(raw, &at, &name, &value))
		;
	if (at < left && p[at] == '\n')
		return at + 1;
	cut = !all && export_is_cut(slice_skip(raw, at));
	lost = cut ? 0 : export_resync(p + at, left - at);
	return lost ? at + lost : 0;
}

/* ---- pieces of lines --------------------------------------------------------------------------------- */

/* Does `line` go on in the record behind it? */
static bool goes_on(struct slice line)
{
	struct piece piece;

	return record_may_go_on(line) && record_piece(line, &piece) && piece.more;
}

/* Whole lines of which the last does not go on: the pieces of one line stay together. */
static size_t before_pieces(const char *p, size_t len)
{
	size_t end = len;

	while (end) {
		const char *lf = memrchr(p, '\n', end - 1);
		size_t start = lf ? (size_t)(lf - p) + 1 : 0;

		if (!goes_on(slice_of(p + start, end - start - 1)))
			return end;
		if (len - start > RECORD_MAX_BYTES)
			return len;
		end = start;
	}
	return 0;
}

/* ---- any framing ------------------------------------------------------------------------------------- */

size_t frame_boundary(const char *p, size_t len, bool last, enum framing *framing)
{
	size_t at = 0, size, header;
	const char *lf;

	if (*framing == FRAMING_UNKNOWN) {
		if (!last && (len < 8 || (len == 8 && memcmp(p, CURSOR, 8) == 0)) && !memchr(p, '\n', len))
			return 0;
		*framing = framing_guess(p, len);
	}
	if (last)
		return len;
	if (*framing == FRAMING_LINES) {
		lf = memrchr(p, '\n', len);
		return lf ? before_pieces(p, (size_t)(lf - p) + 1) : 0;
	}
	while (at < len && (size = *framing == FRAMING_EXPORT ? export_size(p + at, len - at, false) :
							       counted_size(p + at, len - at, &header)) != 0)
		at += size;
	return at;
}

size_t frame_torn_end(const char *p, size_t len, enum framing framing)
{
	const char *lf;

	if (framing == FRAMING_EXPORT)
		return export_resync(p, len);
	lf = memchr(p, '\n', len);
	return lf ? (size_t)(lf - p) + 1 : 0;
}

size_t frame_torn_piece(size_t len, enum framing framing)
{
	if (framing != FRAMING_EXPORT)
		return len;
	return len < sizeof(RESYNC) ? 0 : len - (sizeof(RESYNC) - 2);
}

/* The first record of a line that goes on: take in those behind it. */
static void add_pieces(const struct block *b, struct frame *f, size_t *next)
{
	size_t at = *next, end = at;
	struct piece first, piece;
	bool more = true;

	record_piece(f->raw, &first);
	while (more && at < b->len) {
		const char *p = b->p + at, *lf = memchr(p, '\n', b->len - at);
		struct slice line = slice_of(p, lf ? (size_t)(lf - p) : b->len - at);

		if (!record_piece(line, &piece) || piece.stream != first.stream ||
		    (size_t)(line.p + line.len - f->raw.p) > RECORD_MAX_BYTES)
			break;
		more = piece.more;
		at += line.len + (lf != NULL);
		f->raw = slice_to(f->raw.p, line.p + line.len);
		f->flags |= FRAME_PIECES;
		end = at;
	}
	*next = end;
}

static size_t longest(const struct block *b)
{
	return b->max_line ? b->max_line : LINE_MAX_BYTES;
}

static void line_frame(const struct block *b, size_t *at, struct frame *f)
{
	const char *p = b->p + *at, *lf = memchr(p, '\n', b->len - *at);
	size_t len = lf ? (size_t)(lf - p) : b->len - *at;
	uint8_t flags = len > longest(b) ? FRAME_TORN : 0;

	if (*at == 0 && b->torn_head)
		flags |= FRAME_TORN | FRAME_CONTINUES;
	if (!lf && b->torn_tail)
		flags |= FRAME_TORN | FRAME_OPEN;
	f->raw = slice_of(p, len);
	f->message = NULL;
	f->flags = flags;
	*at += len + (lf != NULL);
	if (!flags && goes_on(f->raw))
		add_pieces(b, f, at);
}

/* A record without the empty line behind it. */
static void export_frame(const struct block *b, size_t *at, struct frame *f)
{
	const char *p = b->p + *at;
	size_t left = b->len - *at;
	bool torn_head = *at == 0 && b->torn_head;
	size_t size = torn_head ? export_resync(p, left) : export_size(p, left, true);

	f->flags = FRAME_EXPORT;
	f->message = NULL;
	if (torn_head)
		f->flags |= FRAME_TORN | FRAME_CONTINUES;
	if (size == 0 && b->torn_tail)
		f->flags |= FRAME_TORN | FRAME_OPEN;
	if (size == 0)
		size = left;
	*at += size;
	if (!(f->flags & FRAME_OPEN) && size > 1 && p[size - 1] == '\n' && p[size - 2] == '\n')
		size--;
	f->raw = slice_of(p, size);
	if (size > RECORD_MAX_BYTES)
		f->flags |= FRAME_TORN;
}

/* Empty lines between records belong to none. */
static size_t skip_empty(const struct block *b, size_t at)
{
	while (at < b->len && b->p[at] == '\n' && !(at == 0 && b->torn_head))
		at++;
	return at;
}

static void counted_frame(const struct block *b, size_t *at, struct frame *f)
{
	const char *p = b->p + *at;
	bool torn_head = *at == 0 && b->torn_head && b->torn_len;
	size_t left = b->len - *at, header = 0, size = torn_head ? b->torn_len : counted_size(p, left, &header);
	bool open = b->torn_tail && (size == 0 || size == left);

	if (size == 0)
		size = left;
	*at += size;
	f->raw = slice_of(p + header, size > header ? size - header : 0);
	f->message = NULL;
	f->flags = f->raw.len > longest(b) || torn_head || open ? FRAME_TORN : 0;
	if (torn_head)
		f->flags |= FRAME_CONTINUES;
	if (open)
		f->flags |= FRAME_OPEN;
}

/* The first message that ends behind `at`: the last one too has a byte behind it. */
static uint32_t message_at(const struct block *b, size_t at)
{
	uint32_t low = 0, high = b->messages;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (b->message[middle].start + b->message[middle].text.len < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Frames of one message from `*at` on, which lies in it. An empty message is an empty line. */
static uint32_t cut_message(const struct message *m, size_t *at, struct frame *out, uint32_t max)
{
	/* frame_cut writes nothing into a block. */
	const struct block b = { .p = (char *)(uintptr_t)m->text.p, .len = m->text.len, .framing = m->framing,
				 .torn_head = m->torn_head, .torn_tail = m->torn_tail };
	size_t inside = *at - m->start;
	uint32_t n = 0;

	if (b.len == 0)
		out[n++] = (struct frame){ .raw = m->text };
	else
		n = frame_cut(&b, &inside, out, max);
	for (uint32_t i = 0; i < n; i++)
		out[i].message = m;
	*at = m->start + (inside < b.len ? inside : b.len + 1);
	return n;
}

static uint32_t cut_messages(const struct block *b, size_t *at, struct frame *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = message_at(b, *at); i < b->messages && n < max; i += *at > b->message[i].start + b->message[i].text.len)
		n += cut_message(&b->message[i], at, out + n, max - n);
	return n;
}

uint32_t frame_cut(const struct block *b, size_t *at, struct frame *out, uint32_t max)
{
	uint32_t n = 0;

	if (b->framing == FRAMING_MESSAGES)
		return cut_messages(b, at, out, max);
	if (b->framing == FRAMING_EXPORT) {
		while (n < max && (*at = skip_empty(b, *at)) < b->len)
			export_frame(b, at, &out[n++]);
		return n;
	}
	while (b->framing == FRAMING_COUNTED && n < max && *at < b->len)
		counted_frame(b, at, &out[n++]);
	while (n < max && *at < b->len)
		line_frame(b, at, &out[n++]);
	return n;
}
