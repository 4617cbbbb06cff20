/* Envelopes: what is peeled off lies inside, and what is no envelope stays what it is. */
#include "fuzz.h"
#include "ingest/ingest.h"
#include "parse/parse.h"

/* Blanks, CR and NUL at the end belong to nobody. */
static struct slice trimmed(struct slice s)
{
	while (s.len && memchr(" \r\n\t", s.p[s.len - 1], 5))
		s.len--;
	return s;
}

/* What the frame before is remembered for changes nothing: the lines of the input, one after another. */
static void check_neighbours(struct slice rest)
{
	struct frame before = { 0 };

	while (rest.p) {
		struct frame f = { .raw = slice_cut(&rest, '\n') }, alone = f;

		envelope_peel(&alone);
		envelope_peel_next(&f, before.raw.p ? &before : NULL);
		CHECK(f.msg.p == alone.msg.p && f.msg.len == alone.msg.len && slice_eq(f.host, alone.host) &&
		      f.time_us == alone.time_us && f.zone_min == alone.zone_min && f.flags == alone.flags &&
		      f.header == alone.header);
		before = f;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = { 0 }, again = { 0 };
	struct slice all;
	char *base;

	all = fuzz_padded(data, size, &base);
	f.raw = all;
	envelope_peel(&f);

	/* The message is the end of the line, the host a word before it, fit to leave as an attribute. */
	CHECK(f.raw.p == all.p && f.raw.len == all.len);
	CHECK(fuzz_inside(f.msg, all) && fuzz_inside(f.host, all));
	CHECK(f.msg.p + f.msg.len == all.p + trimmed(all).len);
	CHECK(f.host.len == 0 || f.host.p + f.host.len < f.msg.p);
	CHECK(f.host.len <= 255 && text_valid(f.host) && slice_find(f.host, ' ') == f.host.len);
	for (size_t i = 0; i < f.host.len; i++)
		CHECK((unsigned char)f.host.p[i] > 0x20 && f.host.p[i] != 0x7f);

	/* A time may have a zone; the first second of year 0 and the last of 9999 bound it. */
	CHECK(f.zone_min == ZONE_UNKNOWN || (f.zone_min > -24 * 60 && f.zone_min < 24 * 60));
	CHECK(f.time_us > INT64_C(-62167305600000000) && f.time_us < INT64_C(253402387200000000));
	CHECK(!(f.flags & ~FRAME_BARE_ISO) && (!(f.flags & FRAME_BARE_ISO) || f.host.len == 0));

	/* Twice gives the same: nothing of an earlier line is left in a frame. */
	again.raw = all;
	again.host = again.msg = slice_of("x", 1);
	again.zone_min = 1;
	envelope_peel(&again);
	CHECK(slice_eq(f.msg, again.msg) && slice_eq(f.host, again.host) && f.zone_min == again.zone_min &&
	      f.time_us == again.time_us && f.flags == again.flags);

	/* What had no envelope has none when it is looked at again. */
	if (f.msg.p == all.p) {
		CHECK(f.host.len == 0 && f.zone_min == ZONE_UNKNOWN && f.flags == 0);
		again = (struct frame){ .raw = f.msg };
		envelope_peel(&again);
		CHECK(again.msg.p == f.msg.p && again.msg.len == f.msg.len);
	}
	check_neighbours(all);
	free(base);
	return 0;
}
