#include "export/spool_record.h"

#include "core/hash.h"
#include "core/limits.h"

static const char magic[4] = { (char)0xff, 'h', 's', 1 };
static const char mark_magic[8] = { (char)0xff, 'h', 's', 'm', 'a', 'r', 'k', 1 };

static void put(char *to, uint64_t n, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (char)(n >> 8 * i);
}

static uint64_t get(const char *p, unsigned bytes)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < bytes; i++)
		n |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return n;
}

uint64_t spool_record_sum(struct slice payload)
{
	return XXH3_64bits(payload.p, payload.len);
}

void spool_record_write(const struct spool_record *r, char *out)
{
	memcpy(out, magic, sizeof(magic));
	put(out + 4, r->len, 4);
	put(out + 8, r->spans, 4);
	put(out + 12, r->json, 4);
	put(out + 16, r->at, 8);
	put(out + 24, r->sum, 8);
	put(out + 32, spool_record_sum(slice_of(out, 32)), 8);
}

bool spool_record_read(const char *p, uint64_t at, struct spool_record *out)
{
	struct spool_record r = {
		.len = (uint32_t)get(p + 4, 4),
		.spans = (uint32_t)get(p + 8, 4),
		.json = get(p + 12, 4) == 1,
		.at = get(p + 16, 8),
		.sum = get(p + 24, 8),
	};

	if (memcmp(p, magic, sizeof(magic)) != 0 || r.at != at || get(p + 12, 4) > 1 || r.len == 0 || r.len > WIRE_MAX ||
	    get(p + 32, 8) != spool_record_sum(slice_of(p, 32)))
		return false;
	*out = r;
	return true;
}

size_t spool_record_find(struct slice bytes, uint64_t at, struct spool_record *out)
{
	size_t i = 0;

	while (i + SPOOL_HEADER <= bytes.len) {
		i += slice_find(slice_skip(bytes, i), magic[0]);
		if (i + SPOOL_HEADER <= bytes.len && spool_record_read(bytes.p + i, at + i, out))
			return i;
		i++;
	}
	return bytes.len;
}

void spool_mark_write(uint64_t generation, uint64_t at, char *out)
{
	memcpy(out, mark_magic, sizeof(mark_magic));
	put(out + 8, generation, 8);
	put(out + 16, at, 8);
	put(out + 24, spool_record_sum(slice_of(out, 24)), 8);
}

bool spool_mark_read(const char *p, uint64_t *generation, uint64_t *at)
{
	if (memcmp(p, mark_magic, sizeof(mark_magic)) != 0 || get(p + 24, 8) != spool_record_sum(slice_of(p, 24)))
		return false;
	*generation = get(p + 8, 8);
	*at = get(p + 16, 8);
	return true;
}
