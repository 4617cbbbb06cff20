/*
 * The reader of checkpoints: the bytes as they are, and with a checksum that fits, so that it gets further. What it
 * takes is written again as the same bytes. And the names of rotated files: what is found in one lies in it.
 */
#include "core/sha256.h"
#include "fuzz.h"
#include "ingest/follow.h"

static const struct slice source = { "follow:/var/log/haproxy.log", 27 };

static void take(struct slice text)
{
	struct position at;
	struct buf again = { .max = CHECKPOINT_MAX };

	if (checkpoint_parse(text, source, &at))
		return;
	CHECK(at.head_len <= FOLLOW_HEAD && at.mtime_ns >= 0 && at.offset <= INT64_MAX);
	checkpoint_format(&again, source, &at);
	/* Numbers may have leading zeros; whatever it is, it means the same. */
	CHECK(again.len <= text.len && checkpoint_parse(slice_of(again.p, again.len), source, &at) == NULL);
	buf_free(&again);
}

static void take_summed(struct slice text)
{
	struct buf b = { .max = 2 * CHECKPOINT_MAX };
	uint64_t sum[4];

	sha256(text, slice_of("", 0), sum);
	buf_slice(&b, text);
	buf_lit(&b, "sha256 ");
	for (int i = 0; i < 4; i++)
		buf_printf(&b, "%016llx", (unsigned long long)sum[i]);
	buf_char(&b, '\n');
	take(slice_of(b.p, b.len));
	buf_free(&b);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return argc == NULL || argv == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rotated_name what;
	struct slice text, base;
	char *p;

	text = fuzz_padded(data, size, &p);
	take(text);
	take_summed(text);
	base = slice_of(text.p, slice_find(text, '\n'));
	if (base.len < text.len && rotated_parse(slice_skip(text, base.len + 1), base, &what) != ROTATED_NOT)
		CHECK(what.order.len && fuzz_inside(what.order, what.plain) && fuzz_inside(what.plain, text));
	free(p);
	return 0;
}
