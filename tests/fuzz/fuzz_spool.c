/*
 * The spool's reader over any bytes: what it finds is intact and lies inside, it never goes back, it always comes to an
 * end; and what is written behind the bytes is found behind them.
 */
#include "export/spool_record.h"
#include "fuzz.h"

static void search(struct slice bytes, uint64_t at)
{
	struct spool_record r;
	size_t i = 0;

	while (i < bytes.len) {
		struct slice rest = slice_skip(bytes, i);
		size_t found = spool_record_find(rest, at + i, &r);

		CHECK(found <= rest.len);
		if (found == rest.len)
			break;
		CHECK(found + SPOOL_HEADER <= rest.len && r.at == at + i + found && r.len >= 1 && r.len <= WIRE_MAX);
		i += found + 1;
	}
}

/* The bytes as payload of a record that stands behind `before` bytes of them. */
static void round_trip(struct slice bytes, uint64_t at, size_t before)
{
	struct spool_record want = { .at = at + before, .len = (uint32_t)bytes.len, .spans = 7, .json = before % 2 }, got;
	char *all = malloc(before + SPOOL_HEADER + bytes.len);

	CHECK(all);
	memcpy(all, bytes.p, before);
	want.sum = spool_record_sum(bytes);
	spool_record_write(&want, all + before);
	memcpy(all + before + SPOOL_HEADER, bytes.p, bytes.len);
	CHECK(spool_record_read(all + before, at + before, &got));
	CHECK(got.at == want.at && got.len == want.len && got.spans == 7 && got.json == want.json && got.sum == want.sum);
	CHECK(!spool_record_read(all + before, at + before + 1, &got));
	CHECK(spool_record_find(slice_of(all, before + SPOOL_HEADER + bytes.len), at, &got) <= before);
	for (size_t bit = 0; bit < SPOOL_HEADER * 8; bit++) {
		all[before + bit / 8] ^= (char)(1 << bit % 8);
		CHECK(!spool_record_read(all + before, at + before, &got));
		all[before + bit / 8] ^= (char)(1 << bit % 8);
	}
	free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t at = fuzz_byte(&data, &size), generation;
	size_t before = fuzz_byte(&data, &size);
	char *copy = malloc(size ? size : 1);		/* exactly: a look beyond is seen */

	CHECK(copy);
	memcpy(copy, data, size);
	search(slice_of(copy, size), at);
	if (size >= SPOOL_MARK)
		spool_mark_read(copy, &generation, &at);
	if (size)
		round_trip(slice_of(copy, size), at, before < size ? before : size);
	free(copy);
	return 0;
}
