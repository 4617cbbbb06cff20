/* Records: a stream of any framing, cut anywhere; what is peeled lies inside, and each frame gives the same alone. */
#include "fuzz.h"
#include "ingest/ingest.h"

#define MAX 5000	/* frames, and so bytes */
static struct frame frames[MAX];

static bool inside(struct slice part, struct slice raw, const struct unwrapper *u)
{
	return fuzz_inside(part, raw) || fuzz_inside(part, slice_of(u->p, u->used));
}

static void check(const struct frame *f, const struct unwrapper *u)
{
	static struct unwrapper alone;
	struct frame again = { .raw = f->raw, .flags = f->flags & ~FRAME_BARE_ISO, .zone_min = 1 };

	CHECK(inside(f->line, f->raw, u) && inside(f->msg, f->line, u) && inside(f->host, f->raw, u));
	CHECK(inside(f->whole, f->raw, u) && (f->whole.len == 0 || *f->whole.p == '{'));
	CHECK(f->host.len <= 255);
	for (size_t i = 0; i < f->host.len; i++)
		CHECK((unsigned char)f->host.p[i] > 0x20 && (unsigned char)f->host.p[i] < 0x7f);
	CHECK(f->zone_min == ZONE_UNKNOWN || (f->zone_min > -24 * 60 && f->zone_min < 24 * 60));
	CHECK(f->time_us > INT64_C(-62167305600000000) && f->time_us < INT64_C(253402387200000000));

	/* Alone, with room in which something else has lain: nothing depends on the lines before. */
	if (!alone.p)
		unwrapper_init(&alone);
	unwrapper_reset(&alone);
	again.host = again.msg = again.whole = slice_of("x", 1);
	record_peel(&alone, &again);
	CHECK(alone.used <= f->raw.len * RECORD_DEPTH);
	CHECK(slice_eq(f->msg, again.msg) && slice_eq(f->host, again.host) && slice_eq(f->line, again.line) &&
	      slice_eq(f->whole, again.whole) && f->zone_min == again.zone_min && f->time_us == again.time_us &&
	      f->flags == again.flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t choice = fuzz_byte(&data, &size), split = fuzz_byte(&data, &size);
	enum framing framing = (enum framing)(choice & 3);
	static struct unwrapper u;
	size_t first, cut[2] = { 0 };
	uint32_t n = 0;
	char *base;
	struct slice all;

	if (size >= MAX)
		return 0;
	if (!u.p)
		unwrapper_init(&u);
	unwrapper_reset(&u);
	all = fuzz_padded(data, size, &base);
	/* As a reader does: what is whole of the first part, then the rest. */
	first = frame_boundary(all.p, size * split / 255, false, &framing);
	cut[0] = first;
	cut[1] = size;
	for (int k = 0; k < 2; k++) {
		size_t from = k ? first : 0, at = 0;
		struct block b = { .p = (char *)(uintptr_t)all.p + from, .len = cut[k] - from, .framing = framing };

		if (k && frame_boundary(b.p, b.len, true, &framing) != b.len)
			abort();
		b.framing = framing;
		n += frame_cut(&b, &at, frames + n, MAX - n);
		CHECK(at == b.len);
	}
	for (uint32_t i = 0; i < n; i++)
		if (!(frames[i].flags & FRAME_TORN))
			record_peel(&u, &frames[i]);
	for (uint32_t i = 0; i < n; i++)
		if (!(frames[i].flags & FRAME_TORN))
			check(&frames[i], &u);
	free(base);
	return 0;
}
