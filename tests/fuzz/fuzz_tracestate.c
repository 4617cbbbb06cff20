/* tracestate: what is accepted is in the grammar, and what leaves is accepted again, unchanged. */
#include "fuzz.h"
#include "reconstruct/context.h"

/* One `key=value` (W3C Trace Context level 2, section 3.3.1), written from the ABNF. */
static bool member(const char *p, const char *end)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@";
	const char *equals = memchr(p, '=', (size_t)(end - p));

	if (!equals || equals == p || equals - p > 256 || !memchr(chars, *p, 36))
		return false;
	while (p < equals)
		if (!memchr(chars, *p++, sizeof(chars) - 1))
			return false;
	if (++p == end || end - p > 256 || end[-1] == ' ')
		return false;
	while (p < end && *p >= 0x20 && *p <= 0x7e && *p != ',' && *p != '=')
		p++;
	return p == end;
}

/* list-member *31( OWS "," OWS list-member ), members possibly empty: at most 32 that are not. */
static bool list(struct slice s)
{
	unsigned members = 0;

	for (size_t from = 0, to; from <= s.len; from = to + 1) {
		struct slice one;

		for (to = from; to < s.len && s.p[to] != ','; to++)
			;
		one = slice_trim(slice_of(s.p + from, to - from));
		if (one.len && (!member(one.p, one.p + one.len) || ++members > 32))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *base, *one = malloc(size + 1), *two = malloc(size + 1);
	struct slice s = fuzz_padded(data, size, &base), out = SLICE("untouched"), again;
	bool ok;

	one[size] = two[size] = 'x';	/* the contract: value.len bytes */
	ok = context_tracestate(s, one, &out);
	CHECK(ok == list(s));
	CHECK(ok || slice_eq(out, SLICE("untouched")));
	CHECK(one[size] == 'x' && (!ok || out.len <= size));
	if (ok) {
		CHECK(context_tracestate(out, two, &again) && slice_eq(out, again));
		CHECK(!out.len || (out.p[0] != ',' && out.p[out.len - 1] != ',' && !memmem(out.p, out.len, ",,", 2)));
	}
	free(base);
	free(one);
	free(two);
	return 0;
}
