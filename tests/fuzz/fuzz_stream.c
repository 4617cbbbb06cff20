/* Streams in pieces: which frames come out doesn't depend on how the bytes were cut, nor on the streams beside. */
#include "fuzz.h"
#include "ingest/ingest.h"
#include "ingest/stitch.h"

#define RUN ((size_t)50000)		/* what one byte 1 stands for: lines that are longer than anything */
#define STREAM_MAX ((size_t)600000)

/* What came out of a stream: each frame's bytes, behind its length and whether it was too long. */
struct seen {
	char *p;
	size_t len;
	uint32_t frames;
	bool open;			/* the last frame goes on */
};

struct reader {
	struct stitch stitch;
	struct slice rest;
	struct seen seen;
	uint8_t cut;			/* how the bytes are cut; 0: as they fit */
};

static void see(struct seen *s, const struct frame *f)
{
	static const char mark[2] = { '.', '!' };

	CHECK(s->open == ((f->flags & FRAME_CONTINUES) != 0));
	if (!s->open) {
		s->frames++;
		s->p[s->len++] = '|';
	}
	memcpy(s->p + s->len, f->raw.p, f->raw.len);
	s->len += f->raw.len;
	s->open = f->flags & FRAME_OPEN;
	if (!s->open)
		s->p[s->len++] = mark[(f->flags & FRAME_TORN) != 0];
}

/* The frames of the block from `at` on, which came from one stream. */
static void look(const struct block *b, size_t start, struct seen *s)
{
	struct frame out[16];
	struct block part = *b;
	size_t at = 0;
	uint32_t n;

	part.p += start;
	part.len -= start;
	while ((n = frame_cut(&part, &at, out, 16)) != 0)
		for (uint32_t i = 0; i < n; i++)
			see(s, &out[i]);
	CHECK(at == part.len);
}

/* One read: true while there is more to come. */
static bool step(struct reader *r, struct block *b)
{
	size_t start = b->len, at = start + r->stitch.carried, n;
	bool ended;

	CHECK(at < BLOCK_SIZE);
	n = BLOCK_SIZE - at;
	if (r->cut) {
		r->cut = (uint8_t)(r->cut * 73 + 29) | 1;
		n = n < r->cut ? n : r->rest.len > 20000 ? (size_t)r->cut * 300 : r->cut;
		n = n < BLOCK_SIZE - at ? n : BLOCK_SIZE - at;
	}
	n = n < r->rest.len ? n : r->rest.len;
	memcpy(b->p + at, r->rest.p, n);
	r->rest = slice_skip(r->rest, n);
	ended = r->rest.len == 0;
	stitch_take(&r->stitch, b, n, ended);
	CHECK(b->len <= BLOCK_SIZE && r->stitch.carried < BLOCK_SIZE && r->stitch.room <= 2 * BLOCK_SIZE);
	look(b, start, &r->seen);
	return !ended;
}

static void empty(struct block *b)
{
	*b = (struct block){ .p = b->p };
}

/* All of a stream; `beside`, if there is one, is read in turns with it, into the same blocks. */
static void run(struct reader *r, struct reader *beside, struct block *b)
{
	bool more = true, other = beside != NULL;

	empty(b);
	while (more || other) {
		struct reader *now = more && (!other || b->p[0] % 2) ? r : beside;

		if (!stitch_fits(&now->stitch, b) || b->sole)
			empty(b);
		*(now == r ? &more : &other) = step(now, b);
		if (!beside)
			empty(b);
	}
	CHECK(!r->seen.open);
}

/* A count without a PRI: how much of it has come decides what it is. */
static bool nobody_can_tell(struct slice s)
{
	size_t i = 0;

	while (i < s.len && i < 7 && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i && (i == s.len || (s.p[i] == ' ' && (i + 1 == s.len || s.p[i + 1] != '<')));
}

static struct slice expand(const uint8_t *data, size_t size, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < size && n + RUN < STREAM_MAX; i++) {
		size_t k = data[i] == 1 ? RUN : 1;

		memset(out + n, data[i] == 1 ? 'x' : data[i], k);
		n += k;
	}
	return slice_of(out, n);
}

static char text[STREAM_MAX], seen[4][2 * STREAM_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t choice = fuzz_byte(&data, &size), cut = fuzz_byte(&data, &size) | 1;
	enum framing framing = (enum framing)(choice % 3);	/* records of journald are fuzz_frame's */
	struct slice all = expand(data, size, text);
	struct reader r[4];
	struct block b;

	if (all.len == 0 || (framing == FRAMING_UNKNOWN && nobody_can_tell(all)))
		return 0;
	block_alloc(&b);
	for (int i = 0; i < 4; i++) {
		r[i] = (struct reader){ .stitch = { .framing = framing }, .rest = all, .seen = { .p = seen[i] } };
		r[i].cut = i ? (uint8_t)(cut + 2 * i) : 0;
	}
	run(&r[0], NULL, &b);
	run(&r[1], NULL, &b);
	run(&r[2], &r[3], &b);
	for (int i = 0; i < 4; i++) {
		CHECK(r[i].stitch.framing == FRAMING_EXPORT ||
		      (r[i].seen.len == r[0].seen.len && memcmp(seen[i], seen[0], r[0].seen.len) == 0));
		stitch_free(&r[i].stitch);
	}
	block_free(&b);
	return 0;
}
